"""All methods by name and family, in the order of the results table.

A new method is one line in the mapping of its family: the settings that it tries or, if it is
trained in a folder, a function from this folder to the method.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping

from moa_jax.baselines.candidates import AS_KNOWN, EXPRESSION, FUSION, STRUCTURE
from moa_jax.baselines.controls import CONTROLS
from moa_jax.baselines.interface import Learner, Method
from moa_jax.baselines.neural.classifiers import (
    expression_mlp,
    intermediate_fusion,
    molecule_gnn,
    string_gcn,
)
from moa_jax.baselines.neural.embeddings import contrastive_knn, vae_knn, vae_logistic
from moa_jax.baselines.neural.moasl import moasl
from moa_jax.baselines.neural.ontology_network import visible_network
from moa_jax.baselines.similarity.candidates import SIMILARITY_CANDIDATES
from moa_jax.baselines.similarity.nearest_neighbours import CosineKnn
from moa_jax.baselines.tuning import Tuned
from moa_jax.schemas import InputError

Candidates = Mapping[str, Learner]
InFolder = Callable[[pathlib.Path], Method]

SIMILARITY: dict[str, Candidates] = {
    "cosine_knn": {AS_KNOWN: CosineKnn()},
    "cosine_knn_tuned": SIMILARITY_CANDIDATES["cosine_knn"],
    **{name: tried for name, tried in SIMILARITY_CANDIDATES.items() if name != "cosine_knn"},
}

# Family -> name -> settings as text -> learner, or folder -> method.
FAMILIES: dict[str, Mapping[str, Candidates | InFolder]] = {
    "control": CONTROLS,
    "similarity": SIMILARITY,
    "expression": {
        **EXPRESSION,
        "expression_mlp": expression_mlp,
        "string_gcn": string_gcn,
        "visible_network": visible_network,
        "contrastive_knn": contrastive_knn,
        "moasl": moasl,
        "vae_knn": vae_knn,
        "vae_logistic": vae_logistic,
    },
    "structure": {**STRUCTURE, "molecule_gnn": molecule_gnn},
    "fusion": {**FUSION, "intermediate_fusion": intermediate_fusion},
}
FAMILY_OF = {name: family for family, methods in FAMILIES.items() for name in methods}
METHODS = tuple(FAMILY_OF)


def trains_in_folder(name: str) -> bool:
    """Whether `make_method` needs a folder for the method `name`."""
    return not isinstance(FAMILIES[FAMILY_OF[name]][name], Mapping)


def make_method(name: str, workdir: pathlib.Path | None = None) -> Method:
    """The method called `name`.

    Args:
      name: one of `METHODS`.
      workdir: folder of the run, for a method that is trained in a folder; one folder per
        training set. Other methods do not use it.

    Raises:
      InputError: there is no such method, or it needs a folder and none is given.
    """
    if name not in METHODS:
        raise InputError(f"there is no method {name!r}; the methods are {', '.join(METHODS)}.")
    found = FAMILIES[FAMILY_OF[name]][name]
    if isinstance(found, Mapping):
        return Tuned(name, found)
    if workdir is None:
        raise InputError(f"the method {name} needs a folder for its training run.")
    return found(workdir)
