"""Expression signatures and the columns of their tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.schemas.errors import InputError, require_columns

SIGNATURE_COLUMNS = (
    "sig_id",
    "pert_id",
    "compound",
    "cell_line",
    "dose_um",
    "time_h",
    "n_replicates",
    "cc_q75",
    "tas",
    "plate",
)
GENE_NAME_COLUMNS = ("entrez_id", "symbol")
# `aliases`: other unambiguous names of the gene, separated by `|`; may be empty.
# `bead`: id of the bead colour, which two landmarks share; empty if unknown.
GENE_COLUMNS = (*GENE_NAME_COLUMNS, "aliases", "bead")


@dataclasses.dataclass(frozen=True)
class Signatures:
    """Expression signatures with one metadata row each.

    Attributes:
      expression: z-scores (or consensus scores), one row per signature.
      genes: `GENE_COLUMNS`, one row per column of `expression`; Entrez ids are strings.
      table: `SIGNATURE_COLUMNS`, one row per row of `expression`. Doses are micromolar, times
        hours; unknown values are missing (None or NaN), never a sentinel.
    """

    expression: Float[np.ndarray, "signature gene"]
    genes: pd.DataFrame
    table: pd.DataFrame

    def __post_init__(self) -> None:
        require_columns(self.genes, GENE_COLUMNS, "the signatures' gene table")
        require_columns(self.table, SIGNATURE_COLUMNS, "the signature table")
        expected = (len(self.table), len(self.genes))
        if self.expression.shape != expected:
            raise InputError(
                f"expression has shape {self.expression.shape}, "
                f"but the tables describe {expected} (signatures, genes)."
            )

    @property
    def num_genes(self) -> int:
        """Number of genes, the columns of `expression`."""
        return len(self.genes)
