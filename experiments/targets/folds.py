"""Targets of a fold's test compounds by several graphs.

The evidence of the kernel experts does not depend on the graph, so that one fit serves all graphs:
only what carries it to proteins, and its scales, are made for each.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import special

from moa_jax.calibration.target_calibration import fit_target_calibrator
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.splits.partition import make_partition, train_and_validation
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.files import atomic_path
from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.known_targets import count_ligands, known_target_table
from moa_jax.kernels.protein_carry import carry_by, gene_kernel, gene_rows
from moa_jax.knowledge.controls import randomised_graph
from moa_jax.knowledge.protein_similarity import without_gene_families
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.target_evidence import TargetEvidence, pooled_scores, target_evidence
from moa_jax.progress import say
from moa_jax.schemas import LIGANDS, Examples, KnowledgeGraph
from moa_jax.training.expert_scales import scale_array
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.protein_scales import fit_protein_scales
from moa_jax.training.recipe import Recipe
from moa_jax.training.runs.predictor import Predictor, Progress
from moa_jax.training.sharding import make_mesh, replicate
from moa_jax.training.target_answers import (
    known_actions,
    logits_without_ligands,
    pooled_target_answers,
)

TRUE, IDENTITY = "STRING and GO", "no graph"
CONTROL, NO_FAMILIES = "rewired and shuffled", "without gene families"
# In place of a view: both modalities, and for each protein what a model says that knows none of its
# ligands.
BY_GRAPH = "by the graph alone"

# Fields of `FoldTargets` that are arrays.
_ARRAYS = ("num_ligands", "has_ligands", "is_target", "by_graph", "is_new_target")


@dataclasses.dataclass(frozen=True)
class FoldTargets:
    """Predicted and known targets of the test compounds of one fold.

    Attributes:
      groups: the compounds with a known target, sorted.
      symbols: known targets of compounds of the release and of structure-only compounds, among the
        genes of the graph; in every fold the same.
      num_ligands: training compounds that are known to act on each; ligands of ligand tables are
        not counted, so that strata are the same with and without them.
      has_ligands: whether any training compound is known to act on it.
      is_target: known targets.
      scores: graph and view (or `BY_GRAPH`), joined by `/` -> scores of the proteins.
      probs: view -> calibrated probabilities by the true graph.
      by_graph: probabilities of all genes without any training ligand in the view `fusion`.
      is_new_target: known targets among these.
    """

    groups: tuple[str, ...]
    symbols: tuple[str, ...]
    num_ligands: Int[np.ndarray, " protein"]
    has_ligands: Bool[np.ndarray, " protein"]
    is_target: Bool[np.ndarray, "compound protein"]
    scores: Mapping[str, Float[np.ndarray, "compound protein"]]
    probs: Mapping[str, Float[np.ndarray, "compound protein"]]
    by_graph: Float[np.ndarray, "compound gene"]
    is_new_target: Bool[np.ndarray, "compound gene"]


def kernels_of(
    config: ml_collections.ConfigDict, graph: KnowledgeGraph, *, seed: int
) -> dict[str, Float32[np.ndarray, "gene gene"]]:
    """Kernels of all gene nodes by each graph.

    Args:
      config: `config.proteins` of the model.
      graph: the true graph.
      seed: of the control.
    """
    say(f"kernels of proteins, control of seed {seed}")
    true = gene_kernel(config, graph)
    control = randomised_graph(graph, seed=seed)
    return {
        TRUE: true,
        IDENTITY: np.eye(graph.num_genes, dtype=np.float32),
        CONTROL: gene_kernel(config, control),
        NO_FAMILIES: without_gene_families(true, list(graph.genes["symbol"])),
    }


def answer_fold(
    config: ml_collections.ConfigDict,
    dataset: PreparedDataset,
    examples: Examples,
    kernels: Mapping[str, Float32[np.ndarray, "gene gene"]],
) -> FoldTargets:
    """Fits one fold and scores the proteins of its test compounds.

    Args:
      config: a complete configuration; its split says which fold.
      dataset: the data.
      examples: all examples of the configuration.
      kernels: output of `kernels_of`.
    """
    partition = make_partition(config, dataset, examples)
    graph, test = dataset.graph, partition.parts["test"]
    recipe = Recipe(config, graph, partition.unlabelled)
    train = train_and_validation(partition.parts)
    closed_form = recipe.closed_form(train)
    answers = closed_form.leave_one_out(train.num_examples)
    evidence = _test_evidence(config, recipe, closed_form, test)
    proteins = closed_form.features.proteins
    rows, known = gene_rows(graph, proteins), known_target_table(closed_form.references.examples)

    symbols = graph.genes["symbol"].tolist()
    own = known_actions(test, symbols).any(axis=0)
    _, is_target, groups = pool_by_compound(np.zeros(own.shape), own, test.groups)
    candidates, counts = _candidates(dataset, groups)
    columns = gene_rows(graph, candidates)
    asked = np.flatnonzero(is_target[:, columns].any(axis=1))
    inside = np.ix_(asked, columns)

    num_ligands, new = count_ligands(known, symbols), {}
    scores, probs = {}, {}
    # The genes that are ranked or have evidence; the others count for the true graph alone.
    needed = np.union1d(rows, columns)
    for name, kernel in kernels.items():
        say(f"{name}:")
        genes = np.arange(graph.num_genes) if name == TRUE else needed
        own, ranked = np.searchsorted(genes, rows), np.searchsorted(genes, columns)
        carry = carry_by(kernel[np.ix_(genes, genes)], own, config.proteins.ridge)
        scales = scale_array(fit_protein_scales(config, answers, proteins, carry[:, own]))
        pooled = pooled_scores(evidence, scales, carry, own, test.groups)
        for view, of_view in pooled.items():
            scores[f"{name}/{view}"] = of_view[np.ix_(asked, ranked)]
        alone = pooled["fusion"].copy()
        alone[:, own] = _without_ligands(evidence, scales, carry[:, own], test.groups)
        scores[f"{name}/{BY_GRAPH}"] = alone[np.ix_(asked, ranked)]
        if name == TRUE:
            params = {"carry": carry, "scales": scales}
            left_out = pooled_target_answers(
                answers, params, rows, proteins, known, seed=config.seed
            )
            for view, of_view in left_out.items():
                calibrator = fit_target_calibrator(of_view, graph.num_genes)
                if calibrator is not None:
                    of_all = calibrator.probability(pooled[view], num_ligands)
                    probs[view] = of_all[inside]
                    new[view] = of_all[np.ix_(asked, np.flatnonzero(num_ligands == 0))]
    nothing = np.zeros((len(asked), 0))
    return FoldTargets(
        groups=tuple(groups[row] for row in asked),
        symbols=candidates,
        num_ligands=counts,
        has_ligands=np.isin(columns, rows),
        is_target=is_target[inside] > 0,
        scores=scores,
        probs=probs,
        by_graph=new.get("fusion", nothing),
        is_new_target=is_target[np.ix_(asked, np.flatnonzero(num_ligands == 0))] > 0
        if "fusion" in new
        else nothing > 0,
    )


def _test_evidence(
    config: ml_collections.ConfigDict, recipe: Recipe, closed_form: ClosedForm, test: Examples
) -> TargetEvidence:
    """What the kernel experts say about the proteins of the test examples."""
    features, graph, mesh = closed_form.features, recipe.graph, make_mesh(1)
    # The logits of mechanisms, which these scale, are not asked for.
    scales = jnp.ones((len(VIEWS), len(config.model.experts)))
    predictor = Predictor(
        task=make_fusion_task(config, features, (graph.num_genes, graph.num_terms)),
        params=replicate(closed_form.params() | {"expert_scales": scales}, mesh),
        features=features,
        graph=replicate(recipe.arrays, mesh),
        mesh=mesh,
        batch_size=config.training.batch_size,
        progress=Progress(),
    )
    return target_evidence(predictor, predictor.encode(test))


def _without_ligands(
    evidence: TargetEvidence,
    scales: Float32[np.ndarray, "view expert"],
    carry: Float32[np.ndarray, "protein protein"],
    groups: tuple[str, ...],
) -> Float[np.ndarray, "compound protein"]:
    """Scores of proteins, each as if it had no ligands, averaged over a compound's examples.

    All are shares of the same sum, so that a protein's own ligands do not change its rank.
    """
    by_protein = evidence.by_protein(scales).astype(np.float64)
    total = special.logsumexp(by_protein @ carry, axis=1, keepdims=True)
    logits = logits_without_ligands(by_protein, carry.astype(np.float64))
    scores = np.exp(np.minimum(logits - total, 0.0))
    return pool_by_compound(scores, np.zeros(scores.shape, bool), groups)[0]


def _candidates(
    dataset: PreparedDataset, test_groups: tuple[str, ...]
) -> tuple[tuple[str, ...], Int[np.ndarray, " protein"]]:
    """The proteins that are ranked, and their compounds outside the test part."""
    table = dataset.compounds.table
    table = table[(table["source"] != LIGANDS) & table["compound_group"].notna()]
    present = set(dataset.graph.genes["symbol"])
    targets_of: dict[str, set[str]] = {}
    for group, targets in zip(table["compound_group"], table["targets"], strict=True):
        targets_of.setdefault(group, set()).update(present.intersection(targets))
    symbols = tuple(sorted(set().union(*targets_of.values())))
    place = {symbol: column for column, symbol in enumerate(symbols)}
    counts = np.zeros(len(symbols), int)
    for group in targets_of.keys() - set(test_groups):
        for target in targets_of[group]:
            counts[place[target]] += 1
    return symbols, counts


def write_fold(path: pathlib.Path, fold: FoldTargets) -> None:
    """Writes the answers of a fold, whole or not at all."""
    arrays = {
        "groups": np.array(fold.groups, str),
        "symbols": np.array(fold.symbols, str),
        **{name: _stored(getattr(fold, name)) for name in _ARRAYS},
        **{f"scores:{name}": _stored(own) for name, own in fold.scores.items()},
        **{f"probs:{view}": _stored(own) for view, own in fold.probs.items()},
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _stored(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype == np.float64 else values


def read_fold(path: pathlib.Path) -> FoldTargets:
    """Reads what `write_fold` wrote."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def named(prefix: str) -> dict[str, np.ndarray]:
        return {
            name.partition(":")[2]: values
            for name, values in arrays.items()
            if name.startswith(prefix)
        }

    return FoldTargets(
        groups=tuple(arrays["groups"].tolist()),
        symbols=tuple(arrays["symbols"].tolist()),
        **{name: arrays[name] for name in _ARRAYS},
        scores=named("scores:"),
        probs=named("probs:"),
    )
