"""Preparation of a dataset from public files."""
