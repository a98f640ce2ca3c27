"""How much of a score each expert accounts for; exact, because the model's logits are their sum."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.explanation.attribution.chunks import MAX_ROWS, Step, chunk_size, run_in_chunks
from moa_jax.explanation.attribution.target import Directions, score
from moa_jax.models.fusion import product_of_experts
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.task import TrainingTask


def expert_shares(
    predictor: Predictor, examples: EncodedExamples, directions: Directions
) -> Float[np.ndarray, "example target expert"]:
    """The part of every score that comes from each of the model's experts, in their order.

    The parts sum to the score. An expert whose modality an example lacks contributes 0.

    Args:
      predictor: a fusion model.
      examples: encoded examples.
      directions: the scores.
    """
    size = chunk_size(examples.num_examples, 1, MAX_ROWS, predictor.mesh.size)
    own = {"directions": directions}
    return run_in_chunks(_make_step(predictor.task), predictor, examples, own, size=size)


@functools.lru_cache(maxsize=32)
def _make_step(task: TrainingTask) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> Float[Array, "example target expert"]:
        found = task.model.apply({"params": params}, batch, graph, train=False).experts
        scales = dict(zip(found, params["expert_scales"].T, strict=True))
        parts = [
            product_of_experts({name: scales[name]}, {name: logits}, batch)
            for name, logits in found.items()
        ]
        return jnp.stack([score(part, own["directions"]) for part in parts], axis=-1)

    return step
