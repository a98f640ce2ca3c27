"""Everything that is said of one compound, as tables and as a page."""
