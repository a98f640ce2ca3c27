"""Evidence outside the model: similar compounds, gene sets, targets, substructures."""
