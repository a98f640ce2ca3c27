"""Distance in STRING between the first genes of an explanation and a compound's known targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse
from jaxtyping import Float, Int
from scipy.sparse import csgraph

from moa_jax.evaluation.multiple_testing import adjusted_p_values
from moa_jax.knowledge.propagation import string_degree
from moa_jax.schemas import InputError, KnowledgeGraph

# Number of first genes of each compound in `proximity_table`.
NUM_NAMED = 50
# Degree bins, of equally many genes.
NUM_BINS = 10


@dataclasses.dataclass(frozen=True)
class Proximity:
    """Distance of the first genes to the targets, compared with genes of the same degree.

    Attributes:
      distance: mean number of steps from a gene to its nearest target.
      expected: the same for random genes of the same degree, mean over draws.
      p_value: share of draws that are as near or nearer, with one added to both counts.
    """

    distance: float
    expected: float
    p_value: float


def target_distances(graph: KnowledgeGraph, targets: Sequence[str]) -> Float[np.ndarray, " gene"]:
    """Steps from every gene node to the nearest target ("closest" of Guney 2016, eq. 2).

    Args:
      graph: the knowledge graph.
      targets: gene symbols; those that the graph lacks are ignored.

    Returns:
      0 for a target; the largest distance + 1 for a gene that reaches none. NaN if the graph has
      none of the targets.
    """
    rows = np.flatnonzero(graph.genes["symbol"].isin(set(targets)).to_numpy())
    if not len(rows):
        return np.full(graph.num_genes, np.nan)
    ends = graph.interacts.senders, graph.interacts.receivers
    edges = scipy.sparse.csr_array(
        (np.ones(len(ends[0])), ends), shape=(graph.num_genes, graph.num_genes)
    )
    steps = csgraph.dijkstra(edges, indices=rows, unweighted=True, min_only=True)
    reached = np.isfinite(steps)
    return np.where(reached, steps, steps[reached].max() + 1)


def proximity(
    importance: Float[np.ndarray, " gene"],
    distances: Float[np.ndarray, " gene"],
    degree: Float[np.ndarray, " gene"],
    *,
    k: int,
    num_draws: int = 1000,
    seed: int = 0,
) -> Proximity:
    """Whether the k most important genes are nearer to the targets than genes of the same degree.

    Random sets draw each gene from the same degree bin, since hubs are near to everything (Guney
    2016, methods). All three arrays are over the candidates, such as the measured genes.

    Args:
      importance: genes of larger importance come first.
      distances: from `target_distances`.
      degree: of the candidates.
      k: number of first genes.
      num_draws: number of random sets.
      seed: seed of the sets.

    Raises:
      InputError: there are fewer candidates than k.
    """
    if not 0 < k <= len(importance):
        raise InputError(f"cannot take the first {k} of {len(importance)} genes.")
    if np.isnan(distances).any():
        return Proximity(np.nan, np.nan, np.nan)
    named = np.argsort(-importance, kind="stable")[:k]
    order = np.argsort(degree, kind="stable")
    bins = np.empty(len(degree), np.int64)
    for number, rows in enumerate(np.array_split(order, NUM_BINS)):
        bins[rows] = number
    rng = np.random.default_rng(seed)
    drawn = np.zeros(num_draws)
    for number in np.unique(bins[named]):
        pool = distances[bins == number]
        drawn += _draws(rng, pool, int((bins[named] == number).sum()), num_draws)
    observed = distances[named].sum()
    # The order of summation may change the last digit.
    as_near = int((drawn <= observed + 1e-9 * k).sum())
    p_value = (1 + as_near) / (1 + num_draws)
    return Proximity(float(observed) / k, float(drawn.mean()) / k, p_value)


def _draws(
    rng: np.random.Generator, pool: Float[np.ndarray, " gene"], count: int, num_draws: int
) -> Float[np.ndarray, " draw"]:
    """Sums of `count` values of the pool, drawn without replacement."""
    places = rng.random((num_draws, len(pool))).argpartition(count - 1, axis=1)[:, :count]
    return pool[places].sum(axis=1)


def proximity_table(
    rankings: Mapping[str, Float[np.ndarray, "compound gene"]],
    targets: Mapping[str, Sequence[str]],
    graph: KnowledgeGraph,
    candidates: Int[np.ndarray, " candidate"],
    *,
    num_draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Proximity for every compound and ranking, with false discovery rates.

    Args:
      rankings: name -> importance of every candidate, one row per compound of `targets`.
      targets: compound -> gene symbols of its known targets.
      graph: the knowledge graph.
      candidates: gene nodes that are ranked, such as the measured ones.
      num_draws: random sets per compound.
      seed: seed of the sets.

    Returns:
      One row per ranking and compound whose targets the graph has: `ranking`, `compound`,
      `num_targets`, `distance`, `expected`, `p_value`, `q_value` (within the ranking; see
      `multiple_testing.adjusted_p_values`).
    """
    degree = string_degree(graph)[candidates]
    known = set(graph.genes["symbol"])
    distances = {
        compound: target_distances(graph, symbols)[candidates]
        for compound, symbols in targets.items()
    }
    tables = []
    for ranking, importance in rankings.items():
        rows = []
        for place, (compound, symbols) in enumerate(targets.items()):
            if np.isnan(distances[compound]).any():
                continue
            found = proximity(
                importance[place],
                distances[compound],
                degree,
                k=NUM_NAMED,
                num_draws=num_draws,
                seed=seed + place,
            )
            rows.append(
                {
                    "ranking": ranking,
                    "compound": compound,
                    "num_targets": len(known & set(symbols)),
                    **dataclasses.asdict(found),
                }
            )
        columns = ["ranking", "compound", "num_targets", "distance", "expected", "p_value"]
        table = pd.DataFrame(rows, columns=columns)
        q_values = adjusted_p_values(table["p_value"].to_numpy(np.float64))
        tables.append(table.assign(q_value=q_values))
    return pd.concat(tables, ignore_index=True)
