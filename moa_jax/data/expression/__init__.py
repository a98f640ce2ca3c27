"""Expression matrices of any origin: their landmark genes, data level, scale and plates."""
