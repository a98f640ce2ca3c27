"""Sanity check by randomised weights: an explanation of the model must change with the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from moa_jax.models.experts import EXPERTS
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.sharding import replicate

# Modules of the fusion model from output to input; any others come last. Those of kernel experts
# hold the coefficients of their evidence for proteins, too.
FROM_OUTPUT = (
    "mechanism_prototypes",
    PROTEINS,
    *(name for name, expert in EXPERTS.items() if expert.comparison),
    "protein_network",
    "joint_logits",
    "fuse",
    "fuse_norm",
    "node_attention",
    "atom_attention",
    "context",
    "signature",
    "molecule",
    "knowledge",
)
# Scales of whole experts do not change what an expert reads.
NOT_RANDOMISED = ("expert_scales",)


def randomisation_cascade(
    predictor: Predictor, *, seed: int = 0
) -> Iterator[tuple[str, Predictor]]:
    """Cascading randomisation of the model's modules (Adebayo 2018, section 3.1).

    The values of each array of a module are shuffled, which keeps their distribution, one module
    after the other, from output to input.

    Args:
      predictor: the model.
      seed: seed of the shuffles.

    Yields:
      Name of the module that was randomised last, and the model.
    """
    known = [name for name in predictor.params if name not in NOT_RANDOMISED]
    first = [name for name in FROM_OUTPUT if name in known]
    params = dict(predictor.params)
    for place, name in enumerate([*first, *sorted(set(known) - set(first))]):
        own = shuffled(params[name], np.random.default_rng([seed, place]))
        params[name] = replicate(own, predictor.mesh)
        yield name, dataclasses.replace(predictor, params=dict(params))


def randomised(predictor: Predictor, *, seed: int = 0) -> Predictor:
    """The model with all its modules randomised."""
    *_, (_, last) = randomisation_cascade(predictor, seed=seed)
    return last


def shuffled(params: Mapping[str, Any] | Any, rng: np.random.Generator) -> Any:
    """Parameters with the values of each array in random order."""

    def shuffle(values: Any) -> np.ndarray:
        values = np.asarray(values)
        return rng.permutation(values.ravel()).reshape(values.shape)

    return jax.tree.map(shuffle, params)
