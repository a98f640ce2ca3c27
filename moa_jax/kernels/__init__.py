"""Closed-form experts: kernel ridge regression, target propagation, leave-one-out answers."""
