"""Nearest neighbours under similarities of signatures and structures."""
