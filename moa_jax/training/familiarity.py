"""How much new signatures resemble those that a model was trained on."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from moa_jax.data.features import encode
from moa_jax.evaluation.nearest import nearest_cosine
from moa_jax.models.kernel_experts import centred, damped
from moa_jax.schemas import Examples
from moa_jax.training.predictor import Predictor

_EXPERT = "signature_kernel"
# Training signatures that say what is usual, at most.
_MOST_PROBES = 1_000


def similarity_to_training(
    predictor: Predictor, examples: Examples
) -> Float[np.ndarray, " example"]:
    """Largest cosine of each signature with a training signature, as the signature expert sees it.

    Of signatures less the mean of their cell line, over the measured genes. NaN where the model has
    no signature expert and so keeps no training signature.
    """
    if _EXPERT not in predictor.task.model.experts:
        return np.full(examples.num_examples, np.nan)
    params = jax.device_get(predictor.params)[_EXPERT]
    # Structures take no part here and are slow to encode.
    bare = dataclasses.replace(examples, smiles=(None,) * examples.num_examples)
    encoded = encode(bare, predictor.features)
    params = jax.tree.map(jnp.asarray, params)
    signatures = centred(
        jnp.asarray(encoded.expression),
        jnp.asarray(encoded.cell_line),
        params["gene_scale"],
        params["offsets"],
    )
    measured = examples.gene_mask
    signatures = damped(params, signatures, jnp.broadcast_to(measured, signatures.shape))
    references = np.asarray(params["references"])
    return nearest_cosine(np.asarray(signatures)[:, measured], references[:, measured])


def similarity_within_training(
    predictor: Predictor, references: pd.DataFrame, gene_mask: Bool[np.ndarray, " gene"]
) -> Float[np.ndarray, " reference"]:
    """The same of training signatures with those of other compounds: what new ones will have.

    Args:
      predictor: a fusion model.
      references: what `training.references.read_references` read from the run's folder.
      gene_mask: genes that new signatures measure.

    Returns:
      One value for each of at most 1,000 training signatures, evenly spaced; empty where the model
      keeps none or all are of one compound.
    """
    own = references[references["expert"] == _EXPERT]
    groups = own["group"].to_numpy(str)
    if _EXPERT not in predictor.task.model.experts or len(set(groups)) < 2:
        return np.empty(0)
    signatures = np.asarray(jax.device_get(predictor.params)[_EXPERT]["references"])[:, gene_mask]
    length = np.linalg.norm(signatures, axis=1, keepdims=True)
    unit = signatures / np.where(length > 0, length, 1.0)
    probes = np.unique(np.linspace(0, len(own) - 1, min(len(own), _MOST_PROBES)).astype(int))
    cosine = (unit[probes] @ unit.T).astype(np.float64)
    return np.where(groups[probes][:, None] == groups[None], -np.inf, cosine).max(axis=1)
