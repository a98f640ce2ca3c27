"""Encoders, one per modality, and their layers."""
