"""The sections of the benchmark's page."""
