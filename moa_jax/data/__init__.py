"""The prepared dataset, its splits and batches, and the simulated release."""
