"""Mechanisms that no training compound has, answered through their proteins.

    python -m experiments.zero_shot.run --data=data/lincs2020 --out=results/zero_shot

Mechanisms are left out in folds with all their compounds (`plain`), or also with all ligands of
their targets (`strict`). A model of the other compounds says what the left-out measured compounds
do to each protein; they are ranked for each left-out mechanism, which is described by the targets
of its compounds without a signature, or by its name. Nothing is refitted: all folds read the same
inverses. The ridge and STRING's share in the kernel of proteins, and the weight of the structure's
evidence, are chosen for each fold on the mechanisms of the other folds.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import pathlib
import time
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from experiments.main_result.confidence_tables import mean_with_interval
from experiments.zero_shot.graphs import IDENTITY, GraphKernels, graph_kernels
from experiments.zero_shot.measures import by_name, chosen_elsewhere, per_compound, per_mechanism
from moa_jax.command_line import load_config
from moa_jax.data.splits.partition import examples_of, make_partition
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared
from moa_jax.files import atomic_path
from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.protein_carry import gene_rows
from moa_jax.kernels.unseen_mechanisms import (
    PROTOCOLS,
    Prototypes,
    Scores,
    UnseenFold,
    by_other_compounds,
    fold_of,
    measured_mechanisms,
    standardised,
)
from moa_jax.knowledge.mechanism_names import GeneTexts
from moa_jax.models.experts import VIEWS, answers_in
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.progress import say
from moa_jax.schemas import ACTIONS, InputError, concatenate
from moa_jax.training.recipe import Recipe

# Chosen on the mechanisms of other folds: ridge and STRING's share in the kernel of proteins, and
# the weight of the structure's evidence beside the expression's.
RIDGES, SHARES, STRUCTURE_WEIGHTS = (1.0, 3.0, 10.0), (0.3, 0.7), (1.0, 3.0)
TABLES_FILE = "zero_shot.md"

Row = dict[str, str | int]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is chosen for a fold."""

    ridge: float
    share: float
    structure: float


def solved(dataset: PreparedDataset, config_path: str) -> ClosedForm:
    """The kernel experts of a configuration, for all compounds of a dataset."""
    config = load_config(config_path)
    config.split.rule = "everything"
    partition = make_partition(config, dataset, examples_of(config, dataset))
    train = concatenate(partition.parts["train"], partition.parts["validation"])
    return Recipe(config, dataset.graph, partition.unlabelled).closed_form(train)


def in_view(view: str, of_expert: dict[str, Scores], structure: float) -> Scores:
    """The weighted sum of the experts that answer in a view."""
    weights = {"structure_kernel": structure}
    return sum(
        values * weights.get(expert, 1.0)
        for expert, values in of_expert.items()
        if answers_in(expert, view)
    )


def graph_rows(
    folds: Sequence[UnseenFold], kernels: GraphKernels, genes: Sequence[str], *, is_identity: bool
) -> Iterator[Row]:
    """The rows of the table for one graph: its scores in each view."""
    shares = SHARES[:1] if is_identity else SHARES
    by_expert = {
        (ridge, share): [fold.scores(kernels.mixed(share), genes, ridge) for fold in folds]
        for ridge, share in itertools.product(RIDGES, shares)
    }
    sizes = [len(fold.held_out.names) for fold in folds]
    number = np.repeat(np.arange(len(folds)), sizes)
    for view in VIEWS:
        scores = {}
        for setting in itertools.starmap(
            Setting, itertools.product(RIDGES, shares, STRUCTURE_WEIGHTS)
        ):
            own = by_expert[setting.ridge, setting.share]
            raw = [in_view(view, values, setting.structure) for values in own]
            scores[setting] = [
                standardised(values[: len(fold.groups)], values[len(fold.groups) :])
                for fold, values in zip(folds, raw, strict=True)
            ]
        precision = {
            setting: np.concatenate(
                [
                    per_mechanism(values, fold.labels)["AP"]
                    for values, fold in zip(own, folds, strict=True)
                ]
            )
            for setting, own in scores.items()
        }
        chosen = [
            (scores[setting][place], fold)
            for place, (setting, fold) in enumerate(
                zip(chosen_elsewhere(precision, number), folds, strict=True)
            )
        ]
        yield {"view": view, "mechanisms": sum(sizes), **_cells(chosen)}


def _cells(chosen: Sequence[tuple[Scores, UnseenFold]]) -> Row:
    """Means and intervals over the mechanisms or compounds of all folds."""
    names = tuple(name for _, fold in chosen for name in fold.held_out.names)
    groups = tuple(group for _, fold in chosen for group in fold.groups)
    row: Row = {}
    for measure, units in ((per_mechanism, names), (per_compound, groups)):
        parts = [measure(scores, fold.labels) for scores, fold in chosen]
        for metric in parts[0]:
            values = np.concatenate([part[metric] for part in parts])
            row[metric] = mean_with_interval(values, units)
    return row


def table_rows(
    closed_form: ClosedForm, dataset: PreparedDataset, *, restart: float, num_folds: int, seed: int
) -> Iterator[Row]:
    """All rows of the table."""
    examples, symbols = closed_form.references.examples, list(dataset.graph.genes["symbol"])
    names = measured_mechanisms(examples)
    described = {
        "other compounds": by_other_compounds(examples, names, symbols),
        "name": by_name(GeneTexts(dataset.gene_names), names, symbols),
    }
    # Only genes with evidence, or in a description, take part.
    used = {*closed_form.features.proteins}.union(
        *(own.targets(symbols) for own in described.values())
    )
    genes = [symbol for symbol in symbols if symbol in used]
    rows = gene_rows(dataset.graph, genes)
    kernels = graph_kernels(dataset.graph, rows, restart=restart, seed=seed)
    for how, protocol in itertools.product(described, PROTOCOLS):
        mechanisms = _of_genes(described[how], rows, len(symbols))
        fold = fold_of(len(mechanisms.names), num_folds, seed)
        folds = []
        for number in range(num_folds):
            say(f"described by {how}, {protocol}, fold {number + 1} of {num_folds}")
            held_out = mechanisms.take(np.flatnonzero(fold == number))
            folds.append(UnseenFold.of(closed_form, held_out, genes, protocol=protocol, seed=seed))
        for graph, own in kernels.items():
            for row in graph_rows(folds, own, genes, is_identity=graph == IDENTITY):
                yield {"left out": protocol, "described by": how, "graph": graph, **row}


def _of_genes(mechanisms: Prototypes, rows: Int[np.ndarray, " gene"], count: int) -> Prototypes:
    """Prototypes over some of `count` gene nodes, which have all their pairs."""
    columns = np.concatenate([rows + action * count for action in range(len(ACTIONS))])
    return Prototypes(mechanisms.names, mechanisms.pairs[:, columns])


def main(argv: Sequence[str] | None = None) -> None:
    """Leaves mechanisms out, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--out", required=True, help="folder of the table")
    parser.add_argument("--config", default="configs/kernels.py")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the folds and the control")
    settings = parser.parse_args(argv)
    start = time.monotonic()
    try:
        dataset = read_prepared(settings.data)
        closed_form = solved(dataset, settings.config)
        restart = load_config(settings.config).proteins.restart
        rows = table_rows(
            closed_form, dataset, restart=restart, num_folds=settings.folds, seed=settings.seed
        )
        table = markdown_table(list(rows))
    except InputError as error:
        parser.error(str(error))
    minutes = (time.monotonic() - start) / 60
    text = f"Release: {dataset.manifest['release']}\n\n{table}\n\n{minutes:.0f} minutes"
    print(text)
    path = pathlib.Path(settings.out) / TABLES_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
