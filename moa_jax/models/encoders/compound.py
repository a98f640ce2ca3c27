"""The state of a compound: what the encoders say about its expression, structure and context."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.absence import or_absent
from moa_jax.schemas import Batch


class CompoundState(nn.Module):
    """One state from the modalities that may be used.

    Attributes:
      features: size of the state.
      dropout: share of its features dropped in training.
    """

    features: int
    dropout: float

    @nn.compact
    def __call__(
        self,
        signature: Float[Array, "batch feature"],
        molecule: Float[Array, "batch feature"],
        context: Float[Array, "batch feature"],
        batch: Batch,
        *,
        train: bool,
    ) -> Float[Array, "batch state"]:
        """The state; a masked modality is a learned constant, and context belongs to expression.

        Args:
          signature: encoded expression.
          molecule: encoded structure.
          context: encoded cell line, dose and time.
          batch: the examples.
          train: drops features.
        """
        parts = [
            or_absent(self, "absent_signature", signature + context, batch.expression_mask),
            or_absent(self, "absent_molecule", molecule, batch.structure_mask),
        ]
        state = nn.LayerNorm(name="norm")(jnp.concatenate(parts, axis=-1))
        state = nn.gelu(nn.Dense(self.features, name="state")(state))
        return nn.Dropout(self.dropout, name="dropout")(state, deterministic=not train)
