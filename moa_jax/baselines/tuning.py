"""Selection of settings on the validation part, with the same budget for every method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from moa_jax.baselines.interface import Fitted, Learner
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.schemas import Examples, KnowledgeGraph, concatenate

# Largest number of settings that a method may try on the validation part.
BUDGET = 4


@dataclasses.dataclass(frozen=True)
class FittedTuned:
    """A method with the selected settings, trained on training and validation examples.

    Attributes:
      fitted: the trained model.
      validation_probs: see `FittedMethod`.
      report: `settings` (the selected one), `validation_macro_auprc` (of each that was tried), and
        details of the training.
    """

    fitted: Fitted
    validation_probs: Float[np.ndarray, "validation moa"]
    report: Mapping[str, Any]

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probability of each MoA for each example."""
        return self.fitted.predict(examples)


def check_budget(name: str, num_settings: int) -> None:
    """Raises ValueError unless a method tries 1 to `BUDGET` settings."""
    if not 1 <= num_settings <= BUDGET:
        raise ValueError(f"{name} tries {num_settings} settings, expected 1 to {BUDGET}.")


@dataclasses.dataclass(frozen=True)
class Tuned:
    """Selects a setting on the validation part, then trains it on training and validation examples.

    The criterion is macro AUPRC over pooled validation compounds; of ties the first wins. A single
    setting is scored as well.

    Attributes:
      name: name of the method in tables and files.
      candidates: settings as text -> learner, at most `BUDGET`.
    """

    name: str
    candidates: Mapping[str, Learner]

    def __post_init__(self) -> None:
        check_budget(self.name, len(self.candidates))

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedTuned:
        """Selects and trains; without validation examples the first setting is used."""
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
