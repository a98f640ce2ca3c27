"""The folder of a run: checkpoints, metrics, the model restored from it."""
