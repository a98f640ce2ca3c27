"""False interactions planted into a graph, and the trained factors of planted and true ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.evaluation.bootstrap import interval
from moa_jax.models.encoders.evidence import log_factors
from moa_jax.models.encoders.knowledge import KnowledgeEncoder
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.schemas import EdgeSet, InputError, KnowledgeGraph
from moa_jax.training.runs.predictor import Predictor

NUM_RESAMPLES, NUM_SHUFFLES = 500, 20
# Draws for every pair that is wanted, before the graph counts as too dense.
_MAX_DRAWS = 100
# Numbers of ends of a pair with evidence -> name in the tables.
ENDS = {2: "between proteins with evidence", 1: "one end with evidence", 0: "neither end"}

Pairs = Int[np.ndarray, "pair end"]


def undirected(edges: EdgeSet) -> tuple[Pairs, Float[np.ndarray, " pair"]]:
    """The pairs of nodes of an edge set in both directions, lower node first, and their weights."""
    forward = edges.senders < edges.receivers
    pairs = np.stack([edges.senders[forward], edges.receivers[forward]], axis=1)
    return pairs, edges.weight[forward]


def plant_interactions(graph: KnowledgeGraph, *, share: float, seed: int) -> KnowledgeGraph:
    """The graph with false interactions beside the true ones.

    Pairs without an edge are drawn with probabilities in proportion to the product of the degrees
    of their ends (as in the configuration model), each once. Weights are drawn from the true ones.

    Args:
      graph: the true graph; interactions in both directions.
      share: number of false interactions, as a share of the true ones.
      seed: of the random numbers.

    Raises:
      InputError: the graph has too few pairs without an edge.
    """
    pairs, weight = undirected(graph.interacts)
    wanted, rng = round(share * len(pairs)), np.random.default_rng(seed)
    present = {(int(a), int(b)) for a, b in pairs}
    planted: list[tuple[int, int]] = []
    # The ends of an edge that is drawn at random are distributed by degree.
    for a, b in rng.choice(pairs.ravel(), (wanted * _MAX_DRAWS, 2)).tolist():
        if len(planted) == wanted:
            break
        pair = (min(a, b), max(a, b))
        if a != b and pair not in present:
            present.add(pair)
            planted.append(pair)
    if len(planted) < wanted:
        raise InputError(
            f"only {len(planted)} of {wanted} false interactions were found; choose a smaller "
            "--share, or a graph with fewer edges."
        )
    first, second = np.array(planted, np.int32).reshape(-1, 2).T
    false = rng.choice(weight, wanted)
    edges = graph.interacts
    senders = np.concatenate([edges.senders, first, second])
    receivers = np.concatenate([edges.receivers, second, first])
    order = np.lexsort((receivers, senders))
    weights = np.concatenate([edges.weight, false, false])
    both = EdgeSet(senders[order], receivers[order], weights[order])
    return dataclasses.replace(graph, interacts=both)


@dataclasses.dataclass(frozen=True)
class PairFactors:
    """Trained factors of the interactions of a graph, one row for each pair of proteins.

    Attributes:
      pairs: gene nodes of the two ends.
      is_planted: whether the true graph lacks the pair.
      num_ends: ends that are proteins with evidence: 0, 1 or 2.
      log_factor: mean logarithm of the factors of both directions.
      shuffled: the same by keys with shuffled weights, once for each shuffle.
    """

    pairs: Pairs
    is_planted: Bool[np.ndarray, " pair"]
    num_ends: Int[np.ndarray, " pair"]
    log_factor: Float[np.ndarray, " pair"]
    shuffled: Float[np.ndarray, "shuffle pair"]


def pair_factors(
    predictor: Predictor, graph: KnowledgeGraph, true: KnowledgeGraph, *, seed: int
) -> PairFactors:
    """Factors of the interactions of a model that was trained on a graph with planted ones.

    Args:
      predictor: the model, with a protein network.
      graph: the graph that it was trained on.
      true: the same graph without the planted interactions.
      seed: of the shuffles.
    """
    pairs, _ = undirected(graph.interacts)
    known = {(int(a), int(b)) for a, b in undirected(true.interacts)[0]}
    has_evidence = np.zeros(graph.num_genes, bool)
    has_evidence[np.asarray(predictor.params[PROTEINS]["rows"])] = True
    kernel = np.asarray(
        predictor.params[PROTEIN_NETWORK]["passing"]["interacts"]["kernel"], np.float32
    )
    rng, genes = np.random.default_rng(seed), jnp.asarray(embeddings(predictor, graph.num_genes))
    kernels = [kernel]
    kernels += [rng.permutation(kernel.ravel()).reshape(kernel.shape) for _ in range(NUM_SHUFFLES)]
    directed = np.asarray(
        jax.lax.map(
            lambda own: log_factors(genes @ own, genes, predictor.graph.interacts),
            jnp.stack(kernels),
        )
    )
    edges = graph.interacts
    ends = np.stack([edges.senders, edges.receivers], axis=1)
    # Rows of the pairs, lower node first, in the order of `pairs`.
    codes = ends.min(axis=1).astype(np.int64) * graph.num_genes + ends.max(axis=1)
    place = np.searchsorted(pairs[:, 0].astype(np.int64) * graph.num_genes + pairs[:, 1], codes)
    means = np.stack([np.bincount(place, own, len(pairs)) / 2 for own in directed])
    return PairFactors(
        pairs=pairs,
        is_planted=np.array([(int(a), int(b)) not in known for a, b in pairs], bool),
        num_ends=has_evidence[pairs].sum(axis=1),
        log_factor=means[0],
        shuffled=means[1:],
    )


def embeddings(predictor: Predictor, num_genes: int) -> Float[np.ndarray, "gene feature"]:
    """The model's embeddings of the gene nodes, which do not depend on the compound."""
    model: Any = predictor.task.model
    encoder = KnowledgeEncoder(
        model.num_genes, model.num_terms, model.knowledge_features, model.knowledge_layers
    )
    nodes = encoder.apply({"params": predictor.params["knowledge"]}, predictor.graph)
    return np.asarray(nodes)[:num_genes]


def factor_rows(factors: PairFactors, *, seed: int) -> list[dict[str, Any]]:
    """Planted and true interactions compared: all of them, and by their ends with evidence.

    AUROC is the chance that a true interaction has the larger factor of two. Intervals (95 %) are
    by resampling the proteins (Snijders and Borgatti 1999): a pair that is drawn with its ends.
    """
    genes = int(factors.pairs.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(genes, np.full(genes, 1 / genes), NUM_RESAMPLES)
    rows = []
    kinds = {"all": np.ones(len(factors.pairs), bool)}
    kinds |= {name: factors.num_ends == count for count, name in ENDS.items()}
    for name, inside in kinds.items():
        planted, own = factors.is_planted[inside], factors.log_factor[inside]
        if planted.all() or not planted.any():
            continue
        first, second = factors.pairs[inside].T
        samples = [
            _compared(own, planted, counts[first] * counts[second])
            for counts in drawn.astype(np.float64)
        ]
        everyone = np.ones(len(own))
        _, gap, area = _compared(own, planted, everyone)
        of_gaps, of_areas = (interval(np.array([one[at] for one in samples])) for at in (1, 2))
        shuffled = [_compared(one[inside], planted, everyone)[2] for one in factors.shuffled]
        rows.append(
            {
                "interactions": name,
                "planted": int(planted.sum()),
                "true": int((~planted).sum()),
                "mean log factor, planted": float(own[planted].mean()),
                "mean log factor, true": float(own[~planted].mean()),
                "sd of both": float(own.std()),
                "true - planted": f"{gap:+.3f} [{of_gaps[0]:+.3f}, {of_gaps[1]:+.3f}]",
                "AUROC": f"{area:.3f} [{of_areas[0]:.3f}, {of_areas[1]:.3f}]",
                "AUROC, shuffled keys": f"{np.mean(shuffled):.3f} "
                f"({np.min(shuffled):.3f} to {np.max(shuffled):.3f})",
            }
        )
    return rows


def _compared(
    values: Float[np.ndarray, " pair"],
    planted: Bool[np.ndarray, " pair"],
    weights: Float[np.ndarray, " pair"],
) -> tuple[float, float, float]:
    """Weighted mean of planted ones, what true ones have more, and AUROC of true ones.

    NaN where a resample has none of one kind.
    """
    of_planted, of_true = weights * planted, weights * ~planted
    if not of_planted.any() or not of_true.any():
        return float("nan"), float("nan"), float("nan")
    mean = float(of_planted @ values / of_planted.sum())
    gap = float(of_true @ values / of_true.sum()) - mean
    _, place = np.unique(values, return_inverse=True)
    planted_at, true_at = np.bincount(place, of_planted), np.bincount(place, of_true)
    below = planted_at.cumsum() - planted_at / 2
    return mean, gap, float(below @ true_at / (planted_at.sum() * true_at.sum()))
