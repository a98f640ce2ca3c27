"""The explanation of one compound, as tables and as a page."""
