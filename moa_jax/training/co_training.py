"""Signatures without label, learned from where their compounds' structures say what they are.

Structure and signature are two views of one mechanism, so what is clear in one view teaches the
other (co-training: Blum and Mitchell 1998, https://doi.org/10.1145/279943.279962). It goes one way
here: the signature expert is too seldom sure to teach.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.compounds.substructures import SUBSTRUCTURE_VIEWS
from moa_jax.data.examples import Examples, concatenate, of_other_groups
from moa_jax.data.features import encode, fit_features
from moa_jax.models.kernel_experts import StructureKernel
from moa_jax.training.kernel_ridge import fit_structure_kernel
from moa_jax.training.shared_labels import References


def co_trained(
    config: ml_collections.ConfigDict,
    references: References,
    unlabelled: Examples | None,
    genes: pd.DataFrame,
) -> References:
    """The references, and unlabelled signatures with what the structure expert says of them.

    Only compounds of which it is sure are added, as signatures without structure, so that the
    structure expert does not learn from itself.

    Args:
      config: a complete configuration; of `co_training`, `least`: probability of the first MoA
        above which a compound is added; 1 adds none. Nor does a model without both kernel experts.
      references: what the structure expert learns from.
      unlabelled: further examples; those of a compound group of the references are left out.
      genes: `GENE_COLUMNS`, one row per expression column.
    """
    kernels = {"signature_kernel", "structure_kernel"}
    least = config.co_training.least
    if unlabelled is None or least >= 1 or not kernels <= set(config.model.experts):
        return references
    other = of_other_groups(unlabelled, references.examples)
    both = unlabelled.has_expression & unlabelled.has_structure
    pupils = unlabelled.take(np.flatnonzero(other & both))
    probs = _structure_answers(config, references, pupils, genes)
    sure = np.flatnonzero(probs.max(axis=1) > least)
    taught = dataclasses.replace(pupils.take(sure), smiles=(None,) * len(sure))
    return References(
        concatenate(references.examples, taught),
        np.concatenate([references.labels, probs[sure]]),
    )


def _structure_answers(
    config: ml_collections.ConfigDict,
    references: References,
    asked: Examples,
    genes: pd.DataFrame,
) -> Float32[np.ndarray, "asked moa"]:
    """Probability of each MoA by structure alone, with the scale of the configuration."""
    features = fit_features(references.examples, genes)
    encoded = dataclasses.replace(encode(references.examples, features), labels=references.labels)
    views = tuple(SUBSTRUCTURE_VIEWS.values())
    given = fit_structure_kernel(encoded, config.kernels.structure, views=views, seed=config.seed)
    found = encode(asked, features)
    logits = StructureKernel(len(features.moas), views).apply(
        {"params": given}, jnp.asarray(found.substructures)
    )
    scale = config.expert_scales.structure.structure_kernel
    return np.asarray(jax.nn.softmax(scale * logits, axis=-1))[found.structure]
