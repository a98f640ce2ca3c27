"""What a compound does to each protein of the graph, from the evidence of kernel experts.

Two-step kernel ridge regression (Pahikkala 2013; Stock 2018): the kernel experts are the step over
compounds; the step over proteins carries their evidence along STRING and the Gene Ontology to
proteins that resemble those with evidence.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.experts import has_modality, view_of
from moa_jax.schemas import ACTIONS, Batch

# Name of these parameters among the model's.
PROTEINS = "proteins"


def protein_logits(
    params: Mapping[str, Array],
    evidence: Mapping[str, Float[Array, "batch action_protein"]],
    batch: Batch,
) -> Float[Array, "batch action gene"]:
    """Logits of each action on each gene node of the graph.

    The sum over the actions is the logit of the gene as a target.

    Args:
      params: `carry`, from proteins with evidence to gene nodes, and `scales` of the kernel experts
        in each view.
      evidence: kernel expert -> its evidence, in the order of the scales.
      batch: the examples; an expert whose modality is masked takes no part.
    """
    total = scaled_evidence(params["scales"], evidence, batch).sum(axis=1)
    return jnp.matmul(total, params["carry"])


def scaled_evidence(
    scales: Float[Array, "view kernel"],
    evidence: Mapping[str, Float[Array, "batch action_protein"]],
    batch: Batch,
) -> Float[Array, "batch kernel action protein"]:
    """Evidence times the scales of the example's view; 0 where an expert's modality is masked.

    Args:
      scales: scales of the kernel experts in each view.
      evidence: kernel expert -> its evidence, in the order of the scales.
      batch: the examples.
    """
    scaled = [
        jnp.where(
            has_modality(expert, batch)[:, None],
            scales[view_of(batch), column][:, None] * values,
            0.0,
        )
        for column, (expert, values) in enumerate(evidence.items())
    ]
    shape = (len(batch.example_mask), len(scaled), len(ACTIONS), -1)
    return jnp.stack(scaled, axis=1).reshape(shape)
