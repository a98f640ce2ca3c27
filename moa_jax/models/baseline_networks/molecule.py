"""Networks on structure: a classifier on the molecular graph, and an intermediate fusion."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.absence import or_absent
from moa_jax.models.baseline_networks.expression import ExpressionTrunk
from moa_jax.models.encoders.molecule import atom_states, largest_over_atoms, mean_over_atoms
from moa_jax.schemas import Batch, GraphArrays


class MoleculeGnn(nn.Module):
    """Message passing along bonds, mean and maximum over atoms, one hidden layer; no fingerprint.

    Attributes:
      num_moas: size of the output.
      atom_features: size of an atom's state.
      num_layers: message-passing steps.
      hidden: width of the hidden layer.
      dropout: share of hidden units dropped in training.
    """

    num_moas: int
    atom_features: int
    num_layers: int
    hidden: int
    dropout: float

    @nn.compact
    def __call__(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> Float[Array, "batch moa"]:
        """Logits of every example; the knowledge graph is not used."""
        atoms = atom_states(batch.molecules, self.atom_features, self.num_layers)
        num_examples = batch.fingerprint.shape[0]
        mean = mean_over_atoms(atoms, batch.molecules, num_examples)
        most = largest_over_atoms(atoms, batch.molecules, num_examples)
        state = jnp.concatenate([mean, most], axis=-1)
        state = nn.Dropout(self.dropout, name="pool_dropout")(state, deterministic=not train)
        state = nn.gelu(nn.Dense(self.hidden, name="hidden")(state))
        state = nn.Dropout(self.dropout, name="hidden_dropout")(state, deterministic=not train)
        return nn.Dense(self.num_moas, kernel_init=nn.initializers.zeros_init(), name="logits")(
            state
        )


class IntermediateFusion(nn.Module):
    """A perceptron on the concatenated embeddings of expression and Morgan bits.

    A masked modality is replaced by a learned constant.

    Attributes:
      num_moas: size of the output.
      features: size of each modality's embedding.
      hidden: width of the joint hidden layer.
      gene_dropout: share of genes hidden in training.
      bit_dropout: share of fingerprint bits hidden in training.
      dropout: share of hidden units dropped in training.
    """

    num_moas: int
    features: int
    hidden: int
    gene_dropout: float
    bit_dropout: float
    dropout: float

    @nn.compact
    def __call__(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> Float[Array, "batch moa"]:
        """Logits of every example; the knowledge graph is not used."""
        expression = ExpressionTrunk(
            (self.features,), self.gene_dropout, self.dropout, name="expression"
        )(batch.expression, batch.gene_mask, train=train)
        bits = nn.Dropout(self.bit_dropout, name="bit_dropout")(
            batch.fingerprint, deterministic=not train
        )
        structure = nn.gelu(nn.Dense(self.features, name="bits")(bits))
        structure = nn.LayerNorm(name="structure_norm")(structure)
        zeros = nn.initializers.zeros_init()
        state = jnp.concatenate(
            [
                or_absent(self, "absent_expression", expression, batch.expression_mask),
                or_absent(self, "absent_structure", structure, batch.structure_mask),
            ],
            axis=-1,
        )
        state = nn.Dropout(self.dropout, name="joined_dropout")(state, deterministic=not train)
        state = nn.gelu(nn.Dense(self.hidden, name="hidden")(state))
        state = nn.Dropout(self.dropout, name="hidden_dropout")(state, deterministic=not train)
        return nn.Dense(self.num_moas, kernel_init=zeros, name="logits")(state)
