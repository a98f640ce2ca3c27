"""Matrix files as their formats lay them out, for tests that look into one."""

import numpy as np
import pandas as pd

from moa_jax.lincs.files.matrix import ExpressionMatrix, open_matrix


def read_matrix(path, *, profile_ids=None, gene_ids=None) -> ExpressionMatrix:
    """A GCTX, GCT or h5ad file, or the part asked for in the order asked for."""
    opened = open_matrix(path, lambda _: 0)
    profiles = opened.profile_places(profile_ids)
    genes = np.arange(len(opened.gene_table))
    if gene_ids is not None:
        genes = pd.Index(opened.gene_table.index).get_indexer(list(gene_ids))
        assert (genes >= 0).all(), "a gene is not there"
    profile_table, gene_table = opened.profile_table.iloc[profiles], opened.gene_table.iloc[genes]
    return ExpressionMatrix(
        values=opened.values(profiles, genes),
        profile_ids=tuple(profile_table.index),
        gene_ids=tuple(gene_table.index),
        profile_table=profile_table,
        gene_table=gene_table,
    )
