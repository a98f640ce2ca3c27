"""Everything of explanations that is computed for many signatures at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from moa_jax.data.examples import Examples
from moa_jax.data.features import EncodedExamples, encode
from moa_jax.explanation.attribution import attribute, attribute_to_tolerance
from moa_jax.explanation.baseline_signatures import cell_line_means, cell_line_offsets, no_change
from moa_jax.explanation.deletion import Curves, control_importance, deletion_curves
from moa_jax.explanation.gradients import IntegratedGradients
from moa_jax.explanation.modality_shares import modality_shares
from moa_jax.explanation.network_evidence import adjoint_node_attribution
from moa_jax.explanation.occlusion import occlude_neighbourhoods
from moa_jax.explanation.scores import Directions, Question, contrast_directions, moa_directions
from moa_jax.explanation.weight_randomisation import randomised
from moa_jax.progress import say
from moa_jax.schemas import KnowledgeGraph
from moa_jax.training.predictor import Predictor

# Steps of the integral for the model with shuffled weights, where no sum has to come out.
_ROUGH_STEPS = 16
# Experts that read the activity of the graph's nodes.
_NODE_READERS = ("signature", "joint", "network_kernel")
NO_CHANGE, CELL_LINE_MEAN = "no change", "the mean of its cell line"


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes:
      num_steps: gradients on the way from the baseline, to begin with.
      max_steps: most gradients where the contributions do not add up.
      tolerance: completeness gap at which they do.
      num_random: random orders that deletion is compared with.
    """

    num_steps: int = 64
    max_steps: int = 256
    tolerance: float = 0.01
    num_random: int = 16


@dataclasses.dataclass(frozen=True)
class SignatureAttributions:
    """Attributions of two scores of every signature: an MoA's logit, and that less a rival's.

    Attributes:
      examples: the signatures.
      genes: contributions of genes against a signature in which nothing changed.
      gap: completeness gap of the first score.
      modalities: Shapley values of `modality_shares.MODALITIES`.
      nodes: scores of graph nodes, genes before terms, for the first score.
      nodes_are_read: the model reads the activity of nodes; otherwise contributions of genes
        were carried to the nodes.
      atoms: for each signature `occlude_neighbourhoods` of every atom; without columns where it
        has no structure.
      curves: replacement -> ranking (`ours`, `absolute_z`, `random`) -> curves of the first score.
      shuffled: contributions of genes to the first score under shuffled weights.
      slope: contribution of each gene to the first score per unit of change.
    """

    examples: Examples
    genes: Float[np.ndarray, "example 2 gene"]
    gap: Float[np.ndarray, " example"]
    modalities: Float[np.ndarray, "example 2 modality"]
    nodes: Float[np.ndarray, "example node"]
    nodes_are_read: bool
    atoms: list[Float[np.ndarray, "2 _"]]
    curves: Mapping[str, Mapping[str, Curves]]
    shuffled: Float[np.ndarray, "example gene"]
    slope: Float[np.ndarray, "example gene"]


def attribute_signatures(
    predictor: Predictor,
    examples: Examples,
    graph: KnowledgeGraph,
    moas: Int[np.ndarray, " example"],
    rivals: Int[np.ndarray, " example"],
    *,
    effort: Effort,
    seed: int = 0,
) -> SignatureAttributions:
    """Explains signatures.

    Args:
      predictor: the model.
      examples: the signatures.
      graph: the knowledge graph that the model was trained with.
      moas: the MoA to explain of each signature.
      rivals: the MoA that it is contrasted with; the same one where there is no other.
      effort: how much is computed.
      seed: seed of the random orders.
    """
    features, question = predictor.features, Question(predictor.task)
    encoded = encode(examples, features)
    num_moas = len(features.moas)
    directions = np.concatenate(
        [
            moa_directions(moas[:, None], num_moas),
            contrast_directions(moas[:, None], rivals[:, None], num_moas),
        ],
        axis=1,
    )
    method = IntegratedGradients(effort.num_steps)
    baseline = no_change(encoded, features)
    say(f"explaining {examples.num_examples} signatures by their genes")
    found, _ = attribute_to_tolerance(
        predictor,
        encoded,
        question,
        directions,
        method,
        baselines=baseline,
        tolerance=effort.tolerance,
        max_steps=effort.max_steps,
    )
    rough = IntegratedGradients(_ROUGH_STEPS)
    shuffled = attribute(
        randomised(predictor, seed=seed), encoded, question, directions, rough, baselines=baseline
    )
    change = np.where(encoded.gene_mask, encoded.expression - baseline[:, 0], 0.0)
    first = found.values[:, 0]
    nodes_are_read = bool(set(predictor.task.model.experts) & set(_NODE_READERS))
    say("explaining them by the graph, the structures and the modalities")
    if nodes_are_read:
        activity = dataclasses.replace(question, part="activity")
        nodes = attribute(
            predictor, encoded, activity, directions[:, :1], method, reference=baseline[:, 0]
        ).values[:, 0]
    else:
        propagation = np.asarray(predictor.graph.propagation)
        nodes = adjoint_node_attribution(found.values[:, :1], change, propagation)[:, 0]
    return SignatureAttributions(
        examples=examples,
        genes=found.values,
        gap=found.completeness_gap[:, 0],
        modalities=modality_shares(predictor, encoded, question, directions),
        nodes=nodes,
        nodes_are_read=nodes_are_read,
        atoms=occlude_neighbourhoods(
            predictor, encoded, list(examples.smiles), question, directions
        ),
        curves=_curves(
            predictor,
            encoded,
            graph,
            directions[:, :1],
            contributions=first,
            num_random=effort.num_random,
            seed=seed,
        ),
        shuffled=shuffled.values[:, 0],
        slope=np.divide(first, change, out=np.zeros_like(first), where=change != 0),
    )


def _curves(
    predictor: Predictor,
    encoded: EncodedExamples,
    graph: KnowledgeGraph,
    directions: Directions,
    *,
    contributions: Float[np.ndarray, "example gene"],
    num_random: int,
    seed: int,
) -> dict[str, dict[str, Curves]]:
    """Deletion under the explanation, |z| and random orders, with two replacements."""
    say("taking genes away, to see whether the explanation holds")
    features, question = predictor.features, Question(predictor.task)
    controls = control_importance(encoded, features, graph, num_targets=num_random, seed=seed)
    rankings = {
        "ours": contributions[:, None],
        "absolute_z": controls["absolute_z"][:, :1],
        "random": controls["random"],
    }
    replacements = {NO_CHANGE: no_change(encoded, features)[:, 0]}
    if "signature_kernel" in predictor.params:
        offsets = cell_line_offsets(predictor)
        replacements[CELL_LINE_MEAN] = cell_line_means(encoded, offsets)[:, 0]
    return {
        name: {
            ranking: deletion_curves(
                predictor,
                encoded,
                question,
                np.repeat(directions, importance.shape[1], axis=1),
                importance=importance,
                replacement=replacement,
            )
            for ranking, importance in rankings.items()
        }
        for name, replacement in replacements.items()
    }
