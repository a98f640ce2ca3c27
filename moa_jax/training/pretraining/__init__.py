"""Pretraining of the fusion model's encoders without labels."""
