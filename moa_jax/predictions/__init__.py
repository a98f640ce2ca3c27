"""What `predict` writes: one answer per compound and the tables beside it."""
