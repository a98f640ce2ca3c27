"""Calibrated confidence: probabilities, label sets, abstention, known and new."""
