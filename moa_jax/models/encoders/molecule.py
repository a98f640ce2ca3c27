"""Encoder of a compound's structure: its molecular graph and its Morgan fingerprint."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.message_passing import BondNetworkLayer, owner_max, owner_sum
from moa_jax.schemas import MoleculeBatch


@flax.struct.dataclass
class MoleculeEncoding:
    """Outputs of the molecule encoder.

    Attributes:
      logits: logits from structure alone.
      state: summary of the molecule.
      atoms: state of every atom; arbitrary on padding.
      mean: mean state of a molecule's atoms.
      bits: the fingerprint after dropout.
    """

    logits: Float[Array, "batch moa"]
    state: Float[Array, "batch feature"]
    atoms: Float[Array, "shard atom atom_state"]
    mean: Float[Array, "batch atom_state"]
    bits: Float[Array, "batch bit"]


class AtomEncoder(nn.Module):
    """Atom states of one shard's molecules.

    Attributes:
      features: size of an atom's state.
      num_layers: message-passing steps.
    """

    features: int
    num_layers: int

    @nn.compact
    def __call__(self, molecules: MoleculeBatch) -> Float[Array, "atom feature"]:
        """Encodes the molecules of one shard, without an axis for shards."""
        atoms = nn.Dense(self.features, name="embed")(molecules.atom_features)
        for layer in range(self.num_layers):
            atoms = BondNetworkLayer(self.features, name=f"layer_{layer}")(
                atoms,
                molecules.bond_features,
                molecules.senders,
                molecules.receivers,
                molecules.bond_mask,
            )
        return atoms


def atom_states(
    molecules: MoleculeBatch, features: int, num_layers: int
) -> Float[Array, "shard atom feature"]:
    """States of all atoms, by an `AtomEncoder` named `atoms` within the calling module."""
    if molecules.atom_mask.shape[0] == 1:
        # Without an axis for the shards the backward pass takes half the time on CPU.
        only = jax.tree.map(lambda leaf: jnp.asarray(leaf)[0], molecules)
        return AtomEncoder(features, num_layers, name="atoms")(only)[None]
    encode_shards = nn.vmap(
        AtomEncoder, variable_axes={"params": None}, split_rngs={"params": False}
    )
    return encode_shards(features, num_layers, name="atoms")(molecules)


def mean_over_atoms(
    atoms: Float[Array, "shard atom feature"], molecules: MoleculeBatch, num_examples: int
) -> Float[Array, "example feature"]:
    """Mean state of each example's atoms; zeros if it has none."""
    num_owners = num_examples // molecules.atom_mask.shape[0]
    mask = molecules.atom_mask[..., None]
    pool = jax.vmap(owner_sum, in_axes=(0, 0, None))
    total = pool(jnp.where(mask, atoms, 0.0), molecules.owner, num_owners)
    count = pool(mask.astype(atoms.dtype), molecules.owner, num_owners)
    return (total / jnp.maximum(count, 1.0)).reshape(num_examples, -1)


def largest_over_atoms(
    atoms: Float[Array, "shard atom feature"], molecules: MoleculeBatch, num_examples: int
) -> Float[Array, "example feature"]:
    """Maximum of each feature over each example's atoms; zeros if it has none."""
    num_owners = num_examples // molecules.atom_mask.shape[0]
    pool = jax.vmap(owner_max, in_axes=(0, 0, 0, None))
    largest = pool(atoms, molecules.owner, molecules.atom_mask, num_owners)
    return largest.reshape(num_examples, -1)


class MoleculeEncoder(nn.Module):
    """Linear logits from fingerprint bits plus a nonlinear summary of graph and fingerprint.

    The linear path alone is multinomial logistic regression on Morgan bits.

    Attributes:
      num_moas: size of the output.
      features: size of the summary.
      atom_features: size of an atom's state.
      num_layers: message-passing steps.
      hidden: width of the hidden layer.
      input_dropout: share of fingerprint bits hidden in training.
      dropout: share of hidden units dropped in training.
    """

    num_moas: int
    features: int
    atom_features: int
    num_layers: int
    hidden: int
    input_dropout: float
    dropout: float

    @nn.compact
    def __call__(
        self,
        molecules: MoleculeBatch,
        fingerprint: Float[Array, "batch bit"],
        *,
        train: bool,
    ) -> MoleculeEncoding:
        """Encodes the molecule of every example; an example without atoms gets a zero graph."""
        atoms = atom_states(molecules, self.atom_features, self.num_layers)
        mean = mean_over_atoms(atoms, molecules, fingerprint.shape[0])
        bits = nn.Dropout(self.input_dropout, name="bit_dropout")(
            fingerprint, deterministic=not train
        )
        hidden = nn.Dense(self.hidden, name="graph_hidden")(mean) + nn.Dense(
            self.hidden, use_bias=False, name="bit_hidden"
        )(bits)
        hidden = nn.Dropout(self.dropout, name="hidden_dropout")(
            nn.gelu(hidden), deterministic=not train
        )
        zeros = nn.initializers.zeros_init()
        logits = nn.Dense(self.num_moas, kernel_init=zeros, name="bit_logits")(bits) + nn.Dense(
            self.num_moas, use_bias=False, kernel_init=zeros, name="hidden_logits"
        )(hidden)
        state = nn.Dense(self.features, name="state")(hidden)
        return MoleculeEncoding(logits=logits, state=state, atoms=atoms, mean=mean, bits=bits)
