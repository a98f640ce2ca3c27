"""Why the model answers as it does, and whether the explanation can be trusted."""
