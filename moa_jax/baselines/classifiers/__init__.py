"""Classifiers on expression, structure or both."""
