"""Splits: their rules, the partition of the data, and the search for leaks."""
