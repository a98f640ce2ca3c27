"""Objectives of the molecule encoder: hidden elements and molecular properties."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from moa_jax.compounds.descriptors import DESCRIPTORS, molecular_descriptors
from moa_jax.compounds.molecular_graph import ATOM_FEATURES
from moa_jax.schemas import MoleculeBatch

# Columns of the atom features that name the element.
ELEMENTS = tuple(column for column, name in enumerate(ATOM_FEATURES) if name.startswith("element "))
# Descriptors of each structure.
Properties = Float32[np.ndarray, "structure descriptor"]


def hide_atoms(
    rng: Array, molecules: MoleculeBatch, *, share: float
) -> tuple[MoleculeBatch, Bool[Array, "shard atom"]]:
    """Hides all features of some atoms (Hu 2020, section 3.1.2); their bonds stay.

    Zeros are the mask token, because every real atom has a feature that is not 0.

    Args:
      rng: key.
      molecules: the molecules of a batch.
      share: probability that an atom is hidden.

    Returns:
      The molecules without these features, and the mask of hidden atoms.
    """
    hidden = (jax.random.uniform(rng, molecules.atom_mask.shape) < share) & molecules.atom_mask
    features = jnp.where(hidden[..., None], 0.0, molecules.atom_features)
    return dataclasses.replace(molecules, atom_features=features), hidden


def hidden_element_loss(
    logits: Float[Array, "shard atom element"],
    atom_features: Float[Array, "shard atom atom_feature"],
    hidden: Bool[Array, "shard atom"],
) -> Float[Array, ""]:
    """Mean cross-entropy of the elements of hidden atoms, in nats; 0 without any.

    Args:
      logits: predicted element of each atom.
      atom_features: the features before hiding.
      hidden: hidden atoms.
    """
    elements = atom_features[..., list(ELEMENTS)]
    losses = -jnp.sum(elements * jax.nn.log_softmax(logits, axis=-1), axis=-1)
    return jnp.sum(jnp.where(hidden, losses, 0.0)) / jnp.maximum(hidden.sum(), 1)


def standardised_descriptors(smiles: tuple[str, ...]) -> Properties:
    """Descriptors of structures with mean 0 and variance 1, and a last row of zeros for none.

    A descriptor that is constant over the structures is 0.

    Raises:
      InputError: RDKit cannot read a SMILES.
    """
    if not smiles:
        return np.zeros((1, len(DESCRIPTORS)), np.float32)
    values = molecular_descriptors(smiles)
    scale = values.std(axis=0)
    centred = (values - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    return np.concatenate([centred, np.zeros((1, values.shape[1]))]).astype(np.float32)
