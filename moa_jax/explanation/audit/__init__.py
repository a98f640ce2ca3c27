"""Whether an attribution is complete, faithful, stable and dependent on the model."""
