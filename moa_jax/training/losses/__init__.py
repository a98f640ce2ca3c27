"""Losses of networks: per example, and objectives that select, weight or remember examples."""
