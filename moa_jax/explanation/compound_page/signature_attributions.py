"""Attributions, computed for many signatures at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.explanation.attribution.baseline_signatures import (
    cell_line_means,
    cell_line_offsets,
    no_change,
)
from moa_jax.explanation.attribution.chunked_attribution import attribute, attribute_to_tolerance
from moa_jax.explanation.attribution.expert_shares import expert_shares
from moa_jax.explanation.attribution.gradients import IntegratedGradients
from moa_jax.explanation.attribution.modality_shares import modality_shares
from moa_jax.explanation.attribution.network_attribution import adjoint_node_attribution
from moa_jax.explanation.attribution.occlusion import occlude_neighbourhoods
from moa_jax.explanation.attribution.target import (
    AttributionTarget,
    Directions,
    contrast_directions,
    moa_directions,
)
from moa_jax.explanation.audit.deletion import Curves, control_importance, deletion_curves
from moa_jax.explanation.audit.weight_randomisation import randomised
from moa_jax.models.experts import EXPERTS, PROTEIN_NETWORK, SIGNATURE_KERNEL
from moa_jax.progress import say
from moa_jax.schemas import KnowledgeGraph
from moa_jax.training.runs.predictor import Predictor

# Initial and largest number of steps of integrated gradients, and tolerated completeness gap.
_NUM_STEPS, _MAX_STEPS, _TOLERANCE = 64, 256, 0.01
# Steps for the model with shuffled weights, whose contributions need not be complete.
_ROUGH_STEPS = 16
# Random orders that deletion is compared with.
_NUM_RANDOM = 16
# Seed of all random numbers, so that an answer always has the same explanation.
SEED = 0
NO_CHANGE, CELL_LINE_MEAN = "no change", "the mean of its cell line"


@dataclasses.dataclass(frozen=True)
class SignatureAttributions:
    """Attributions of two scores of every signature: an MoA's logit, and that minus a runner-up's.

    Genes, nodes and curves explain the scores without what the protein network adds, which has a
    share of its own: contributions of genes to the sum are less faithful
    (experiments/explanation_audit).

    Attributes:
      genes: contributions of genes, with no change as baseline.
      gap: completeness gap of the first score.
      modalities: Shapley values of `modality_shares.MODALITIES`.
      experts: `expert_shares` of the model's experts, in its order.
      nodes: scores of graph nodes, genes before terms, for the first score.
      nodes_are_read: whether the model reads node activities; otherwise contributions of genes were
        propagated to the nodes.
      atoms: `occlude_neighbourhoods` of every atom, for each signature; without columns where it
        has no structure.
      curves: replacement -> ranking (`ours`, `absolute_z`, `random`) -> curves of the first score.
      shuffled: contributions of genes to the first score under shuffled weights.
      slope: contribution of each gene to the first score, divided by its change.
    """

    genes: Float[np.ndarray, "example 2 gene"]
    gap: Float[np.ndarray, " example"]
    modalities: Float[np.ndarray, "example 2 modality"]
    experts: Float[np.ndarray, "example 2 expert"]
    nodes: Float[np.ndarray, "example node"]
    nodes_are_read: bool
    atoms: list[Float[np.ndarray, "2 _"]]
    curves: Mapping[str, Mapping[str, Curves]]
    shuffled: Float[np.ndarray, "example gene"]
    slope: Float[np.ndarray, "example gene"]


def attribute_signatures(
    predictor: Predictor,
    encoded: EncodedExamples,
    smiles: Sequence[str | None],
    graph: KnowledgeGraph,
    *,
    moas: Int[np.ndarray, " example"],
    runners_up: Int[np.ndarray, " example"],
) -> SignatureAttributions:
    """Explains signatures.

    Args:
      predictor: the model.
      encoded: the signatures.
      smiles: their structures, None where unknown.
      graph: the knowledge graph that the model was trained with.
      moas: the MoA to explain, for each signature.
      runners_up: its runner-up; the same as `moas` where there is none.
    """
    directions = _two_scores(moas, runners_up, len(predictor.features.moas))
    given = predictor, encoded, _closed_form(predictor), directions
    baseline = no_change(encoded, predictor.features)
    say(f"attributing the answers for {encoded.num_examples} signatures to genes")
    found, _ = attribute_to_tolerance(
        *given,
        IntegratedGradients(_NUM_STEPS),
        baselines=baseline,
        tolerance=_TOLERANCE,
        max_steps=_MAX_STEPS,
    )
    shuffled = attribute(
        randomised(predictor, seed=SEED),
        *given[1:],
        IntegratedGradients(_ROUGH_STEPS),
        baselines=baseline,
    )
    first = found.values[:, 0]
    change = np.where(encoded.gene_mask, encoded.expression - baseline[:, 0], 0.0)
    say("attributing them to graph nodes, atoms and modalities")
    nodes_are_read = any(EXPERTS[expert].reads_nodes for expert in predictor.task.model.experts)
    if nodes_are_read:
        nodes = _node_contributions(predictor, encoded, directions[:, :1], baseline[:, 0])
    else:
        propagation = np.asarray(predictor.graph.propagation)
        nodes = adjoint_node_attribution(found.values[:, :1], change, propagation)[:, 0]
    attribution_target = AttributionTarget(predictor.task)
    modalities = modality_shares(predictor, encoded, attribution_target, directions)
    experts = expert_shares(predictor, encoded, directions)
    atoms = occlude_neighbourhoods(predictor, encoded, smiles, attribution_target, directions)
    say("deletion curves, to audit the explanations")
    return SignatureAttributions(
        genes=found.values,
        gap=found.completeness_gap[:, 0],
        modalities=modalities,
        experts=experts,
        nodes=nodes,
        nodes_are_read=nodes_are_read,
        atoms=atoms,
        curves=_curves(predictor, encoded, graph, directions[:, :1], first),
        shuffled=shuffled.values[:, 0],
        slope=np.divide(first, change, out=np.zeros_like(first), where=change != 0),
    )


def _closed_form(predictor: Predictor) -> AttributionTarget:
    """Logits without what the protein network adds; the model's own in a model without it."""
    return AttributionTarget(predictor.task, without=(PROTEIN_NETWORK,))


def _two_scores(
    moas: Int[np.ndarray, " example"], runners_up: Int[np.ndarray, " example"], num_moas: int
) -> Directions:
    """An MoA's logit, and that minus its runner-up's."""
    own = moa_directions(moas[:, None], num_moas)
    return np.concatenate(
        [own, contrast_directions(moas[:, None], runners_up[:, None], num_moas)], axis=1
    )


def _node_contributions(
    predictor: Predictor,
    encoded: EncodedExamples,
    directions: Directions,
    baseline: Float[np.ndarray, "example gene"],
) -> Float[np.ndarray, "example node"]:
    """Contributions of node activities, for models that read them."""
    attribution_target = AttributionTarget(predictor.task, input_name="activity")
    method = IntegratedGradients(_NUM_STEPS)
    found = attribute(
        predictor, encoded, attribution_target, directions, method, reference=baseline
    )
    return found.values[:, 0]


def _curves(
    predictor: Predictor,
    encoded: EncodedExamples,
    graph: KnowledgeGraph,
    directions: Directions,
    contributions: Float[np.ndarray, "example gene"],
) -> dict[str, dict[str, Curves]]:
    """Deletion curves of the explanation, |z| and random orders, with two replacements."""
    features, attribution_target = predictor.features, _closed_form(predictor)
    controls = control_importance(encoded, features, graph, num_targets=_NUM_RANDOM, seed=SEED)
    rankings = {
        "ours": contributions[:, None],
        "absolute_z": controls["absolute_z"][:, :1],
        "random": controls["random"],
    }
    replacements = {NO_CHANGE: no_change(encoded, features)[:, 0]}
    if SIGNATURE_KERNEL in predictor.params:
        offsets = cell_line_offsets(predictor)
        replacements[CELL_LINE_MEAN] = cell_line_means(encoded, offsets)[:, 0]
    return {
        name: {
            ranking: deletion_curves(
                predictor,
                encoded,
                attribution_target,
                np.repeat(directions, importance.shape[1], axis=1),
                importance=importance,
                replacement=replacement,
            )
            for ranking, importance in rankings.items()
        }
        for name, replacement in replacements.items()
    }
