"""Metrics and statistics on arrays."""
