"""moa_jax: mechanism of action from L1000 expression, STRING, Gene Ontology and structure."""

__version__ = "0.1.0"
