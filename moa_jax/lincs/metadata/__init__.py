"""Metadata of the releases: field names, units, perturbation types, profile ids."""
