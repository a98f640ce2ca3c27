"""File formats of expression matrices: GCT, GCTX, h5ad, delimited text."""
