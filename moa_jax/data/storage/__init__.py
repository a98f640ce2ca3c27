"""The prepared folder on disk: its tables, graph and gene sets."""
