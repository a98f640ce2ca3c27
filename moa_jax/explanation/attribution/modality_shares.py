"""How much of a score each modality accounts for: exact Shapley values."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.explanation.attribution.chunks import MAX_ROWS, Step, chunk_size, run_in_chunks
from moa_jax.explanation.attribution.target import AttributionTarget, Directions, score
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.runs.predictor import Predictor

# Context is cell line, dose and time.
MODALITIES = ("expression", "structure", "context")


def shapley_values(
    worth: Float[np.ndarray, "*game coalition"],
) -> Float[np.ndarray, "*game player"]:
    """Exact Shapley values (Shapley 1953, eq. 13).

    Args:
      worth: value of each of the 2^players coalitions; bit p of a coalition's index is set if
        player p takes part.
    """
    num_coalitions = worth.shape[-1]
    num_players = num_coalitions.bit_length() - 1
    if num_coalitions != 2**num_players:
        raise ValueError(f"{num_coalitions} coalitions are not a power of two.")
    values = np.zeros((*worth.shape[:-1], num_players))
    for coalition in range(num_coalitions):
        size = coalition.bit_count()
        for player in range(num_players):
            if coalition >> player & 1:
                share = 1 / (num_players * math.comb(num_players - 1, size - 1))
                added = worth[..., coalition] - worth[..., coalition ^ (1 << player)]
                values[..., player] += share * added
    return values


def modality_shares(
    predictor: Predictor,
    examples: EncodedExamples,
    attribution_target: AttributionTarget,
    directions: Directions,
) -> Float[np.ndarray, "example target modality"]:
    """Shapley values of `MODALITIES` for every score.

    They sum to the score minus that of an example without any modality. A modality that an example
    lacks contributes exactly 0. Modalities are hidden by the model's own masks, not imputed.

    Args:
      predictor: the model.
      examples: encoded examples.
      attribution_target: the model whose logits are scored; its input is not read.
      directions: the scores.
    """
    size = chunk_size(examples.num_examples, 2 ** len(MODALITIES), MAX_ROWS, predictor.mesh.size)
    worth = run_in_chunks(
        _make_step(attribution_target), predictor, examples, {"directions": directions}, size=size
    )
    return shapley_values(worth)


def with_modalities(batch: Batch, seen: Bool[Array, " modality"]) -> Batch:
    """The batch with all other modalities hidden."""
    expression, structure, context = seen
    return dataclasses.replace(
        batch,
        expression_mask=batch.expression_mask & expression,
        structure_mask=batch.structure_mask & structure,
        cell_line=jnp.where(context, batch.cell_line, 0),
        dose_mask=batch.dose_mask & context,
        time_mask=batch.time_mask & context,
    )


@functools.lru_cache(maxsize=32)
def _make_step(attribution_target: AttributionTarget) -> Step:
    coalitions = np.arange(2 ** len(MODALITIES))
    seen = (coalitions[:, None] >> np.arange(len(MODALITIES)) & 1).astype(bool)

    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> Float[Array, "example target coalition"]:
        def of_coalition(seen: Bool[Array, " modality"]) -> Float[Array, "example target"]:
            answers = attribution_target.logits(params, with_modalities(batch, seen), graph)
            return score(answers, own["directions"])

        return jnp.moveaxis(jax.vmap(of_coalition)(jnp.asarray(seen)), 0, -1)

    return step
