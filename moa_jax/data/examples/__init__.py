"""Examples, their features and batches."""
