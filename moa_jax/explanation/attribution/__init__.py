"""Attributions: which genes, nodes and atoms carry a score."""
