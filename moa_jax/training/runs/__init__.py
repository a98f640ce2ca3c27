"""The folder of a run: checkpoints, metrics, and the model restored from it."""
