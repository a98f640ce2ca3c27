"""What the knowledge graph adds to kernel experts, with the true graph and with randomised ones.

    python -m experiments.network_mechanism.run
    python -m experiments.network_mechanism.run --networks --seeds=1
    python -m experiments.network_mechanism.run --data=data/lincs2020 --seeds=1

The first command makes simulated releases with network mechanisms, one for each seed, and compares
methods on their test compounds; the second does so with two networks, which take as long as all
other methods. The third compares kernel experts on the validation compounds of a prepared folder;
its test compounds are not used.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping

import ml_collections
import numpy as np
from jaxtyping import Float

from configs import network_kernel
from configs.data import simulated_network
from moa_jax.baselines.registry import make_method, trains_in_folder
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.preparation.embedded_release import ensure_release
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.splits.partition import partition_by_rule
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared
from moa_jax.evaluation.bootstrap import BootstrapScores, bootstrap_scores, interval
from moa_jax.knowledge.controls import (
    randomised_graph,
    rewire_interactions,
    shuffle_annotations,
)
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.progress import say
from moa_jax.schemas import Examples, KnowledgeGraph
from moa_jax.training.fusion_fit import fit_fusion

# Folds of simulated and of real compounds.
SIMULATED_FOLDS, REAL_FOLDS = 3, 5
PLAIN = (
    "cosine_knn",
    "expression_logistic",
    "expression_rbf_svm",
    "morgan_logistic",
    "product_of_logistics",
)
NETWORKS = ("string_gcn", "visible_network")
SHIPPED = ("signature_kernel", "structure_kernel")
REFERENCE = "+".join(SHIPPED)
# Name of a graph -> how it is made from the true one; used for training and for predictions.
GRAPHS: dict[str, Callable[[KnowledgeGraph, int], KnowledgeGraph]] = {
    "true graph": lambda graph, seed: graph,
    "STRING rewired": lambda graph, seed: rewire_interactions(graph, seed=seed),
    "GO shuffled": lambda graph, seed: shuffle_annotations(graph, seed=seed),
    "both": lambda graph, seed: randomised_graph(graph, seed=seed),
}

Probs = Float[np.ndarray, "compound moa"]


@dataclasses.dataclass(frozen=True)
class KernelMethod:
    """A product of kernel experts under one graph.

    Attributes:
      experts: which ones.
      graph: one of `GRAPHS`; empty if none of the experts reads a graph.
    """

    experts: tuple[str, ...]
    graph: str = ""

    @property
    def name(self) -> str:
        """Name in tables."""
        return "+".join(self.experts) + (f", {self.graph}" if self.graph else "")

    def config(self, seed: int) -> ml_collections.ConfigDict:
        """The configuration with these experts."""
        config = network_kernel.get_config()
        config.model.experts = self.experts
        config.seed, config.num_devices = seed, 1
        return config


KERNEL_METHODS = (
    KernelMethod(("signature_kernel",)),
    *(KernelMethod(("network_kernel",), graph) for graph in GRAPHS),
    KernelMethod(SHIPPED),
    *(KernelMethod((*SHIPPED, "network_kernel"), graph) for graph in ("true graph", "both")),
)
# What networks are compared with.
FEW_KERNEL_METHODS = tuple(
    method for method in KERNEL_METHODS if method.graph in ("", "true graph")
)


@dataclasses.dataclass(frozen=True)
class Fold:
    """The parts of one fold, and the graphs."""

    parts: Mapping[str, Examples]
    graphs: Mapping[str, KnowledgeGraph]
    seed: int

    def answers_of_plain(self, name: str) -> Float[np.ndarray, "example moa"]:
        """Predictions of a registered method for the test part."""
        with tempfile.TemporaryDirectory() as folder:
            method = make_method(name, pathlib.Path(folder) if trains_in_folder(name) else None)
            graph = self.graphs["true graph"]
            fitted = method.fit(
                self.parts["train"], self.parts["validation"], graph, seed=self.seed
            )
            return fitted.predict(self.parts["test"])

    def answers_of_kernels(
        self, method: KernelMethod, part: str
    ) -> Float[np.ndarray, "example moa"]:
        """Predictions of kernel experts for the test or the validation part.

        The validation part is predicted by experts fitted to the training part, with the scales of
        the configuration.
        """
        train, validation = self.parts["train"], self.parts["validation"]
        if part == "validation":
            validation = validation.take(np.arange(0))
        graph = self.graphs[method.graph or "true graph"]
        with tempfile.TemporaryDirectory() as folder:
            fit = fit_fusion(
                method.config(self.seed), train, validation, graph, pathlib.Path(folder)
            )
            return fit.predictor.predict(self.parts[part])["fusion"]


def make_folds(
    dataset: PreparedDataset, examples: Examples, num_folds: int, seed: int
) -> list[Fold]:
    """The folds of the compound split and the graphs of a seed."""
    graphs = {name: make(dataset.graph, seed) for name, make in GRAPHS.items()}
    folds = []
    for number in range(num_folds):
        parts = partition_by_rule(
            "compound",
            examples,
            fold=number,
            num_folds=num_folds,
            seed=seed,
            validation_fraction=0.2,
        )
        folds.append(Fold(parts, graphs, seed))
    return folds


def pooled_scores(
    folds: list[Fold], part: str, answers: Mapping[str, list[Float[np.ndarray, "example moa"]]]
) -> dict[str, BootstrapScores]:
    """Scores of every method over the compounds of one part of all folds."""
    labels = np.concatenate([fold.parts[part].labels for fold in folds])
    groups = [group for fold in folds for group in fold.parts[part].groups]
    pooled = {
        name: pool_by_compound(np.concatenate(some), labels, groups)[:2]
        for name, some in answers.items()
    }
    of_compounds = next(iter(pooled.values()))[1]
    return bootstrap_scores({name: probs for name, (probs, _) in pooled.items()}, of_compounds)


def make_release(seed: int) -> PreparedDataset:
    """A prepared simulated release with network mechanisms."""
    config = simulated_network.get_config()
    config.simulation.seed = seed
    with tempfile.TemporaryDirectory() as folder:
        config.raw_dir = str(pathlib.Path(folder) / "release")
        ensure_release(config)
        return prepare(config)


def simulated_scores(
    seed: int, methods: tuple[str, ...], kernel_methods: tuple[KernelMethod, ...]
) -> dict[str, BootstrapScores]:
    """Scores on the test compounds of one release."""
    dataset = make_release(seed)
    examples = build_examples(dataset)
    folds = make_folds(dataset, examples, SIMULATED_FOLDS, seed)
    answers = {name: [fold.answers_of_plain(name) for fold in folds] for name in methods}
    for method in kernel_methods:
        answers[method.name] = [fold.answers_of_kernels(method, "test") for fold in folds]
    return pooled_scores(folds, "test", answers)


def real_scores(dataset: PreparedDataset, seed: int) -> dict[str, BootstrapScores]:
    """Scores of kernel experts on the validation compounds of all folds."""
    folds = make_folds(dataset, build_examples(dataset), REAL_FOLDS, seed)
    answers = {
        method.name: [fold.answers_of_kernels(method, "validation") for fold in folds]
        for method in KERNEL_METHODS
    }
    return pooled_scores(folds, "validation", answers)


def table(per_seed: list[dict[str, BootstrapScores]]) -> str:
    """Markdown: means over the seeds with 95 % intervals, and differences from the reference.

    Resamples of different seeds are paired by their number, so intervals are those of the mean over
    independent seeds.
    """

    def mean(name: str, metric: str) -> tuple[float, Float[np.ndarray, " resample"]]:
        scores = [of_seed[name] for of_seed in per_seed]
        estimate = float(np.mean([some.estimate[metric] for some in scores]))
        return estimate, np.mean([some.samples[metric] for some in scores], axis=0)

    rows = []
    reference, reference_samples = mean(REFERENCE, "macro_auprc")
    for name in per_seed[0]:
        value, samples = mean(name, "macro_auprc")
        low, high = interval(samples)
        gap, *ends = value - reference, *interval(samples - reference_samples)
        each = [of_seed[name].estimate["macro_auprc"] for of_seed in per_seed]
        rows.append(
            {
                "method": name,
                "macro AUPRC": f"{value:.3f} [{low:.3f}, {high:.3f}]",
                "by seed": " / ".join(f"{value:.3f}" for value in each),
                "minus the shipped two": f"{gap:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}]",
                "top-1": mean(name, "top1")[0],
            }
        )
    return markdown_table(rows)


def main() -> None:
    """Trains, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="prepared folder; empty for simulated releases")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument("--networks", action="store_true", help="compare with networks")
    settings = parser.parse_args()
    start = time.perf_counter(), time.process_time()
    if settings.data:
        dataset = read_prepared(settings.data)
        print(f"Release: {dataset.manifest['release']}, validation compounds\n")
        found = [real_scores(dataset, seed) for seed in range(settings.seeds)]
    else:
        print("Release: simulated, mechanism network, test compounds\n")
        methods = (NETWORKS, FEW_KERNEL_METHODS) if settings.networks else (PLAIN, KERNEL_METHODS)
        found = [simulated_scores(seed, *methods) for seed in range(settings.seeds)]
    print(table(found))
    say(
        f"{time.perf_counter() - start[0]:.0f} s of wall-clock time, "
        f"{time.process_time() - start[1]:.0f} s of CPU time"
    )


if __name__ == "__main__":
    main()
