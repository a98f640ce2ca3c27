"""Ligand tables: activities of compounds on proteins, in their published formats."""
