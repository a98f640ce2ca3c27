"""Learned replacement for a masked modality."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def or_absent(
    module: nn.Module,
    name: str,
    state: Float[Array, "batch feature"],
    mask: Bool[Array, " batch"],
) -> Float[Array, "batch feature"]:
    """The state where `mask` is true, elsewhere a constant that is learned.

    Args:
      module: the module that owns the constant.
      name: the constant's name among its parameters.
      state: state of the modality.
      mask: whether the modality may be used.
    """
    absent = module.param(name, nn.initializers.zeros_init(), (state.shape[-1],))
    return jnp.where(mask[:, None], state, absent)
