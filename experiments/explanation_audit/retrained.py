"""Whether a model that is retrained without the most important genes becomes worse (ROAR).

    python -m experiments.explanation_audit.retrained --data=data/lincs2020 --out=runs/audit

For each fold (runs in OUT/runs, trained if they do not exist) the answers for all signatures are
explained, the most important genes are replaced by the training mean, and the expression kernel is
retrained and scored on the test part with the same replacement (Hooker 2019). Two variants: genes
chosen for each signature, whose positions reveal the explained answer to the model (Rong 2022,
section 4), and the same genes for all signatures, which reveal nothing. Writes OUT/roar.csv and
prints a summary.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from experiments.explanation_audit.faithful import INTEGRATED, ROUGH_STEPS, integrated
from experiments.explanation_audit.folds import trained_run, with_answers
from experiments.explanation_audit.roar import roar_curves
from moa_jax.command_line import load_config
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.splits.manifest import read_split
from moa_jax.data.splits.partition import examples_of, partition_examples, train_and_validation
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.predictions.result_tables import markdown_table, write_csv
from moa_jax.progress import say
from moa_jax.schemas import Examples, KnowledgeGraph
from moa_jax.training.fusion_fit import fit_fusion
from moa_jax.training.runs.run_folder import FinishedRun, open_run

FRACTIONS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
RANDOM = "random"
OWN, COMMON = "each signature's own genes", "the same genes of all signatures"
EXPRESSION_ALONE = ("signature_kernel",)


def importance(
    run: FinishedRun, examples: Examples, seed: int
) -> dict[str, Float[np.ndarray, "example gene"]]:
    """Importance of the genes of every signature in each ranking."""
    scored = with_answers(run, examples)
    size = scored.encoded.expression.shape
    contributions = integrated(scored, num_steps=ROUGH_STEPS).values[:, 0]
    return {
        INTEGRATED: np.abs(contributions).astype(np.float64),
        "|z|": np.abs(examples.expression).astype(np.float64),
        RANDOM: np.random.default_rng(seed).random(size),
    }


def expression_score(
    config: ml_collections.ConfigDict, graph: KnowledgeGraph
) -> Callable[[Examples, Examples], float]:
    """Trains the expression kernel and scores it: macro AUPRC over test compounds."""
    alone = ml_collections.ConfigDict(config.to_dict())
    alone.model.experts, alone.num_devices = EXPRESSION_ALONE, 1

    def fit_and_score(train: Examples, test: Examples) -> float:
        nothing = train.take(np.zeros(0, np.int64))
        with tempfile.TemporaryDirectory() as folder:
            fit = fit_fusion(alone, train, nothing, graph, pathlib.Path(folder) / "run")
            probs = fit.predictor.predict(test)["expression"].astype(np.float64)
        pooled, labels, _ = pool_by_compound(probs, test.labels, test.groups)
        return macro_auprc(pooled, labels)

    return fit_and_score


def roar_of_fold(
    config: ml_collections.ConfigDict,
    run: FinishedRun,
    parts: Mapping[str, Examples],
    *,
    seed: int,
) -> pd.DataFrame:
    """`roar_curves` of one fold, trained on the training and validation parts.

    The genes for all signatures are those with the largest mean importance in training.
    """
    train, test = train_and_validation(parts), parts["test"]
    of_train, of_test = importance(run, train, seed), importance(run, test, seed + 1)
    common = {
        name: tuple(np.tile(values.mean(axis=0), (part.num_examples, 1)) for part in (train, test))
        for name, values in of_train.items()
    }
    own = {name: (values, of_test[name]) for name, values in of_train.items()}
    score = expression_score(config, run.graph)
    return pd.concat(
        [
            roar_curves(train, test, rankings, score, fractions=FRACTIONS).assign(replaced=replaced)
            for replaced, rankings in ((OWN, own), (COMMON, common))
        ],
        ignore_index=True,
    )


def summary(table: pd.DataFrame) -> list[dict[str, str | float]]:
    """Means over folds, and the score with random genes minus that with each ranking.

    Intervals are Student's for the folds' differences (95 %).

    Args:
      table: `roar_of_fold` of the folds, with a column `fold`.
    """
    index = ["replaced", "fraction", "fold"]
    wide = table.pivot(index=index, columns="ranking", values="score")
    rows = []
    for (replaced, fraction), of_fraction in wide.groupby(index[:2]):
        row: dict[str, str | float] = {"replaced": f"{fraction:.0%} of {replaced}"}
        for ranking in table["ranking"].unique():
            row[ranking] = round(float(of_fraction[ranking].mean()), 3)
        for ranking in table["ranking"].unique():
            if ranking != RANDOM:
                row[f"{RANDOM} - {ranking}"] = _mean_and_interval(
                    (of_fraction[RANDOM] - of_fraction[ranking]).to_numpy()
                )
        rows.append(row)
    return rows


def _mean_and_interval(values: Float[np.ndarray, " fold"]) -> str:
    mean = float(values.mean())
    if len(values) < 2:
        return f"{mean:+.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--config", default="configs/frequent.py")
    parser.add_argument("--out", required=True)
    parser.add_argument("--num-folds", type=int, default=5, help="folds that are tested, of 5")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Trains, explains, retrains and writes."""
    settings, start = parse(), time.process_time()
    out = pathlib.Path(settings.out)
    config = load_config(settings.config)
    config.data = settings.data
    dataset = read_prepared(pathlib.Path(settings.data))
    examples = examples_of(config, dataset)
    tables = []
    for fold in range(settings.num_folds):
        folder = trained_run(config, out / "runs", fold=fold, seed=0)
        parts = partition_examples(read_split(folder / "split.json"), examples)
        run = open_run(folder, num_devices=1)
        table = roar_of_fold(config, run, parts, seed=settings.seed)
        tables.append(table.assign(fold=fold))
        say(f"fold {fold}: {len(table)} models")
    table = pd.concat(tables, ignore_index=True)
    write_csv(out / "roar.csv", table)
    print(markdown_table(summary(table)))
    say(f"{time.process_time() - start:.0f} s of CPU time")


if __name__ == "__main__":
    main()
