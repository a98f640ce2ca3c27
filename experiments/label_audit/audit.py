r"""Which MoA labels look wrong, and how well planted wrong labels are found.

    python -m experiments.label_audit.audit --data=data/lincs2020
    python -m experiments.label_audit.audit --data=data/simulated/prepared --plant
    python -m experiments.label_audit.audit --method=fusion \
        --predictions=runs/benchmark/tables/compound_seed0/compound_predictions.csv

The first command prints the most suspicious labels of a prepared folder, from out-of-fold
predictions over five folds of compounds, averaged over the seeds. The second plants wrong labels
before the folds are made and scores the audit, once per seed. The third reads a method's
predictions from a benchmark.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from experiments.label_audit.planted_errors import (
    planted_choice_quality,
    planted_ranking_quality,
)
from moa_jax.baselines.registry import make_method
from moa_jax.benchmark.perturbations.perturbation import CLEAN
from moa_jax.benchmark.perturbations.training_perturbations import (
    TrainingPerturbation,
    perturb_training,
)
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.labels import label_matrix
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.partition import partition_examples
from moa_jax.data.splits.rules import make_split
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared
from moa_jax.evaluation.label_audit import (
    DOUBTED,
    MISSING,
    SCORES,
    estimated_errors,
    is_contradicted,
    suspicion,
    suspicious_labels,
)
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.predictions.result_tables import markdown_table, read_csv
from moa_jax.progress import track
from moa_jax.schemas import Examples, InputError, KnowledgeGraph

NUM_FOLDS = 5
PLANTED = [
    TrainingPerturbation(CLEAN),
    *(
        TrainingPerturbation(kind, level)
        for kind in ("uniform_labels", "confusable_labels")
        for level in (0.1, 0.2)
    ),
]
# Numbers of labels that are read from the top of a ranking.
NUM_READ = (10, 25)
# The score that ranks the printed labels of a kind. A missing second mechanism has no margin over
# the given first one, so missing labels are ranked by self-confidence.
RANKED_BY = {DOUBTED: "normalised_margin", MISSING: "self_confidence"}
KEY_COLUMNS = ("method", "seed", "compound_group", "moas")


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """Pooled out-of-fold predictions of a method.

    Attributes:
      probs: mean probability over signatures and seeds.
      labels: 1 where the compound carries the MoA.
      compounds: name of each row.
      moas: MoA of each column.
    """

    probs: Float[np.ndarray, "compound moa"]
    labels: Float[np.ndarray, "compound moa"]
    compounds: tuple[str, ...]
    moas: tuple[str, ...]


def out_of_fold(
    examples: Examples, graph: KnowledgeGraph, method: str, seed: int
) -> Float[np.ndarray, "example moa"]:
    """Out-of-fold predictions of a method for each example.

    There is no validation part, so a method with several settings uses the first.
    """
    probs = np.zeros(examples.labels.shape)
    for fold in range(NUM_FOLDS):
        split = make_split(
            "compound", examples, fold=fold, num_folds=NUM_FOLDS, seed=seed, validation_fraction=0.0
        )
        parts = partition_examples(split, examples)
        fitted = make_method(method).fit(parts["train"], parts["validation"], graph, seed=seed)
        probs[split_rows(split, examples)["test"]] = fitted.predict(parts["test"])
    return probs


def predict_out_of_fold(
    dataset: PreparedDataset, method: str, seeds: Sequence[int]
) -> tuple[OutOfFold, list[float]]:
    """Predictions for a dataset's labels as they are, and the macro AUPRC of each seed."""
    examples = build_examples(dataset)
    answers, scores = [], []
    for seed in track(seeds, "seeds"):
        probs = out_of_fold(examples, dataset.graph, method, seed)
        pooled, labels, groups = pool_by_compound(probs, examples.labels, examples.groups)
        answers.append(pooled)
        scores.append(macro_auprc(pooled, labels))
    # One compound may have several names, as stereoisomers and esters do.
    names = examples.table["compound"].groupby(list(examples.groups)).unique()
    compounds = tuple("/".join(sorted(names[group])) for group in groups)
    return OutOfFold(np.mean(answers, axis=0), labels, compounds, examples.moas), scores


def read_out_of_fold(path: pathlib.Path, method: str) -> OutOfFold:
    """One method's predictions from a benchmark's `compound_predictions.csv`.

    Raises:
      InputError: the file cannot be read, lacks a column or the method, or has a value that is not
        a probability.
    """
    table = read_csv(path, KEY_COLUMNS, keep_default_na=False)
    for column in KEY_COLUMNS:
        if column not in table.columns:
            raise InputError(f"{path} has no column {column!r}.")
    methods = sorted(set(table["method"]))
    if method not in methods:
        raise InputError(f"{path} has no method {method!r}; it has {', '.join(methods)}.")
    table = table[table["method"] == method]
    moas = tuple(column for column in table.columns if column not in KEY_COLUMNS)
    probs = table[list(moas)].apply(pd.to_numeric, errors="coerce")
    if not ((probs >= 0) & (probs <= 1)).all(axis=None):
        raise InputError(f"{path} has a value for {method} that is not a probability from 0 to 1.")
    pooled = probs.groupby(table["compound_group"]).mean()
    own = table.groupby("compound_group")["moas"].first()
    labels = label_matrix([tuple(names.split("|")) for names in own], moas)
    return OutOfFold(pooled.to_numpy(), labels.astype(np.float64), tuple(pooled.index), moas)


def report_labels(found: OutOfFold, num_rows: int) -> str:
    """The most suspicious labels of each kind, and the estimated numbers of wrong ones."""
    num_missing, num_doubted = estimated_errors(found.probs, found.labels).sum(axis=0)
    estimated = {DOUBTED: num_doubted, MISSING: num_missing}
    parts = []
    for kind, score in RANKED_BY.items():
        table = suspicious_labels(
            found.probs, found.labels, found.compounds, found.moas, score=score
        )
        table = table[table["kind"] == kind]
        parts.append(
            f"{kind}, by {score}: {table['confident'].sum()} off the diagonals of the confident "
            f"joints, {estimated[kind]:.0f} estimated to be wrong"
        )
        # Of a missing label these repeat the MoA and its probability.
        repeated = [] if kind == DOUBTED else ["score", "instead", "instead_prob"]
        rows = table.drop(columns=["kind", *repeated]).head(num_rows).to_dict("records")
        numbered = [{"rank": place, **row} for place, row in enumerate(rows, start=1)]
        parts.append(markdown_table(numbered))
    return "\n\n".join(parts)


def plant_and_audit(
    examples: Examples,
    graph: KnowledgeGraph,
    condition: TrainingPerturbation,
    method: str,
    seed: int,
) -> Iterator[dict[str, str | float]]:
    """Scores of one audit of planted wrong labels, one row per kind of label and score."""
    nothing = examples.take(np.array([], dtype=np.int64))
    noisy = perturb_training(condition, examples, nothing, graph, seed=seed)[0]
    probs = out_of_fold(noisy, graph, method, seed)
    probs, labels, _ = pool_by_compound(probs, noisy.labels, noisy.groups)
    clean = pool_by_compound(examples.labels, examples.labels, examples.groups)[1]
    planted = labels != clean
    num_missing, num_doubted = estimated_errors(probs, labels).sum(axis=0)
    audits: dict[str, tuple[Bool[np.ndarray, "compound moa"], float]] = {
        DOUBTED: (labels > 0, num_doubted),
        MISSING: (labels == 0, num_missing),
    }
    for kind, (audited, estimated) in audits.items():
        choice = planted_choice_quality(is_contradicted(probs, labels), planted, audited)
        for score in SCORES:
            scores = suspicion(probs, labels, score)
            read = {k: planted_ranking_quality(scores, planted, audited, k) for k in NUM_READ}
            whole = read[NUM_READ[0]]
            yield {
                "wrong labels": condition.name,
                "kind": kind,
                "score": score,
                "planted": whole["num_planted"],
                "chance": whole["chance"],
                "average precision": whole["average_precision"],
                **{f"precision@{k}": quality["precision"] for k, quality in read.items()},
                **{f"recall@{k}": quality["recall"] for k, quality in read.items()},
                "estimated": estimated,
                "chosen": choice["num_chosen"],
                "precision": choice["precision"],
                "recall": choice["recall"],
            }


def report_planted(rows: Sequence[dict[str, str | float]]) -> str:
    """Tables of the ranking and of the confident joint: means over the seeds."""
    table = pd.DataFrame(rows)
    key = ["wrong labels", "kind", "score"]
    by_score = table.groupby(key, sort=False)
    means = by_score.mean().reset_index()
    spread = by_score["average precision"].agg(["min", "max"]).reset_index(drop=True)
    means["of the seeds"] = [f"{low:.3f} to {high:.3f}" for low, high in spread.to_numpy()]
    ranking = [*key, "planted", "chance", "average precision", "of the seeds"]
    ranking += [f"{name}@{k}" for name in ("precision", "recall") for k in NUM_READ]
    counting = [*key[:2], "planted", "chance", "estimated", "chosen", "precision", "recall"]
    ranked, counts = means[means["planted"] > 0], means[means["score"] == SCORES[0]]
    return "\n\n".join(
        [
            "Ranking of all labels of a kind",
            markdown_table(ranked[ranking].to_dict("records")),
            "Confident joint: estimated number of errors, and the labels off its diagonal (chosen)",
            markdown_table(counts[counting].to_dict("records")),
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Predicts or reads, audits and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="prepared folder to predict out of fold")
    source.add_argument("--predictions", help="compound_predictions.csv of a benchmark instead")
    parser.add_argument("--method", default="product_of_logistics")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plant", action="store_true", help="plant wrong labels and find them")
    parser.add_argument("--top", type=int, default=25, help="number of labels to print per kind")
    settings = parser.parse_args(argv)
    if settings.plant and not settings.data:
        parser.error("--plant needs --data")
    try:
        print(_audited(settings))
    except InputError as error:
        parser.error(str(error))


def _audited(settings: argparse.Namespace) -> str:
    if settings.predictions:
        path = pathlib.Path(settings.predictions)
        found = read_out_of_fold(path, settings.method)
        return f"{path}, {settings.method}\n\n{report_labels(found, settings.top)}"
    dataset = read_prepared(settings.data)
    about = f"{dataset.manifest['release']}, {settings.method}, seeds {settings.seeds}"
    if not settings.plant:
        found, scores = predict_out_of_fold(dataset, settings.method, settings.seeds)
        shown = ", ".join(f"{score:.3f}" for score in scores)
        return f"{about}; macro AUPRC {shown}\n\n{report_labels(found, settings.top)}"
    examples = build_examples(dataset)
    audits = [(condition, seed) for condition in PLANTED for seed in settings.seeds]
    rows = [
        row
        for condition, seed in track(audits, "audits")
        for row in plant_and_audit(examples, dataset.graph, condition, settings.method, seed)
    ]
    return f"{about}; wrong labels planted\n\n{report_planted(rows)}"


if __name__ == "__main__":
    main()
