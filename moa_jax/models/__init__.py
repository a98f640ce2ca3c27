"""flax.linen modules: arrays in, named arrays out."""
