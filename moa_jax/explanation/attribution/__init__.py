"""Attribution of scores to genes, graph nodes and atoms."""
