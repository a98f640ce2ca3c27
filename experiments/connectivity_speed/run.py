"""Pairs per second of `wtcs`, all against all, and of loops over pairs in numpy.

    python -m experiments.connectivity_speed.run

Standard-normal signatures and queries of 50 + 50 genes. Each repetition times the loops on a
sample of pairs and then `wtcs` on all pairs. Rates are per second of CPU time over all threads,
which depends least on other work on the machine and gives `wtcs` no credit for its threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import gseapy
import jax
import numpy as np
import pandas as pd

from moa_jax.lincs.connectivity import enrichment_scores, extreme_sets, wtcs


class Pairs:
    """One query against one signature at a time, in three ways."""

    def __init__(self, signatures: np.ndarray, up: np.ndarray, down: np.ndarray) -> None:
        """Prepares what does not depend on the pair, for the loops that use it."""
        self.signatures, self.sets = signatures, (up, down)
        self.order = np.argsort(-signatures, axis=1, kind="stable")
        self.rank = np.empty_like(self.order)
        np.put_along_axis(self.rank, self.order, np.arange(signatures.shape[1])[None], axis=1)
        self.weight = np.abs(signatures)
        self.ranked_weight = np.take_along_axis(self.weight, self.order, axis=1)
        self.genes = [[np.flatnonzero(one) for one in sets] for sets in self.sets]

    def sorting(self, query: int, signature: int) -> float:
        """Ranks the genes for each pair."""
        values = self.signatures[signature]
        order = np.argsort(-values, kind="stable")
        return self._walk(query, order, np.abs(values[order]))

    def presorted(self, query: int, signature: int) -> float:
        """Uses the order of each signature."""
        return self._walk(query, self.order[signature], self.ranked_weight[signature])

    def hits_only(self, query: int, signature: int) -> float:
        """Uses the rank of each gene and visits only the genes of the sets."""
        rank, weight = self.rank[signature], self.weight[signature]
        scores = []
        for sets in self.genes:
            genes = sets[query]
            genes = genes[np.argsort(rank[genes])]
            gained = np.cumsum(weight[genes])
            gained /= gained[-1]
            lost = (rank[genes] - np.arange(len(genes))) / (len(rank) - len(genes))
            highest = (gained - lost).max()
            lowest = (np.concatenate([[0], gained[:-1]]) - lost).min()
            scores.append(highest if highest > -lowest else lowest)
        return _combined(*scores)

    def _walk(self, query: int, order: np.ndarray, weight: np.ndarray) -> float:
        scores = []
        for sets in self.sets:
            hit = sets[query][order]
            gained = np.cumsum(weight * hit)
            missed = np.cumsum(~hit)
            running = gained / gained[-1] - missed / missed[-1]
            highest, lowest = running.max(), running.min()
            scores.append(highest if highest > -lowest else lowest)
        return _combined(*scores)


def _combined(up: float, down: float) -> float:
    return (up - down) / 2 if up * down < 0 else 0.0


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """CPU time of some work, of all threads together, and wall-clock time."""
    start = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - start[0], time.perf_counter() - start[1]


def gseapy_scores(signature: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Enrichment scores of the sets in one signature by gseapy's prerank, weight 1."""
    genes = [f"G{gene}" for gene in range(len(signature))]
    table = gseapy.prerank(
        rnk=pd.Series(signature, index=genes),
        gene_sets={
            f"S{row}": [genes[gene] for gene in np.flatnonzero(one)] for row, one in enumerate(sets)
        },
        weight=1.0,
        min_size=1,
        max_size=len(genes),
        permutation_num=1,
        outdir=None,
        no_plot=True,
        threads=1,
        seed=0,
    ).res2d.set_index("Term")["ES"]
    return np.array([float(table[f"S{row}"]) for row in range(len(sets))])


def main() -> None:
    """Times, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-queries", type=int, default=1_000)
    parser.add_argument("--num-signatures", type=int, default=10_000)
    parser.add_argument("--num-genes", type=int, default=978)
    parser.add_argument("--set-size", type=int, default=50)
    parser.add_argument("--num-sampled", type=int, default=5_000)
    parser.add_argument("--repetitions", type=int, default=3)
    settings = parser.parse_args()

    rng = np.random.default_rng(0)
    shape = settings.num_signatures, settings.num_genes
    signatures = rng.normal(size=shape).astype(np.float32)
    # Queries are noisy copies of signatures, so that not all connections are chance.
    queries = signatures[: settings.num_queries] + rng.normal(
        size=(settings.num_queries, settings.num_genes)
    )
    up, down = extreme_sets(queries, settings.set_size)
    pairs = Pairs(signatures, up, down)
    loops = {"sorting": pairs.sorting, "presorted": pairs.presorted, "hits only": pairs.hits_only}
    sample = np.stack(
        [
            rng.integers(settings.num_queries, size=settings.num_sampled),
            rng.integers(settings.num_signatures, size=settings.num_sampled),
        ],
        axis=1,
    ).tolist()

    first = seconds(lambda: wtcs(signatures[:64], up, down))
    print(f"devices {jax.devices()}; first call, with compilation: {first[1]:.1f} s")
    num_pairs = settings.num_queries * settings.num_signatures
    rates: dict[str, list[float]] = {name: [] for name in (*loops, "all against all")}
    walls = []
    for _ in range(settings.repetitions):
        for name, score in loops.items():
            taken = seconds(lambda score=score: [score(*pair) for pair in sample])
            rates[name].append(len(sample) / taken[0])
        taken = seconds(lambda: wtcs(signatures, up, down))
        rates["all against all"].append(num_pairs / taken[0])
        walls.append(f"{taken[1]:.1f}")
    print(f"all {num_pairs:,} pairs against all: {', '.join(walls)} s of wall-clock time")
    print("pairs per CPU second, one number per repetition; ratio of the medians:")
    fast = np.median(rates["all against all"])
    for name, found in rates.items():
        numbers = " ".join(f"{rate:12,.0f}" for rate in found)
        print(f"  {name:16} {numbers}   x {fast / np.median(found):.0f}")

    scores = wtcs(signatures, up, down)
    for name, score in loops.items():
        worst = max(abs(scores[pair[0], pair[1]] - score(*pair)) for pair in sample)
        print(f"largest difference from {name}, {len(sample)} pairs: {worst:.1e}")
    sets = np.concatenate([up[:50], down[:50]])
    found = enrichment_scores(signatures[:20], sets)
    expected = np.stack([gseapy_scores(row, sets) for row in signatures[:20]], axis=1)
    worst = np.abs(found - expected).max()
    print(f"largest difference from gseapy {gseapy.__version__}, {found.size} scores: {worst:.1e}")


if __name__ == "__main__":
    main()
