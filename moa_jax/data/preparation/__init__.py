"""Public files in, one prepared dataset out."""
