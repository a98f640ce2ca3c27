"""Perturbations of inputs and training data: noise, wrong labels, missing modalities."""
