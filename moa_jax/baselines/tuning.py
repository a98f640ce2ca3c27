"""Settings chosen on the validation part, with the same budget for every method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from moa_jax.baselines.interface import Fitted, Learner
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.schemas import Examples, KnowledgeGraph, concatenate

# Most settings that a method may try on the validation part.
BUDGET = 4


@dataclasses.dataclass(frozen=True)
class FittedTuned:
    """A learner with the chosen settings, trained on training and validation examples.

    Attributes:
      fitted: what predicts.
      validation_probs: see `FittedMethod`.
      report: `settings` (the chosen one) and `validation_macro_auprc` (of each that was tried).
    """

    fitted: Fitted
    validation_probs: Float[np.ndarray, "validation moa"]
    report: Mapping[str, Any]

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probability of each MoA for each example."""
        return self.fitted.predict(examples)


@dataclasses.dataclass(frozen=True)
class Tuned:
    """Tries each setting on the validation part, then trains the best one on everything.

    The criterion is macro AUPRC over pooled validation compounds; of equal ones the first wins.
    One setting alone is not chosen, only measured.

    Attributes:
      name: what tables and files call the method.
      candidates: settings as text -> learner, at most `BUDGET`.
    """

    name: str
    candidates: Mapping[str, Learner]

    def __post_init__(self) -> None:
        if not 1 <= len(self.candidates) <= BUDGET:
            raise ValueError(
                f"{self.name} tries {len(self.candidates)} settings, expected 1 to {BUDGET}."
            )

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedTuned:
        """Chooses and trains; without validation examples the first setting is taken."""
        if validation.num_examples == 0:
            chosen, scores = next(iter(self.candidates)), {}
            probs = np.zeros(validation.labels.shape)
        else:
            answers = {
                settings: learner.fit(train, graph, seed=seed).predict(validation)
                for settings, learner in self.candidates.items()
            }
            scores = {
                settings: macro_auprc(
                    *pool_by_compound(tried, validation.labels, validation.groups)[:2]
                )
                for settings, tried in answers.items()
            }
            chosen = max(scores, key=scores.__getitem__)
            probs = answers[chosen]
        fitted = self.candidates[chosen].fit(concatenate(train, validation), graph, seed=seed)
        return FittedTuned(fitted, probs, {"settings": chosen, "validation_macro_auprc": scores})
