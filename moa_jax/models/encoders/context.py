"""Encoder of the experiment's context: cell line, dose and time, each possibly unknown."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class ContextEncoder(nn.Module):
    """Sum of a cell-line embedding and of dose and time features.

    Attributes:
      num_cell_lines: size of the cell-line vocabulary, the unknown token (row 0) included.
      features: size of the state.
      cell_line_dropout: share of examples whose cell line is hidden in training, so that the
        unknown token is trained.
    """

    num_cell_lines: int
    features: int
    cell_line_dropout: float

    @nn.compact
    def __call__(
        self,
        cell_line: Int[Array, " batch"],
        log_dose: Float[Array, " batch"],
        dose_mask: Bool[Array, " batch"],
        log_time: Float[Array, " batch"],
        time_mask: Bool[Array, " batch"],
        *,
        train: bool,
    ) -> Float[Array, "batch feature"]:
        """Encodes the context; masked dose and time add a learned constant instead.

        Args:
          cell_line: row of the vocabulary.
          log_dose: log10 of micromolar.
          dose_mask: the dose is known.
          log_time: log10 of hours.
          time_mask: the time is known.
          train: hides cell lines.
        """
        keep = nn.Dropout(self.cell_line_dropout, name="cell_line_dropout")(
            jnp.ones(cell_line.shape), deterministic=not train
        )
        embed = nn.Embed(self.num_cell_lines, self.features, name="cell_line")
        state = embed(jnp.where(keep > 0, cell_line, 0))
        for name, value, mask in (("dose", log_dose, dose_mask), ("time", log_time, time_mask)):
            known = mask.astype(jnp.float32)
            inputs = jnp.stack([jnp.where(mask, value, 0.0), known], axis=-1)
            state = state + nn.Dense(self.features, name=name)(inputs)
        return state
