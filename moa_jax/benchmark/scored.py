"""Scores with intervals of every line of a split, and the line that all are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax.benchmark.collect import Fold, Line, SplitResults
from moa_jax.benchmark.plan import CLEAN_TEST, CLEAN_TRAINING, family_of, trains_network
from moa_jax.evaluation.bootstrap import BootstrapScores, bootstrap_scores
from moa_jax.evaluation.calibration import fit_temperature
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.progress import track
from moa_jax.schemas import InputError

# Families whose methods look at too little to be anybody's choice.
CONTROL = "control"


@dataclasses.dataclass(frozen=True)
class ScoredSplit:
    """The answers under one rule with what can be said of each line.

    Attributes:
      results: the answers.
      scores: line -> metrics, with resamples that are paired between lines.
      validation: line -> mean macro AUPRC on the validation parts; NaN where there are none.
      reference: the line that all others are compared with.
      num_resamples: resamples of the bootstrap.
      seed: seed of the resamples.
    """

    results: SplitResults
    scores: Mapping[Line, BootstrapScores]
    validation: Mapping[Line, float]
    reference: Line
    num_resamples: int
    seed: int

    @property
    def clean(self) -> tuple[Line, ...]:
        """Lines of which neither training nor test inputs were changed."""
        return tuple(line for line in self.scores if is_clean(line))

    def mean_probs(self, line: Line) -> Float[np.ndarray, "compound moa"]:
        """Mean over the seeds of a line: an ensemble, used where one answer is needed."""
        return np.mean(self.results.probs(line), axis=0)

    def featured(self) -> tuple[Line, ...]:
        """Of each family the clean line that is best on the validation parts."""
        best: dict[str, Line] = {}
        for line in self.clean:
            family = family_of(line.method)
            if family == CONTROL or line.further_structures or np.isnan(self.validation[line]):
                continue
            if family not in best or self.validation[line] > self.validation[best[family]]:
                best[family] = line
        return tuple(dict.fromkeys((*best.values(), self.reference)))


def is_clean(line: Line) -> bool:
    """Neither what the line learned from nor what it was asked was changed."""
    return line.training == CLEAN_TRAINING and line.test == CLEAN_TEST


def score_split(results: SplitResults, config: ml_collections.ConfigDict) -> ScoredSplit:
    """Scores every line of a split.

    Args:
      results: the answers.
      config: `config.statistics`; see `configs/benchmark.py`.

    Raises:
      InputError: the method to compare with was not run on this split.
    """
    scores = {}
    for line in track(list(results.lines), f"intervals of {results.name}"):
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
        reference=_reference(validation, config.reference, results.name),
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


def _reference(validation: Mapping[Line, float], method: str, split: str) -> Line:
    """The line to compare with: the named method, else the best plain one on validation."""
    clean = [line for line in validation if is_clean(line) and not line.further_structures]
    if method:
        for line in clean:
            if line.method == method:
                return line
        raise InputError(f"config.statistics.reference is {method}, which {split} did not run.")
    plain = [line for line in clean if not trains_network(line.method)]
    candidates = [line for line in plain if family_of(line.method) != CONTROL] or clean
    return max(candidates, key=lambda line: np.nan_to_num(validation[line], nan=-1.0))


def calibrated(fold: Fold) -> Float[np.ndarray, "compound moa"]:
    """A fold's answers for its test compounds at the temperature of its validation compounds."""
    if not len(fold.validation_labels):
        return fold.probs
    return fit_temperature(fold.validation_probs, fold.validation_labels)(fold.probs)
