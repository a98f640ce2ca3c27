"""What stands in for a modality that may not be used."""

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
    """The state where `mask` allows it, elsewhere a learned constant.

    Args:
      module: the module that owns the constant.
      name: name of the constant among its parameters.
      state: state of the modality.
      mask: the modality may be used.
    """
    absent = module.param(name, nn.initializers.zeros_init(), (state.shape[-1],))
    return jnp.where(mask[:, None], state, absent)
