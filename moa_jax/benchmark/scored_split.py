"""Metrics with confidence intervals of every method of a split, and the comparator method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax.benchmark.collect import Fold, Line, SplitResults
from moa_jax.benchmark.plan import CLEAN_TEST, CLEAN_TRAINING, family_of, trains_network
from moa_jax.calibration.probability_calibration import fit_temperature
from moa_jax.evaluation.bootstrap import BootstrapScores, bootstrap_scores
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.progress import track
from moa_jax.schemas import InputError

# Family of the negative controls, which are never the comparator.
CONTROL = "control"


@dataclasses.dataclass(frozen=True)
class ScoredSplit:
    """The predictions for one split with the scores of each line.

    Attributes:
      results: the predictions.
      scores: line -> metrics, with bootstrap resamples that are paired between lines.
      validation: line -> mean macro AUPRC on the validation parts; NaN where there are none.
      comparator: the line that all others are compared with.
      num_resamples: number of bootstrap resamples.
      seed: seed of the resamples.
    """

    results: SplitResults
    scores: Mapping[Line, BootstrapScores]
    validation: Mapping[Line, float]
    comparator: Line
    num_resamples: int
    seed: int

    @property
    def clean(self) -> tuple[Line, ...]:
        """Lines with unchanged training and test data."""
        return tuple(line for line in self.scores if is_clean(line))

    def mean_probs(self, line: Line) -> Float[np.ndarray, "compound moa"]:
        """Mean over the seeds of a line (an ensemble), where one prediction is needed."""
        return np.mean(self.results.probs(line), axis=0)

    def featured(self) -> tuple[Line, ...]:
        """The clean line of each family with the best validation score, and the comparator."""
        best: dict[str, Line] = {}
        for line in self.clean:
            family = family_of(line.method)
            if (
                family == CONTROL
                or line.structure_only_compounds
                or np.isnan(self.validation[line])
            ):
                continue
            if family not in best or self.validation[line] > self.validation[best[family]]:
                best[family] = line
        return tuple(dict.fromkeys((*best.values(), self.comparator)))


def is_clean(line: Line) -> bool:
    """The line has unchanged training and test data."""
    return line.training == CLEAN_TRAINING and line.test == CLEAN_TEST


def score_split(results: SplitResults, config: ml_collections.ConfigDict) -> ScoredSplit:
    """Scores every line of a split.

    Args:
      results: the predictions.
      config: `config.statistics`; see `configs/benchmark.py`.

    Raises:
      InputError: the comparator method was not run on this split.
    """
    scores = {}
    for line in track(list(results.lines), f"confidence intervals of {results.name}"):
        scores[line] = bootstrap_scores(
            {line.name: np.stack(results.probs(line))},
            results.labels,
            num_resamples=config.num_resamples,
            seed=config.seed,
        )[line.name]
    validation = {line: _validation_score(results, line) for line in results.lines}
    return ScoredSplit(
        results=results,
        scores=scores,
        validation=validation,
        comparator=_comparator(validation, config.comparator, results.name),
        num_resamples=config.num_resamples,
        seed=config.seed,
    )


def _validation_score(results: SplitResults, line: Line) -> float:
    """Mean over folds and seeds of macro AUPRC on the validation part."""
    values = [
        macro_auprc(fold.validation_probs, fold.validation_labels)
        for folds in results.lines[line].values()
        for fold in folds
    ]
    return float(np.mean(values))


def _comparator(validation: Mapping[Line, float], method: str, split: str) -> Line:
    """The named method, or the non-neural baseline with the best validation score."""
    clean = [line for line in validation if is_clean(line) and not line.structure_only_compounds]
    if method:
        for line in clean:
            if line.method == method:
                return line
        raise InputError(
            f"config.statistics.comparator is {method}, but this method was not run on {split}."
        )
    plain = [line for line in clean if not trains_network(line.method)]
    candidates = [line for line in plain if family_of(line.method) != CONTROL] or clean
    return max(candidates, key=lambda line: np.nan_to_num(validation[line], nan=-1.0))


def calibrated(fold: Fold) -> Float[np.ndarray, "compound moa"]:
    """Test probabilities of a fold, temperature-scaled if there are validation compounds."""
    if not len(fold.validation_labels):
        return fold.probs
    return fit_temperature(fold.validation_probs, fold.validation_labels)(fold.probs)
