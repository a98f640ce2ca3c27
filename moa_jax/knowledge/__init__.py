"""Gene identifiers, STRING, Gene Ontology, and the graph assembled from them."""
