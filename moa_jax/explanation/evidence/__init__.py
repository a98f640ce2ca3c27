"""Evidence for an answer: similar compounds, gene sets, targets, substructures."""
