"""Every neural baseline by its name."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from moa_jax.baselines.neural import NeuralMethod
from moa_jax.baselines.neural_classifiers import (
    expression_mlp,
    intermediate_fusion,
    molecule_gnn,
    string_gcn,
)
from moa_jax.baselines.neural_embeddings import contrastive_knn, vae_knn, vae_logistic

# Name -> maker of the method from the folder of its runs, in the order of the results table.
NEURAL_METHODS: dict[str, Callable[[pathlib.Path], NeuralMethod]] = {
    "expression_mlp": expression_mlp,
    "string_gcn": string_gcn,
    "contrastive_knn": contrastive_knn,
    "vae_knn": vae_knn,
    "vae_logistic": vae_logistic,
    "molecule_gnn": molecule_gnn,
    "intermediate_fusion": intermediate_fusion,
}
