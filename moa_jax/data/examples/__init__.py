"""Examples, their features and the batches made of them."""
