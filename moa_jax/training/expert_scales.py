"""How far each expert of the fusion model can be trusted, fitted on validation compounds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
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
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.modalities import keep_only
from moa_jax.training.predictor import Predictor
from moa_jax.training.sharding import shard

# Range of a scale; an expert at the lower end has no say.
SCALE_BOUNDS = (0.01, 10.0)

# Logits of the three experts for every example; zeros where an expert has no say.
Evidence = Float[np.ndarray, "expert example moa"]


def fit_expert_scales(predictor: Predictor, validation: Examples) -> tuple[float, float, float]:
    """Scales that make the pooled answers of validation compounds most likely.

    Minimises the negative log likelihood of the compounds' labels, summed over the three views
    (all there is, expression alone, structure alone), in the logarithm of the scales
    (temperature scaling: Guo 2017; product of experts: Hinton 2002).

    Args:
      predictor: a model that has not seen these compounds.
      validation: labelled examples.

    Returns:
      Scales of the expression, structure and joint expert.
    """
    views = _evidence(predictor, validation)
    start = np.log(np.asarray(predictor.params["expert_scales"], np.float64))
    found = scipy.optimize.minimize(
        lambda logs: _negative_log_likelihood(np.exp(logs), views, validation),
        start,
        method="Nelder-Mead",
        bounds=[tuple(np.log(SCALE_BOUNDS))] * 3,
        options={"xatol": 1e-3, "fatol": 1e-6, "maxiter": 400},
    )
    expression, structure, joint = np.exp(found.x)
    return float(expression), float(structure), float(joint)


def _negative_log_likelihood(
    scales: Float[np.ndarray, " expert"], views: Sequence[Evidence], validation: Examples
) -> float:
    total = 0.0
    for view in views:
        probs = scipy.special.softmax(np.tensordot(scales, view, axes=1), axis=-1)
        pooled, labels, _ = pool_by_compound(probs, validation.labels, validation.groups)
        share = labels / labels.sum(axis=1, keepdims=True)
        total -= float((share * np.log(np.maximum(pooled, 1e-12))).sum(axis=1).mean())
    return total


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
                        jnp.where(seen.expression_mask[:, None], output.expression_logits, 0.0),
                        jnp.where(seen.structure_mask[:, None], output.structure_logits, 0.0),
                        output.joint_logits,
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
