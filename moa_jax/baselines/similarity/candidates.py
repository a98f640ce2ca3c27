"""The similarity methods and their candidate settings."""

from __future__ import annotations

from collections.abc import Mapping

from moa_jax.baselines.interface import Learner
from moa_jax.baselines.similarity.connectivity import Connectivity, Score
from moa_jax.baselines.similarity.discriminant import DiscriminantCosine
from moa_jax.baselines.similarity.measures import (
    CharacteristicDirectionCosine,
    Cosine,
    ExtremeScore,
    Spearman,
)
from moa_jax.baselines.similarity.nearest_neighbours import CosineKnn, Measure, SimilarityKnn


def _votes(settings: str, measure: Measure, *temperatures: float) -> dict[str, Learner]:
    """All compounds vote, at each of the temperatures."""
    return {
        f"{settings}, temperature {temperature}": SimilarityKnn(measure, temperature)
        for temperature in temperatures
    }


def _connectivity(score: Score) -> dict[str, Learner]:
    return {
        "50 genes, quantiles": Connectivity(score, 50),
        "100 genes, quantiles": Connectivity(score, 100),
        "100 genes, best compound": Connectivity(score, 100, num_best=1),
        "100 genes, best 3 compounds": Connectivity(score, 100, num_best=3),
    }


def _extremes(score: str) -> dict[str, Learner]:
    """100 query genes, as in DrSim's benchmark (Wei 2022), or twice as many."""
    return {
        **_votes("100 genes", ExtremeScore(score, set_size=50), 1.0, 0.5),
        **_votes("200 genes", ExtremeScore(score, set_size=100), 1.0, 0.5),
    }


# The first of `cosine_knn` is the reference baseline; in all others each compound votes once.
SIMILARITY_CANDIDATES: Mapping[str, Mapping[str, Learner]] = {
    "cosine_knn": {
        "standardised, 10 signatures": CosineKnn(10),
        **_votes("all compounds", Cosine(), 1.0, 0.5),
        "20 compounds, temperature 0.5": SimilarityKnn(Cosine(), 0.5, num_neighbours=20),
    },
    "spearman_knn": {
        **_votes("all compounds", Spearman(), 1.0, 0.5, 0.3),
        "20 compounds, temperature 0.5": SimilarityKnn(Spearman(), 0.5, num_neighbours=20),
    },
    "connectivity_wtcs": _connectivity("wtcs"),
    "connectivity_ncs": _connectivity("ncs"),
    "connectivity_tau": _connectivity("tau"),
    "xsum_knn": _extremes("xsum"),
    "xcos_knn": _extremes("xcos"),
    "sscmap_knn": _extremes("sscmap"),
    "cd_cosine_knn": {
        **_votes("gamma 0.03", CharacteristicDirectionCosine(0.03), 1.0),
        **_votes("gamma 0.1", CharacteristicDirectionCosine(0.1), 1.0, 0.5),
        **_votes("gamma 0.3", CharacteristicDirectionCosine(0.3), 1.0),
    },
    "lda_similarity": {
        **_votes("100 components", DiscriminantCosine(100), 0.5, 0.3),
        **_votes("200 components", DiscriminantCosine(200), 0.5, 0.3),
    },
}
