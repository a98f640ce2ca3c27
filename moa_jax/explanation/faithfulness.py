"""Whether contributions are true to the model: infidelity, sensitivity, and the verdict table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float

from moa_jax.data.features import EncodedExamples
from moa_jax.evaluation.bootstrap import Difference, interval, resample_counts, two_sided_p
from moa_jax.evaluation.multiple_testing import adjusted_p_values
from moa_jax.explanation.chunks import MAX_ROWS, Step, chunk_size, run_in_chunks
from moa_jax.explanation.deletion import Curves
from moa_jax.explanation.scores import Directions, Question, measured_genes, score
from moa_jax.schemas import Batch, GraphArrays, InputError
from moa_jax.training.predictor import Predictor

# Measure of `Curves` -> whether larger is better.
MEASURES = {
    "deletion_auc": False,
    "insertion_auc": True,
    "comprehensiveness": True,
    "sufficiency": False,
}


def infidelity(
    predictor: Predictor,
    examples: EncodedExamples,
    question: Question,
    directions: Directions,
    *,
    values: Float[np.ndarray, "example target gene"],
    replacement: Float[np.ndarray, "example gene"],
    share: float = 0.1,
    num_samples: int = 64,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
) -> Float[np.ndarray, "example target"]:
    """Mean squared error of contributions as a forecast of the fall of a score (Yeh 2019, eq. 1).

    The perturbation replaces a random share of the genes; contributions forecast a fall by their
    sum over these genes. The error is divided by the mean square of the fall, so that 0 is a
    perfect forecast and 1 that of no change. Contributions are not rescaled.

    Args:
      predictor: the model.
      examples: encoded examples.
      question: its output is read; its part is `expression`.
      directions: the scores.
      values: contributions of genes against `replacement`.
      replacement: what stands in the place of a gene.
      share: share of the genes that is replaced.
      num_samples: random sets of genes.
      max_rows: examples times sets that are evaluated at once.
      seed: seed of the sets.
    """
    size = chunk_size(examples.num_examples, num_samples, max_rows, predictor.mesh.size)
    own = {"directions": directions, "values": values, "replacement": replacement}
    own["row"] = np.arange(examples.num_examples)
    own["seed"] = np.full(examples.num_examples, seed)
    step = _make_infidelity_step(question, share, num_samples, max(1, max_rows // size))
    return run_in_chunks(step, predictor, examples, own, size=size)


@functools.lru_cache(maxsize=32)
def _make_infidelity_step(question: Question, share: float, num_samples: int, block: int) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> Float[Array, "example target"]:
        outputs = question.outputs(params, batch, graph)
        measured = measured_genes(batch)
        inputs = jnp.where(measured, question.inputs(batch, graph), 0.0)
        whole = score(outputs(inputs), own["directions"])

        def of_sample(index: Array) -> tuple[Array, Array]:
            def draw(seed: Array, row: Array) -> Array:
                key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), row), index)
                return jax.random.bernoulli(key, share, inputs.shape[1:])

            removed = jax.vmap(draw)(own["seed"], own["row"]) & measured
            left = jnp.where(removed, own["replacement"], inputs)
            fall = whole - score(outputs(left), own["directions"])
            forecast = jnp.einsum(
                "etg,eg->et", own["values"], removed.astype(jnp.float32), precision="highest"
            )
            return (forecast - fall) ** 2, fall**2

        error, size = jax.lax.map(of_sample, jnp.arange(num_samples), batch_size=block)
        return error.mean(axis=0) / jnp.maximum(size.mean(axis=0), 1e-12)

    return step


def max_sensitivity(
    attribute: Callable[
        [Float[np.ndarray, "example gene"]], Float[np.ndarray, "example target gene"]
    ],
    expression: Float[np.ndarray, "example gene"],
    *,
    radius: float = 0.1,
    num_samples: int = 8,
    seed: int = 0,
) -> Float[np.ndarray, "example target"]:
    """Largest relative change of contributions under small noise (Yeh 2019, eq. 4, sampled).

    Args:
      attribute: contributions of signatures.
      expression: the signatures, in units of encoded examples.
      radius: largest change of a gene.
      num_samples: random changes.
      seed: seed of the changes.

    Returns:
      Euclidean norm of the largest change over that of the contributions.
    """
    rng = np.random.default_rng(seed)
    usual = attribute(expression)
    length = np.maximum(np.linalg.norm(usual, axis=-1), 1e-12)
    largest = np.zeros(usual.shape[:2])
    for _ in range(num_samples):
        noise = rng.uniform(-radius, radius, expression.shape).astype(np.float32)
        change = np.linalg.norm(attribute(expression + noise) - usual, axis=-1)
        largest = np.maximum(largest, change / length)
    return largest


def compound_difference(
    first: Float[np.ndarray, " example"],
    second: Float[np.ndarray, " example"],
    groups: Sequence[str],
    *,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Mean over compounds of `first` less `second`, with a bootstrap interval over compounds.

    A compound's examples are averaged first; examples where either is NaN are left out.

    Raises:
      InputError: no example has both.
    """
    known = ~(np.isnan(first) | np.isnan(second))
    names, unit = np.unique(np.asarray(groups, dtype=str)[known], return_inverse=True)
    sizes = np.bincount(unit, minlength=len(names))
    means = np.bincount(unit, weights=(first - second)[known], minlength=len(names)) / np.maximum(
        sizes, 1
    )
    counts = resample_counts(len(means), num_resamples=num_resamples, seed=seed)
    samples = counts @ means / len(means)
    low, high = interval(samples[1:])
    return Difference(float(means.mean()), low, high, two_sided_p(samples[1:]))


def faithfulness_table(
    curves: Mapping[str, Curves],
    controls: Sequence[str],
    groups: Sequence[str],
    *,
    num_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every method against every control, by every measure of its curves.

    Args:
      curves: ranking -> its curves, controls included, all with one replacement.
      controls: names of the rankings that count as controls.
      groups: compound group of every example.
      num_resamples: resamples of compounds.
      seed: seed of the resamples.

    Returns:
      One row per method, control and measure: `method`, `control`, `measure`, `value`,
      `control_value` (means over compounds), `gain`, `low`, `high` (95 %, positive where the
      method is better), `p_value`, `q_value` over the whole table.

    Raises:
      InputError: a control has no curves.
    """
    for name in controls:
        if name not in curves:
            raise InputError(f"there are no curves of the control {name!r}.")
    rows = []
    for method in (name for name in curves if name not in controls):
        for control in controls:
            for measure, larger_is_better in MEASURES.items():
                ours, theirs = (
                    getattr(curves[name], measure).mean(axis=1) for name in (method, control)
                )
                settings = {"num_resamples": num_resamples, "seed": seed}
                value, of_control = (
                    compound_difference(one, np.zeros(len(one)), groups, **settings).estimate
                    for one in (ours, theirs)
                )
                better, worse = (ours, theirs) if larger_is_better else (theirs, ours)
                gain = compound_difference(better, worse, groups, **settings)
                rows.append(
                    {
                        "method": method,
                        "control": control,
                        "measure": measure,
                        "value": value,
                        "control_value": of_control,
                        "gain": gain.estimate,
                        "low": gain.low,
                        "high": gain.high,
                        "p_value": gain.p_value,
                    }
                )
    table = pd.DataFrame(rows)
    return table.assign(q_value=adjusted_p_values(table["p_value"].to_numpy()))
