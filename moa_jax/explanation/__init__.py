"""Why the model gives an answer, and whether the explanation is faithful to the model."""
