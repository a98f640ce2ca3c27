"""Train state, step, losses, optimiser, sharding, checkpoints and metric writers."""
