"""Structures, identities, scaffolds, molecular graphs, and MoA and target labels."""
