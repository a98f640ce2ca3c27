"""What each noise-robust loss saves an expression perceptron from wrong labels.

    python -m experiments.robust_losses.run --data=data/simulated

Every loss trains the same network for the same steps on the same noisy compounds. Test labels
are never changed.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Callable

import jax
import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float

from experiments.robust_losses.perceptrons import (
    Objective,
    Plain,
    Remembering,
    TwoNetworks,
    train_perceptron,
)
from moa_jax.baselines.modalities import Modalities
from moa_jax.baselines.neural_classifiers import expression_mlp
from moa_jax.baselines.neural_config import attributes, no_graph
from moa_jax.baselines.registry import make_method
from moa_jax.benchmark.training_conditions import TrainingCondition, alter
from moa_jax.data.batches import make_batch
from moa_jax.data.division import partition_by_rule
from moa_jax.data.examples import build_examples
from moa_jax.data.features import encode, fit_features
from moa_jax.data.labels import strata
from moa_jax.data.prepared import PreparedDataset, read_prepared
from moa_jax.evaluation.bootstrap import bootstrap_scores, paired_difference
from moa_jax.evaluation.metrics import macro_auprc, score
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.evaluation.tables import markdown_table
from moa_jax.models.expression_network import ExpressionMlp
from moa_jax.progress import say
from moa_jax.schemas import Examples, concatenate
from moa_jax.training.co_teaching import CoTeaching, CoTeachingTask, Twins
from moa_jax.training.early_learning import EarlyLearning
from moa_jax.training.losses import balanced_weights, label_distribution_cross_entropy
from moa_jax.training.noise_correction import (
    FlipCorrection,
    TransitionCorrection,
    uniform_transition,
)
from moa_jax.training.robust_losses import (
    Asymmetric,
    Focal,
    GeneralisedCrossEntropy,
    HardBootstrapping,
    LabelSmoothing,
    SoftBootstrapping,
    SymmetricCrossEntropy,
)
from moa_jax.training.sigmoid_losses import BinaryCrossEntropy, RobustLoss, WeightedPositives

CONDITIONS = (
    TrainingCondition("clean"),
    TrainingCondition("uniform_labels", 0.2),
    TrainingCondition("uniform_labels", 0.4),
    TrainingCondition("confusable_labels", 0.2),
    TrainingCondition("confusable_labels", 0.4),
)
REFERENCE, LOGISTIC = "binary cross-entropy (BCE)", "logistic regression"
NETWORK = expression_mlp(pathlib.Path()).candidates
NUM_FOLDS = 3
# About the square root of the number of negative labels per positive one.
POSITIVE_WEIGHT = 5.0
# Step whose answers are scored: after training, or the best one on validation.
STEPS = ("last", "best")

Probs = Float[np.ndarray, "example moa"]


def objectives(network: ExpressionMlp, level: float, num_gradual: int) -> dict[str, Objective]:
    """Every loss at settings of its paper; some are told the share of wrong labels.

    Args:
      network: the perceptron.
      level: share of wrong labels.
      num_gradual: steps over which co-teaching comes to forget that share.
    """

    def co_teaching(*, on_disagreement: bool) -> TwoNetworks:
        return TwoNetworks(
            CoTeachingTask(
                Twins(network),
                weighted(BinaryCrossEntropy()),
                CoTeaching(level, num_gradual, on_disagreement),
            )
        )

    num_moas = network.num_moas
    early = EarlyLearning(weighted(BinaryCrossEntropy()), 1.0, 0.7)
    flips = FlipCorrection(level / (num_moas - 1), level)
    transitions = TransitionCorrection(uniform_transition(num_moas, level))
    softmax = Plain(network, label_distribution_cross_entropy, answer=jax.nn.softmax)
    return {
        REFERENCE: Plain(network, weighted(BinaryCrossEntropy())),
        "BCE, positives x1": Plain(network, BinaryCrossEntropy()),
        "focal, gamma 2": Plain(network, weighted(Focal(2.0, 0.5))),
        "asymmetric, 1 / 4 / .05, positives x1": Plain(network, Asymmetric(1.0, 4.0, 0.05)),
        "generalised CE, q .7": Plain(network, weighted(GeneralisedCrossEntropy(0.7))),
        "generalised CE, q .7, positives x1": Plain(network, GeneralisedCrossEntropy(0.7)),
        "symmetric CE, .1 / 1": Plain(network, weighted(SymmetricCrossEntropy(0.1, 1.0, -4.0))),
        "early learning, 1 / .7": Remembering(network, early),
        "label smoothing, .1": Plain(network, weighted(LabelSmoothing(0.1, 0.5))),
        "soft bootstrapping, .95": Plain(network, weighted(SoftBootstrapping(0.95))),
        "hard bootstrapping, .8": Plain(network, weighted(HardBootstrapping(0.8))),
        "flip correction *": Plain(network, weighted(flips)),
        "transition correction *": Plain(network, weighted(transitions)),
        "co-teaching *": co_teaching(on_disagreement=False),
        "co-teaching+ *": co_teaching(on_disagreement=True),
        "softmax cross-entropy": softmax,
    }


def weighted(loss: RobustLoss) -> WeightedPositives:
    """The loss with positive labels counting `POSITIVE_WEIGHT` times."""
    return WeightedPositives(loss, POSITIVE_WEIGHT)


@dataclasses.dataclass(frozen=True)
class Fold:
    """One fold under one condition.

    Attributes:
      examples: training, validation and test examples, in this order; the labels of the first
        two may be wrong.
      sizes: how many of each.
      level: share of compounds with wrong labels.
    """

    examples: Examples
    sizes: tuple[int, int, int]
    level: float

    def part(self, place: int) -> np.ndarray:
        """Rows of the training (0), validation (1) or test part (2)."""
        start = sum(self.sizes[:place])
        return np.arange(start, start + self.sizes[place])


def make_fold(
    dataset: PreparedDataset, examples: Examples, condition: TrainingCondition, fold: int, seed: int
) -> Fold:
    """A fold of the compound split with the condition's labels."""
    parts = partition_by_rule(
        "compound", examples, fold=fold, num_folds=NUM_FOLDS, seed=seed, validation_fraction=0.2
    )
    test = parts["test"]
    train, validation, _ = alter(
        condition, parts["train"], parts["validation"], dataset.graph, seed=seed
    )
    return Fold(
        concatenate(concatenate(train, validation), test),
        (train.num_examples, validation.num_examples, test.num_examples),
        condition.level,
    )


def perceptron_answers(
    fold: Fold, dataset: PreparedDataset, config: ml_collections.FrozenConfigDict, seed: int
) -> dict[tuple[str, str], Probs]:
    """Answers for the test part of every loss: after the last step, and after the best one.

    The best step has the highest macro AUPRC of the validation compounds by their labels, wrong
    ones among them: better are not to be had.
    """
    visible = Modalities(expression=True, structure=False).visible(fold.examples)
    train = fold.examples.take(fold.part(0))
    weight = np.zeros(visible.num_examples, np.float32)
    weight[fold.part(0)] = balanced_weights(strata(train), power=config.training.balance_power)
    features = fit_features(train, dataset.signatures.genes)
    encoded = encode(visible, features, weight=weight)
    size = visible.num_examples
    whole = jax.tree.map(
        jax.numpy.asarray, make_batch(encoded, np.arange(size), size, num_shards=1)
    )
    network = ExpressionMlp(num_moas=len(features.moas), **attributes(config.model))
    validation = fold.examples.take(fold.part(1))
    answers = {}
    for name, objective in objectives(network, fold.level, config.training.num_steps // 5).items():
        probs = train_perceptron(
            objective, config.training, whole, no_graph(dataset.graph), fold.part(0), seed=seed
        )
        curve = [
            macro_auprc(
                *pool_by_compound(some[fold.part(1)], validation.labels, validation.groups)[:2]
            )
            for some in probs
        ]
        answers[name, "last"] = probs[-1, fold.part(2)]
        answers[name, "best"] = probs[int(np.argmax(curve)), fold.part(2)]
    return answers


def logistic_answers(fold: Fold, dataset: PreparedDataset, seed: int) -> Probs:
    """Answers of logistic regression on expression, trained on the training part alone."""
    parts = [fold.examples.take(fold.part(place)) for place in range(3)]
    nothing = parts[1].take(np.array([], dtype=np.int64))
    fitted = make_method("expression_logistic").fit(parts[0], nothing, dataset.graph, seed=seed)
    return fitted.predict(parts[2])


def pooled_answers(
    dataset: PreparedDataset,
    examples: Examples,
    condition: TrainingCondition,
    config: ml_collections.FrozenConfigDict,
    seed: int,
) -> tuple[dict[tuple[str, str], Probs], Float[np.ndarray, "compound moa"]]:
    """Out-of-fold answers for every compound, and the right labels."""
    found: dict[tuple[str, str], list[Probs]] = {}
    tests = []
    for number in range(NUM_FOLDS):
        fold = make_fold(dataset, examples, condition, number, seed)
        answers = perceptron_answers(fold, dataset, config, seed)
        logistic = logistic_answers(fold, dataset, seed)
        answers |= {(LOGISTIC, when): logistic for when in STEPS}
        for key, probs in answers.items():
            found.setdefault(key, []).append(probs)
        tests.append(fold.examples.take(fold.part(2)))
    labels = np.concatenate([test.labels for test in tests])
    groups = [group for test in tests for group in test.groups]
    pooled = {
        key: pool_by_compound(np.concatenate(probs), labels, groups) for key, probs in found.items()
    }
    return {key: probs for key, (probs, _, _) in pooled.items()}, pooled[REFERENCE, "last"][1]


def condition_scores(
    dataset: PreparedDataset,
    examples: Examples,
    condition: TrainingCondition,
    config: ml_collections.FrozenConfigDict,
    num_seeds: int,
) -> pd.DataFrame:
    """Macro AUPRC, top-1 and the difference from the reference, one row per loss and step."""
    answers, labels = [], np.zeros(0)
    for seed in range(num_seeds):
        start = time.perf_counter()
        probs, labels = pooled_answers(dataset, examples, condition, config, seed)
        answers.append(probs)
        say(f"{condition.name}, seed {seed}: {time.perf_counter() - start:.0f} s")
    stacked = {key: np.stack([some[key] for some in answers]) for key in answers[0]}
    rows = []
    for when in STEPS:
        of_step = {name: probs for (name, step), probs in stacked.items() if step == when}
        scores = bootstrap_scores(of_step, labels)
        for name, probs in of_step.items():
            per_seed = [score(some, labels) for some in probs]
            gap = paired_difference(scores[name], scores[REFERENCE], "macro_auprc")
            rows.append(
                {"condition": condition.name, "loss": name, "step": when}
                | {"macro_auprc": [some["macro_auprc"] for some in per_seed]}
                | {"top1": [some["top1"] for some in per_seed]}
                | {"difference": (gap.estimate, gap.low, gap.high)}
            )
    return pd.DataFrame(rows)


def tables(found: pd.DataFrame) -> str:
    """Markdown: what each loss reaches under each condition, and how far it is from BCE."""

    def table(step: str, cell: Callable[[pd.Series], str]) -> str:
        of_step = found[found["step"] == step]
        cells = of_step.assign(cell=of_step.apply(cell, axis=1))
        wide = cells.pivot_table("cell", "loss", "condition", aggfunc="first", sort=False)
        return markdown_table(wide.reset_index().to_dict("records"))

    def mean_and_deviation(row: pd.Series) -> str:
        low, high = row["difference"][1:]
        mark = " +" if low > 0 else " -" if high < 0 else ""
        values = row["macro_auprc"]
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}{mark}"

    texts = {
        "Macro AUPRC after the last step": table("last", mean_and_deviation),
        "Macro AUPRC after the best step on validation": table("best", mean_and_deviation),
        "Top-1 after the last step": table("last", lambda row: f"{np.mean(row['top1']):.3f}"),
        "Macro AUPRC less BCE's, after the last step": table(
            "last", lambda row: "{:+.3f} [{:+.3f}, {:+.3f}]".format(*row["difference"])
        ),
    }
    return "\n\n".join(f"{title}:\n\n{text}" for title, text in texts.items())


def main() -> None:
    """Trains, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    settings = parser.parse_args()
    dataset = read_prepared(settings.data)
    examples = build_examples(dataset)
    config = ml_collections.FrozenConfigDict(next(iter(NETWORK.values())))
    start = time.perf_counter(), time.process_time()
    found = [
        condition_scores(dataset, examples, condition, config, settings.seeds)
        for condition in CONDITIONS
    ]
    print(f"Release: {dataset.manifest['release']}\n\n{tables(pd.concat(found))}")
    say(
        f"{time.perf_counter() - start[0]:.0f} s of wall-clock time, "
        f"{time.process_time() - start[1]:.0f} s of CPU time"
    )


if __name__ == "__main__":
    main()
