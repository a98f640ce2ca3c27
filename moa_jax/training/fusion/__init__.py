"""How the fusion model is made and trained."""
