"""The model card and the plots of a run."""
