"""Expression matrices of releases and users: landmark genes, level, scale and plates."""
