"""Runs an attribution method over many examples, in chunks of one size."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.explanation.attribution.chunks import MAX_ROWS, Step, chunk_size, run_in_chunks
from moa_jax.explanation.attribution.gradients import IntegratedGradients, Method
from moa_jax.explanation.attribution.target import (
    AttributionTarget,
    Directions,
    measured_genes,
    score,
)
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.runs.predictor import Predictor

# Baselines of every example, for one input.
Baselines = Float[np.ndarray, "example baseline *feature"]


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Contribution of every entry of an input to every score.

    Attributes:
      values: contributions.
      score: the scores.
      baseline_score: weighted mean of the scores at the baselines.
    """

    values: Float[np.ndarray, "example target *feature"]
    score: Float[np.ndarray, "example target"]
    baseline_score: Float[np.ndarray, "example target"]

    @property
    def completeness_gap(self) -> Float[np.ndarray, "example target"]:
        """|sum of contributions - (score - baseline score)| over |score - baseline score|."""
        expected = self.score.astype(np.float64) - self.baseline_score
        found = self.values.sum(axis=tuple(range(2, self.values.ndim)), dtype=np.float64)
        return np.abs(found - expected) / np.maximum(np.abs(expected), 1e-6)


def attribute(
    predictor: Predictor,
    examples: EncodedExamples,
    attribution_target: AttributionTarget,
    directions: Directions,
    method: Method,
    *,
    baselines: Baselines | None = None,
    reference: Float[np.ndarray, "example gene"] | None = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
) -> Attribution:
    """Contributions of an input to the scores of every example.

    One program is compiled per attribution target, method and shape. The result does not depend on
    `max_rows` beyond rounding.

    Args:
      predictor: the model.
      examples: encoded examples.
      attribution_target: the model and its input; `AttributionTarget(predictor.task)` attributes
        logits to genes.
      directions: the scores; one row per example.
      method: the method.
      baselines: what each example is compared with; zeros by default, which for expression is the
        mean training signature (see `baseline_signatures`).
      reference: for the input `activity`, signatures whose node activities are the baseline;
        activities of 0 by default. Models that compare directions need it.
      max_rows: examples times points that are evaluated at once; bounds the memory.
      seed: seed of random methods.

    Raises:
      InputError: the number of directions or baselines is not that of the examples.
    """
    points = method.num_points(1 if baselines is None else baselines.shape[1])
    count, mesh = examples.num_examples, predictor.mesh
    size = chunk_size(count, points, max_rows, mesh.size)
    own = {"directions": directions, "row": np.arange(count), "seed": np.full(count, seed)}
    if baselines is not None:
        own["baselines"] = baselines
    if reference is not None:
        own["reference"] = reference

    values, scores, baseline_scores = run_in_chunks(
        _make_step(attribution_target, method, max(1, max_rows // size)),
        predictor,
        examples,
        own,
        size=size,
    )
    return Attribution(values=values, score=scores, baseline_score=baseline_scores)


def attribute_to_tolerance(
    predictor: Predictor,
    examples: EncodedExamples,
    attribution_target: AttributionTarget,
    directions: Directions,
    method: IntegratedGradients,
    *,
    baselines: Baselines | None = None,
    tolerance: float,
    max_steps: int,
) -> tuple[Attribution, Int[np.ndarray, " example"]]:
    """Integrated gradients with as many steps as each example needs.

    The number of steps is doubled for the examples whose completeness gap exceeds `tolerance` for
    any score, until none does or `max_steps` is reached.

    Args:
      predictor: see `attribute`.
      examples: see `attribute`.
      attribution_target: see `attribute`.
      directions: see `attribute`.
      method: the method with the initial number of steps.
      baselines: see `attribute`.
      tolerance: largest completeness gap.
      max_steps: largest number of steps.

    Returns:
      The attribution, and the number of steps taken for each example.
    """
    found = attribute(
        predictor,
        examples,
        attribution_target,
        directions,
        method,
        baselines=baselines,
    )
    steps = np.full(examples.num_examples, method.num_steps)
    while method.num_steps * 2 <= max_steps:
        method = dataclasses.replace(method, num_steps=method.num_steps * 2)
        rows = np.flatnonzero((found.completeness_gap > tolerance).any(axis=1))
        if not len(rows):
            break
        again = attribute(
            predictor,
            examples.take(rows),
            attribution_target,
            directions[rows],
            method,
            baselines=None if baselines is None else baselines[rows],
        )
        for name in ("values", "score", "baseline_score"):
            getattr(found, name)[rows] = getattr(again, name)
        steps[rows] = method.num_steps
    return found, steps


@functools.lru_cache(maxsize=64)
def _make_step(attribution_target: AttributionTarget, method: Method, block: int) -> Step:

    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> tuple[Array, Array, Array]:
        outputs = attribution_target.outputs(params, batch, graph, own.get("reference"))
        inputs = attribution_target.inputs(batch, graph)
        directions = own["directions"]
        baselines = own.get("baselines", jnp.zeros_like(inputs)[:, None])
        # One key per example, so that draws do not depend on the chunk.
        keys = jax.vmap(lambda seed, row: jax.random.fold_in(jax.random.key(seed), row))(
            own["seed"], own["row"]
        )
        if attribution_target.input_name == "expression":
            inputs, baselines = _measured(inputs, baselines, batch)
        values = method(outputs, inputs, baselines, directions, keys=keys, block=block)
        weights = method.baseline_weights(baselines.shape[1])
        at_baselines = jax.lax.map(
            lambda baseline: score(outputs(baseline), directions), jnp.swapaxes(baselines, 0, 1)
        )
        return (
            values,
            score(outputs(inputs), directions),
            jnp.tensordot(weights, at_baselines, axes=1),
        )

    return step


def _measured(inputs: Array, baselines: Array, batch: Batch) -> tuple[Array, Array]:
    """Zeros where a gene is not measured, so that it contributes exactly 0."""
    mask = measured_genes(batch)
    return jnp.where(mask, inputs, 0.0), jnp.where(mask[:, None], baselines, 0.0)
