"""Networks that only baselines use."""
