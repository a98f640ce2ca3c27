"""How far each expert of the fusion model can be trusted, fitted on validation compounds."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from moa_jax.data.batches import evaluation_batches
from moa_jax.data.examples import Examples
from moa_jax.data.features import encode
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.models.fusion import VIEWS, heard
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.modalities import keep_only
from moa_jax.training.predictor import Predictor
from moa_jax.training.sharding import shard

# Range of a scale; an expert at the lower end has no say.
SCALE_BOUNDS = (0.01, 100.0)

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
    return {
        view: dict(
            zip(
                experts,
                _fit_view(start, evidence, validation, prior_strength).tolist(),
                strict=True,
            )
        )
        for view, start, evidence in zip(
            VIEWS, starts, _evidence(predictor, validation), strict=True
        )
    }


def _fit_view(
    start: Float[np.ndarray, " expert"],
    evidence: Evidence,
    validation: Examples,
    prior_strength: float,
) -> Float[np.ndarray, " expert"]:
    """Scales of one view."""
    heard_here = np.flatnonzero(np.abs(evidence).max(axis=(1, 2)) > 0)
    if not len(heard_here):
        return start
    num_compounds = len(set(validation.groups))
    center = np.log(start[heard_here])

    def objective(logs: Float[np.ndarray, " heard"]) -> float:
        prior = 0.5 * prior_strength * float(((logs - center) ** 2).sum()) / num_compounds
        return prior + _negative_log_likelihood(np.exp(logs), evidence[heard_here], validation)

    found = scipy.optimize.minimize(
        objective,
        center,
        method="Nelder-Mead",
        bounds=[tuple(np.log(SCALE_BOUNDS))] * len(center),
        options={"xatol": 1e-3, "fatol": 1e-6, "maxiter": 200 * (1 + len(center))},
    )
    scales = start.copy()
    scales[heard_here] = np.exp(found.x)
    return scales


def _negative_log_likelihood(
    scales: Float[np.ndarray, " heard"],
    evidence: Float[np.ndarray, "heard example moa"],
    validation: Examples,
) -> float:
    probs = scipy.special.softmax(np.tensordot(scales, evidence, axes=1), axis=-1)
    pooled, labels, _ = pool_by_compound(probs, validation.labels, validation.groups)
    share = labels / labels.sum(axis=1, keepdims=True)
    return -float((share * np.log(np.maximum(pooled, 1e-12))).sum(axis=1).mean())


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
