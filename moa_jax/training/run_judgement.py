"""How good new signatures are, and how far to trust a run's answers: by what its folder keeps."""

from __future__ import annotations

import pathlib

import numpy as np

from moa_jax.evaluation.answer_trust import Trust, fit_trust
from moa_jax.evaluation.signature_gates import SignatureQuality, judge_signatures, run_limits
from moa_jax.schemas import Examples
from moa_jax.training.familiarity import similarity_to_training, similarity_within_training
from moa_jax.training.kept_answers import UNSEEN_FILE, read_kept_answers
from moa_jax.training.predictor import Predictor
from moa_jax.training.references import REFERENCES_FILE, read_references


def judge_by_run(
    workdir: pathlib.Path, predictor: Predictor, examples: Examples
) -> tuple[SignatureQuality, dict[str, Trust]]:
    """What the gates say of signatures, and how far a run's answers can be trusted.

    Args:
      workdir: folder of the run.
      predictor: its model.
      examples: new signatures, or structures without one.

    Returns:
      The quality of each signature; and view -> trust, empty where the run kept no answers for
      compounds that it had not learned from.

    Raises:
      InputError: a file of the run is damaged.
    """
    trusts: dict[str, Trust] = {}
    strength = np.empty(0)
    if (workdir / UNSEEN_FILE).exists():
        kept = read_kept_answers(workdir, predictor.features.moas)
        strength = kept["expression"].strength if "expression" in kept else strength
        trusts = {
            view: fit_trust(own.probs, own.labels, own.is_learnable) for view, own in kept.items()
        }
    within = np.empty(0)
    if (workdir / REFERENCES_FILE).exists():
        references = read_references(workdir)
        within = similarity_within_training(predictor, references, examples.gene_mask)
    quality = judge_signatures(
        examples,
        predictor.features,
        run_limits(strength, within),
        similarity_to_training(predictor, examples),
    )
    return quality, trusts
