"""Known targets of compounds: a second task for the joint expert, and what tells MoAs apart."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from moa_jax.data.features import EncodedExamples
from moa_jax.schemas import Batch
from moa_jax.training.losses import label_distribution_cross_entropy, masked_sum


def target_loss(logits: Float[Array, "batch gene"], batch: Batch) -> Float[Array, ""]:
    """Cross-entropy of the known targets, shared evenly, and a softmax over the graph's genes.

    Summed over the batch's examples, each times its weight; those without a known target cost 0.

    Args:
      logits: score of every gene node.
      batch: the batch with the masks of what is really there.
    """
    rows = jnp.arange(len(logits))[:, None]
    known = batch.target_mask.astype(logits.dtype)
    labels = jnp.zeros_like(logits).at[rows, batch.targets].max(known)
    losses = label_distribution_cross_entropy(logits, labels, jnp.ones(logits.shape, bool))
    return masked_sum(losses, batch.weight, batch.example_mask)


def targets_of_moas(train: EncodedExamples, num_genes: int) -> Float32[np.ndarray, "moa gene"]:
    """How often each gene is a target of the examples of each MoA; rows sum to 1, or to 0."""
    counts = np.zeros((train.labels.shape[1], num_genes))
    for example, place in zip(*np.nonzero(train.target_mask), strict=True):
        counts[:, train.targets[example, place]] += train.labels[example]
    return (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)
