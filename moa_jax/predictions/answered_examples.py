"""Examples with a finished run's answers, encoded and predicted once for every command."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.calibration.broader_classes import fit_broader_classes
from moa_jax.calibration.calibration_store import CALIBRATION_FILE, read_calibration_store
from moa_jax.calibration.calibrator import Calibrator, fit_calibrator
from moa_jax.calibration.confidence import signature_quality
from moa_jax.calibration.quality_gates import SignatureQuality
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.kernels.references import REFERENCES_FILE, read_references
from moa_jax.knowledge.mechanism_hierarchy import mechanism_classes
from moa_jax.predictions.compound_answers import Answers, answer_compounds
from moa_jax.predictions.known_compounds import (
    TRAINING_GROUP,
    known_compounds,
    mechanism_table,
    training_counts,
)
from moa_jax.schemas import Examples, InputError
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.task import Views


@dataclasses.dataclass(frozen=True)
class AnsweredExamples:
    """Examples and everything that a run computed from them.

    Attributes:
      examples: signatures, or structures without expression; the groups are the compounds.
      encoded: the same as model inputs.
      views: view -> the model's probabilities.
      quality: results of the quality gates.
      calibrators: view -> its calibrator; empty if the run has no calibration store.
      answers: one per compound.
      mechanisms: see `known_compounds.mechanism_table`.
      training_groups: compound group of each answered compound in the training data; None for a
        new one.
    """

    examples: Examples
    encoded: EncodedExamples
    views: Views
    quality: SignatureQuality
    calibrators: Mapping[str, Calibrator]
    answers: Answers
    mechanisms: pd.DataFrame
    training_groups: tuple[str | None, ...]

    def of_compounds(self, groups: Collection[str]) -> AnsweredExamples:
        """The examples and answers of the given compound groups, in their order."""
        rows = np.flatnonzero(np.isin(self.examples.groups, list(groups)))
        chosen = np.isin(self.answers.basis.groups, list(groups))
        return dataclasses.replace(
            self,
            examples=self.examples.take(rows),
            encoded=self.encoded.take(rows),
            views={view: probs[rows] for view, probs in self.views.items()},
            quality=self.quality.take(rows),
            answers=self.answers.of_compounds(groups, rows),
            training_groups=tuple(itertools.compress(self.training_groups, chosen)),
        )


def answer_examples(
    workdir: pathlib.Path, predictor: Predictor, examples: Examples
) -> AnsweredExamples:
    """Answers every compound of the examples with a finished run.

    Args:
      workdir: folder of the run.
      predictor: its model.
      examples: signatures, or structures without expression.

    Raises:
      InputError: a file of the run is damaged, or an example has values so large that the model's
        arithmetic overflows.
    """
    encoded = predictor.encode(examples)
    views = predictor.predict(encoded)
    _require_finite(examples, views["fusion"])
    references = read_references(workdir) if (workdir / REFERENCES_FILE).exists() else None
    has_store = (workdir / CALIBRATION_FILE).exists()
    store = read_calibration_store(workdir, examples.moas) if has_store else {}
    mechanisms = mechanism_table(references, examples.moas)
    counts = training_counts(mechanisms)
    calibrators = {
        view: fit_calibrator(
            kept.probs,
            kept.labels,
            kept.is_learnable,
            num_compounds=counts if counts.any() else None,
        )
        for view, kept in store.items()
    }
    classes = mechanism_classes(examples.moas)
    broader = {
        view: fit_broader_classes(
            calibrators[view].calibrate(kept.probs).probs, kept.labels, classes
        )
        for view, kept in store.items()
    }
    quality = signature_quality(predictor, examples, encoded, store, references)
    known = known_compounds(examples, references)
    answers = answer_compounds(
        examples,
        views,
        quality,
        calibrators,
        known=known,
        num_compounds=mechanisms.set_index("mechanism")["training_compounds"].dropna().to_dict(),
        broader=broader,
    )
    training = known[TRAINING_GROUP].reindex(answers.basis.groups)
    return AnsweredExamples(
        examples,
        encoded,
        views,
        quality,
        calibrators,
        answers,
        mechanisms,
        training_groups=tuple(None if pd.isna(group) else group for group in training),
    )


def _require_finite(examples: Examples, probs: Float[np.ndarray, "example moa"]) -> None:
    wrong = np.flatnonzero(~np.isfinite(probs).all(axis=1))
    if len(wrong):
        raise InputError(
            f"the model has no finite answer for the signature "
            f"{examples.table['sig_id'].iloc[wrong[0]]}, one of {len(wrong)}; its values reach "
            f"{np.abs(examples.expression[wrong[0]]).max():.3g} where z-scores are expected."
        )
