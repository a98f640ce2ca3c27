"""Whether an attribution is faithful, stable and about the model."""
