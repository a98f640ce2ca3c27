"""Heads of the joint expert: MoAs by similarity to vectors that stand for them, and targets."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

# How the joint expert's state becomes logits.
MOA_HEADS = ("linear", "prototypes")


def word_shares(names: tuple[str, ...]) -> Float32[np.ndarray, "name word"]:
    """Words of each name, as rows of unit length over all words in alphabetical order."""
    words = [sorted(set(name.lower().split())) for name in names]
    place = {word: row for row, word in enumerate(sorted(set().union(*words)))}
    shares = np.zeros((len(names), len(place)), np.float32)
    for row, found in enumerate(words):
        shares[row, [place[word] for word in found]] = max(len(found), 1) ** -0.5
    return shares


class PrototypeHead(nn.Module):
    """Logits by similarity to a vector per MoA, made of its name, targets and a part of its own.

    MoAs that share words, such as two receptors' antagonists, or targets that are close in the
    graph start out alike, so a rare one borrows strength (label embeddings: Akata 2013, eq. 3).
    The part of its own starts at zero.

    Attributes:
      moa_names: names of the MoAs.
      features: size of the vectors.
    """

    moa_names: tuple[str, ...]
    features: int

    @nn.compact
    def __call__(
        self,
        state: Float[Array, "batch feature"],
        genes: Float[Array, "gene node_feature"],
        moa_targets: Float[Array, "moa gene"],
    ) -> Float[Array, "batch moa"]:
        """Logits; zeros at the start.

        Args:
          state: what is known of each example.
          genes: embeddings of the graph's genes.
          moa_targets: how far each gene is a target of the MoA's compounds; rows sum to 1, or to
            0 where no target is known.
        """
        zeros = nn.initializers.zeros_init()
        shares = word_shares(self.moa_names)
        words = self.param(
            "words", nn.initializers.normal(stddev=1.0), (shares.shape[1], self.features)
        )
        own = self.param("own", zeros, (len(self.moa_names), self.features))
        of_targets = nn.Dense(self.features, use_bias=False, name="targets")(moa_targets @ genes)
        prototypes = own + jnp.asarray(shares, words.dtype) @ words + of_targets
        point = nn.Dense(self.features, kernel_init=zeros, name="point")(state)
        bias = self.param("bias", zeros, (len(self.moa_names),))
        return point @ prototypes.T / jnp.sqrt(self.features) + bias


class TargetHead(nn.Module):
    """Score of every gene of the graph as a target: its embedding times a query, and a bias."""

    @nn.compact
    def __call__(
        self, state: Float[Array, "batch feature"], genes: Float[Array, "gene node_feature"]
    ) -> Float[Array, "batch gene"]:
        """Logits; zeros at the start."""
        num_genes, size = genes.shape
        zeros = nn.initializers.zeros_init()
        query = nn.Dense(size, kernel_init=zeros, name="query")(state)
        return query @ genes.T / jnp.sqrt(size) + self.param("bias", zeros, (num_genes,))
