"""How far each expert of the fusion model can be trusted, fitted on validation compounds."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.sparse
import scipy.special
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from moa_jax.data.batches import evaluation_batches
from moa_jax.data.features import encode
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.models.fusion import VIEWS, heard
from moa_jax.schemas import Batch, Examples, GraphArrays
from moa_jax.training.modalities import keep_only
from moa_jax.training.predictor import Predictor
from moa_jax.training.sharding import shard

# Range of a scale; an expert at the lower end has no say.
SCALE_BOUNDS = (0.01, 100.0)
# Below it a probability counts as this one.
LEAST_PROB = 1e-12

# Logits of the experts for every example; zeros where an expert has no say.
Evidence = Float[np.ndarray, "expert example moa"]


def fit_expert_scales(
    predictor: Predictor, validation: Examples, *, prior_strength: float
) -> dict[str, dict[str, float]]:
    """Scales that make the pooled answers of validation compounds most likely, view by view.

    Minimises the negative log likelihood of the compounds' labels in the logarithm of the scales
    (temperature scaling: Guo 2017; product of experts: Hinton 2002). Few compounds cannot tell
    much, so the logarithms have a Gaussian prior around the scales that the predictor has.

    Args:
      predictor: a model that has not seen these compounds.
      validation: labelled examples.
      prior_strength: inverse variance of the prior; 0 for none.

    Returns:
      View -> expert -> scale. An expert that has no say in a view keeps its scale.
    """
    experts = predictor.task.model.experts
    starts = np.asarray(predictor.params["expert_scales"], np.float64)
    scales = {}
    for view, start, evidence in zip(VIEWS, starts, _evidence(predictor, validation), strict=True):
        fitted = fit_view_scales(start, evidence, validation, prior_strength=prior_strength)
        scales[view] = dict(zip(experts, fitted.tolist(), strict=True))
    return scales


def fit_view_scales(
    start: Float[np.ndarray, " expert"],
    evidence: Evidence,
    validation: Examples,
    *,
    prior_strength: float,
) -> Float[np.ndarray, " expert"]:
    """Scales of one view; see `fit_expert_scales`.

    Args:
      start: the scales around which the prior lies.
      evidence: what the experts say of examples that they have not learned from.
      validation: these examples; each has a label.
      prior_strength: see `fit_expert_scales`.
    """
    if not validation.num_examples:
        return start
    heard_here = np.flatnonzero(np.abs(evidence).max(axis=(1, 2)) > 0)
    if not len(heard_here):
        return start
    center = np.log(start[heard_here])
    likelihood = _Likelihood.of(evidence[heard_here], validation)
    precision = prior_strength / len(likelihood.share)

    def objective(
        logs: Float[np.ndarray, " heard"],
    ) -> tuple[float, Float[np.ndarray, " heard"]]:
        value, slope = likelihood(np.exp(logs))
        away = logs - center
        return value + 0.5 * precision * float(away @ away), slope * np.exp(logs) + precision * away

    found = scipy.optimize.minimize(
        objective,
        center,
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(np.log(SCALE_BOUNDS))] * len(center),
        options={"ftol": 1e-12, "gtol": 1e-8},
    )
    scales = start.copy()
    scales[heard_here] = np.exp(found.x)
    return scales


@dataclasses.dataclass(frozen=True)
class _Likelihood:
    """Mean negative log likelihood of the compounds' labels as a function of the scales.

    Attributes:
      evidence: logits of the experts that have a say.
      pooling: takes the mean of each compound's examples.
      share: labels of each compound, summing to 1.
    """

    evidence: Float[np.ndarray, "heard example moa"]
    pooling: scipy.sparse.csr_array
    share: Float[np.ndarray, "compound moa"]

    @classmethod
    def of(
        cls, evidence: Float[np.ndarray, "heard example moa"], validation: Examples
    ) -> _Likelihood:
        """The likelihood of labelled examples."""
        _, labels, names = pool_by_compound(validation.labels, validation.labels, validation.groups)
        place = {name: row for row, name in enumerate(names)}
        rows = np.array([place[group] for group in validation.groups])
        counts = np.bincount(rows)
        pooling = scipy.sparse.csr_array(
            (1.0 / counts[rows], (rows, np.arange(len(rows)))), shape=(len(names), len(rows))
        )
        return cls(evidence, pooling, labels / labels.sum(axis=1, keepdims=True))

    def __call__(
        self, scales: Float[np.ndarray, " heard"]
    ) -> tuple[float, Float[np.ndarray, " heard"]]:
        """The value and its gradient."""
        probs = scipy.special.softmax(np.tensordot(scales, self.evidence, axes=1), axis=-1)
        pooled = self.pooling @ probs
        likely = np.maximum(pooled, LEAST_PROB)
        value = -float((self.share * np.log(likely)).sum(axis=1).mean())
        slope = np.where(pooled > LEAST_PROB, -self.share / likely, 0.0) / len(self.share)
        of_probs = self.pooling.T @ slope
        of_logits = probs * (of_probs - (probs * of_probs).sum(axis=1, keepdims=True))
        return value, np.tensordot(self.evidence, of_logits, axes=([1, 2], [0, 1]))


def _evidence(predictor: Predictor, validation: Examples) -> list[Evidence]:
    """What each expert says of every example, in each of the three views."""
    model = predictor.task.model

    # Replicated, so that every process can read all of it.
    @functools.partial(jax.jit, out_shardings=NamedSharding(predictor.mesh, PartitionSpec()))
    def experts(params: Any, batch: Batch, graph: GraphArrays) -> Array:
        views = []
        for expression, structure in ((True, True), (True, False), (False, True)):
            seen = keep_only(batch, expression=expression, structure=structure)
            output = model.apply({"params": params}, seen, graph, train=False)
            views.append(
                jnp.stack(
                    [
                        jnp.where(heard(expert, seen)[:, None], said, 0.0)
                        for expert, said in output.experts.items()
                    ]
                )
            )
        return jnp.stack(views)

    parts = [
        jax.device_get(experts(predictor.params, shard(batch, predictor.mesh), predictor.graph))
        for batch in evaluation_batches(
            encode(validation, predictor.features),
            predictor.batch_size,
            num_shards=predictor.mesh.size,
        )
    ]
    everything = np.concatenate(parts, axis=2, dtype=np.float64)
    return list(everything[:, :, : validation.num_examples])
