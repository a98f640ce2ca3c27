"""The card of a run: data, scores, failures, intended use."""
