"""AdamW with warm-up and cosine decay."""

from __future__ import annotations

from typing import Any

import jax
import ml_collections
import optax


def make_schedule(config: ml_collections.FrozenConfigDict, num_steps: int) -> optax.Schedule:
    """Linear warm-up to `learning_rate`, then cosine decay to zero at `num_steps`."""
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=config.learning_rate,
        warmup_steps=max(1, round(config.warmup_fraction * num_steps)),
        decay_steps=num_steps,
    )


def make_optimiser(
    config: ml_collections.FrozenConfigDict, num_steps: int
) -> optax.GradientTransformation:
    """AdamW (Loshchilov 2019) with gradient clipping; only matrices decay.

    Args:
      config: `learning_rate`, `warmup_fraction`, `weight_decay`, `clip_norm`, `adam_b2`.
      num_steps: length of the schedule.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            make_schedule(config, num_steps),
            b2=config.adam_b2,
            weight_decay=config.weight_decay,
            mask=_is_matrix,
        ),
    )


def _is_matrix(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
