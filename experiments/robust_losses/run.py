"""How robust losses and co-teaching train the signature network under wrong labels.

    python -m experiments.robust_losses.run --data=data/simulated

Every loss trains the same network for the same number of steps on the same noisy compounds. Test
labels are never changed.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float

from configs import kernels
from configs.networks import networks
from moa_jax.baselines.neural.modalities import Modalities
from moa_jax.baselines.registry import make_method
from moa_jax.benchmark.perturbations.training_perturbations import (
    TrainingPerturbation,
    perturb_training,
)
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.features import encode, fit_features
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.splits.partition import partition_by_rule
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared
from moa_jax.evaluation.bootstrap import bootstrap_scores, paired_difference
from moa_jax.evaluation.metrics import score
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.progress import say
from moa_jax.schemas import Examples
from moa_jax.training.fit import Run
from moa_jax.training.fusion.task import make_fusion_task, make_graph_arrays

CONDITIONS = {
    "clean": TrainingPerturbation("clean"),
    "uniform .2": TrainingPerturbation("uniform_labels", 0.2),
    "uniform .4": TrainingPerturbation("uniform_labels", 0.4),
    "confusable .2": TrainingPerturbation("confusable_labels", 0.2),
    "confusable .4": TrainingPerturbation("confusable_labels", 0.4),
}
REFERENCE, LOGISTIC = "binary cross-entropy (BCE)", "logistic regression"
BCE = {"name": "binary_cross_entropy"}
NUM_FOLDS = 3

Probs = Float[np.ndarray, "example moa"]


def ways_to_train(level: float, num_moas: int) -> dict[str, dict[str, Any]]:
    """Name in the tables -> settings of `training`: losses with the settings of their papers.

    Args:
      level: share of wrong labels, which losses with a star are given.
      num_moas: number of MoAs.
    """

    def loss(name: str, **settings: Any) -> dict[str, Any]:
        return {"loss": {"name": name, **settings}}

    def co_teaching(*, on_disagreement: bool) -> dict[str, Any]:
        teaching = {"enabled": True, "forget_rate": level, "on_disagreement": on_disagreement}
        return {"loss": BCE, "co_teaching": teaching}

    return {
        REFERENCE: {"loss": BCE},
        "BCE, positives x1": loss(**BCE, positive_weight=1.0),
        "focal, gamma 2": loss("focal"),
        "asymmetric, 1 / 4 / .05, positives x1": loss("asymmetric", positive_weight=1.0),
        "generalised CE, q .7": loss("generalised_cross_entropy"),
        "generalised CE, q .7, positives x1": loss("generalised_cross_entropy", positive_weight=1),
        "symmetric CE, .1 / 1": loss("symmetric_cross_entropy"),
        "early learning, 1 / .7": loss("early_learning"),
        "label smoothing, .1": loss("label_smoothing"),
        "soft bootstrapping, .95": loss("soft_bootstrapping"),
        "hard bootstrapping, .8": loss("hard_bootstrapping"),
        "flip correction *": loss(
            "flip_correction", false_positive=level / (num_moas - 1), false_negative=level
        ),
        "transition correction *": loss("transition_correction", transition=level),
        "co-teaching *": co_teaching(on_disagreement=False),
        "co-teaching+ *": co_teaching(on_disagreement=True),
        "softmax cross-entropy": loss("label_distribution"),
    }


def network_config(training: dict[str, Any], seed: int) -> ml_collections.ConfigDict:
    """A small signature network as the only expert, for 150 steps."""
    config = kernels.get_config()
    config.update(networks())
    config.model.experts = ("signature",)
    config.model.update({"knowledge_features": 16, "knowledge_layers": 1})
    config.seed, config.num_devices = seed, 1
    config.training.update({"num_steps": 150, "eval_every": 150, "log_every": 150, **training})
    return config


def make_fold(
    dataset: PreparedDataset,
    examples: Examples,
    condition: TrainingPerturbation,
    fold: int,
    seed: int,
) -> tuple[Examples, Examples]:
    """Perturbed training part, and test part, of a fold of the compound split."""
    parts = partition_by_rule(
        "compound", examples, fold=fold, num_folds=NUM_FOLDS, seed=seed, validation_fraction=0.2
    )
    train, _, _ = perturb_training(
        condition, parts["train"], parts["validation"], dataset.graph, seed=seed
    )
    return train, parts["test"]


def network_answers(
    train: Examples, test: Examples, dataset: PreparedDataset, config: ml_collections.ConfigDict
) -> Probs:
    """The network's predictions for the test part after the last step."""
    graph, expression = dataset.graph, Modalities(expression=True, structure=False)
    known = expression.training_examples(train)
    features = fit_features(known, graph.genes.iloc[: graph.num_landmarks])
    with tempfile.TemporaryDirectory() as folder:
        predictor = Run(
            config,
            known,
            None,
            make_task=make_fusion_task,
            features=features,
            encoded=encode(known, features),
            graph=make_graph_arrays(config, graph),
            graph_size=(graph.num_genes, graph.num_terms),
            workdir=pathlib.Path(folder),
            non_trainable={"expert_scales": np.ones((len(VIEWS), 1), np.float32)},
        ).train()
    return predictor.predict(expression.visible(test))["expression"]


def logistic_answers(train: Examples, test: Examples, dataset: PreparedDataset, seed: int) -> Probs:
    """Predictions of logistic regression on expression, without a validation part."""
    nothing = train.take(np.array([], dtype=np.int64))
    fitted = make_method("expression_logistic").fit(train, nothing, dataset.graph, seed=seed)
    return fitted.predict(test)


def pooled_answers(
    dataset: PreparedDataset,
    examples: Examples,
    condition: TrainingPerturbation,
    seed: int,
    *,
    num_folds: int,
) -> tuple[dict[str, Probs], Float[np.ndarray, "compound moa"]]:
    """Predictions for the test compounds of all folds, and their true labels."""
    found: dict[str, list[Probs]] = {}
    tests = []
    for fold in range(num_folds):
        train, test = make_fold(dataset, examples, condition, fold, seed)
        answers = {LOGISTIC: logistic_answers(train, test, dataset, seed)}
        for name, training in ways_to_train(condition.level, len(examples.moas)).items():
            config = network_config(training, seed)
            answers[name] = network_answers(train, test, dataset, config)
        for name, probs in answers.items():
            found.setdefault(name, []).append(probs)
        tests.append(test)
    labels = np.concatenate([test.labels for test in tests])
    groups = [group for test in tests for group in test.groups]
    pooled = {
        name: pool_by_compound(np.concatenate(probs), labels, groups)
        for name, probs in found.items()
    }
    return {name: probs for name, (probs, _, _) in pooled.items()}, pooled[REFERENCE][1]


def condition_scores(
    dataset: PreparedDataset,
    examples: Examples,
    condition: str,
    *,
    num_seeds: int,
    num_folds: int,
) -> pd.DataFrame:
    """Macro AUPRC, top-1 and the difference from the reference, one row per loss."""
    answers, labels = [], np.zeros(0)
    for seed in range(num_seeds):
        start = time.perf_counter()
        probs, labels = pooled_answers(
            dataset, examples, CONDITIONS[condition], seed, num_folds=num_folds
        )
        answers.append(probs)
        say(f"{condition}, seed {seed}: {time.perf_counter() - start:.0f} s")
    stacked = {name: np.stack([some[name] for some in answers]) for name in answers[0]}
    scores = bootstrap_scores(stacked, labels)
    rows = []
    for name, probs in stacked.items():
        per_seed = [score(some, labels) for some in probs]
        gap = paired_difference(scores[name], scores[REFERENCE], "macro_auprc")
        rows.append(
            {"condition": condition, "loss": name}
            | {"macro_auprc": [some["macro_auprc"] for some in per_seed]}
            | {"top1": [some["top1"] for some in per_seed]}
            | {"difference": (gap.estimate, gap.low, gap.high)}
        )
    return pd.DataFrame(rows)


def tables(found: pd.DataFrame) -> str:
    """Markdown: scores of each loss under each perturbation, and their differences from BCE."""

    def table(cell: Callable[[pd.Series], str]) -> str:
        cells = found.assign(cell=found.apply(cell, axis=1))
        wide = cells.pivot_table("cell", "loss", "condition", aggfunc="first", sort=False)
        return markdown_table(wide.reset_index().to_dict("records"))

    def mean_and_deviation(row: pd.Series) -> str:
        low, high = row["difference"][1:]
        mark = " +" if low > 0 else " -" if high < 0 else ""
        values = row["macro_auprc"]
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}{mark}"

    texts = {
        "Macro AUPRC": table(mean_and_deviation),
        "Top-1": table(lambda row: f"{np.mean(row['top1']):.3f}"),
        "Macro AUPRC minus that of BCE": table(
            lambda row: "{:+.3f} [{:+.3f}, {:+.3f}]".format(*row["difference"])
        ),
    }
    return "\n\n".join(f"{title}:\n\n{text}" for title, text in texts.items())


def main() -> None:
    """Trains, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument(
        "--folds", type=int, default=NUM_FOLDS, help=f"folds that are tested, of {NUM_FOLDS}"
    )
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    settings = parser.parse_args()
    dataset = read_prepared(settings.data)
    examples = build_examples(dataset)
    start = time.perf_counter(), time.process_time()
    found = [
        condition_scores(
            dataset, examples, condition, num_seeds=settings.seeds, num_folds=settings.folds
        )
        for condition in settings.conditions
    ]
    print(f"Release: {dataset.manifest['release']}\n\n{tables(pd.concat(found))}")
    say(
        f"{time.perf_counter() - start[0]:.0f} s of wall-clock time, "
        f"{time.process_time() - start[1]:.0f} s of CPU time"
    )


if __name__ == "__main__":
    main()
