"""Answers for mechanisms that are described by their targets, seen by the model or not."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from moa_jax.calibration.described_mechanisms import (
    ScoreCalibration,
    fit_by_view,
    read_unseen,
)
from moa_jax.data.user_input.described_mechanisms import DescribedMechanisms
from moa_jax.kernels.target_actions import action_rows, unit_rows
from moa_jax.kernels.unseen_mechanisms import PLAIN, STRICT, standardised
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.predictions.answered_examples import AnsweredExamples
from moa_jax.schemas import ACTIONS, InputError
from moa_jax.training.runs.run_folder import FinishedRun
from moa_jax.training.unseen_mechanisms import UnseenAnswers

# What stands behind an answer.
BY_TARGETS = "by its targets alone"
NO_LIGAND = "by its targets alone, of which no training compound is a ligand"
# Examples whose logits of all proteins are held at a time.
_CHUNK = 256


def described_answers(
    workdir: pathlib.Path,
    run: FinishedRun,
    answered: AnsweredExamples,
    mechanisms: DescribedMechanisms,
) -> pd.DataFrame:
    """One row for each compound and mechanism, the most probable mechanism first.

    Args:
      workdir: folder of the run.
      run: the run.
      answered: the examples, and what their answers are based on.
      mechanisms: the mechanisms.

    Returns:
      `pert_id`, `mechanism`, `score` (in standard deviations of those of training compounds),
      `probability` (calibrated on mechanisms that were left out; missing where there were none),
      `basis`. Compounds without a signature that passes or a structure have no row.

    Raises:
      InputError: the model has no experts through proteins, or a file of the run is damaged.
    """
    unseen = read_unseen(workdir)
    proteins = run.predictor.params.get(PROTEINS)
    if proteins is None:
        raise InputError(
            f"the model in {workdir} has no experts through proteins; described mechanisms need "
            "signature_proteins or structure_proteins among config.model.experts."
        )
    symbols = list(run.graph.genes["symbol"])
    actions = [
        (action,) * len(own)
        for own, action in zip(mechanisms.genes, mechanisms.actions, strict=True)
    ]
    pairs = unit_rows(action_rows(mechanisms.genes, actions, symbols))
    basis = answered.answers.basis
    scores = _pooled_scores(run, answered, pairs)
    has_ligand = [bool(set(own) & set(run.predictor.features.proteins)) for own in mechanisms.genes]
    calibrations, parts = fit_by_view(unseen.scores), []
    for view in sorted({view for view in basis.views if view is not None}):
        rows = np.array([own == view for own in basis.views], bool)
        others = _standard_scores(unseen, view, np.asarray(proteins["carry"]), pairs)
        parts.append(
            _table(
                np.asarray(basis.groups, object)[rows],
                mechanisms.names,
                standardised(scores[rows], others),
                has_ligand,
                {protocol: calibrations.get((view, protocol)) for protocol in (PLAIN, STRICT)},
            )
        )
    columns = ["pert_id", "mechanism", "score", "probability", "basis"]
    table = pd.concat(parts or [pd.DataFrame(columns=columns)], ignore_index=True)
    order = ["pert_id", "probability", "score", "mechanism"]
    return table.sort_values(order, ascending=[True, False, False, True], ignore_index=True)


def _pooled_scores(
    run: FinishedRun,
    answered: AnsweredExamples,
    pairs: Float[np.ndarray, "mechanism action_gene"],
) -> Float[np.ndarray, "compound mechanism"]:
    """Each compound's scores in its view, pooled over the signatures of its answer."""
    basis, encoded = answered.answers.basis, answered.encoded
    groups = answered.examples.groups
    place = {group: number for number, group in enumerate(basis.groups)}
    scores = np.zeros((len(basis.groups), len(pairs)))
    done = np.zeros(len(basis.groups), bool)
    for start in range(0, len(groups), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(groups)))
        views = run.predictor.predict_proteins(encoded.take(rows))
        for number, row in enumerate(rows.tolist()):
            compound = place[groups[row]]
            view = basis.views[compound]
            alone = view == "structure" and not done[compound] and encoded.has_structure[row]
            weight = 1.0 if alone else basis.weights[row]
            if view is None or not weight:
                continue
            # An example shows all that it has in `fusion`; see `answer_basis`.
            logits = views["structure" if view == "structure" else "fusion"][number]
            scores[compound] += weight * (pairs @ logits.reshape(-1))
            done[compound] = True
    return scores


def _standard_scores(
    unseen: UnseenAnswers,
    view: str,
    carry: Float32[np.ndarray, "protein gene"],
    pairs: Float[np.ndarray, "mechanism action_gene"],
) -> Float[np.ndarray, "compound mechanism"]:
    """Scores of training compounds by models without them; zeros where the run has none."""
    evidence = unseen.evidence.get(view, np.zeros((1, len(ACTIONS) * len(carry)), np.float32))
    by_action = evidence.reshape(len(evidence), len(ACTIONS), -1) @ carry
    return by_action.reshape(len(evidence), -1) @ pairs.T


def _table(
    groups: np.ndarray,
    names: tuple[str, ...],
    scores: Float[np.ndarray, "compound mechanism"],
    has_ligand: list[bool],
    calibrations: Mapping[str, ScoreCalibration | None],
) -> pd.DataFrame:
    """The rows of some compounds in one view."""
    probability = np.full(scores.shape, np.nan)
    for column, known in enumerate(has_ligand):
        calibration = calibrations[PLAIN if known else STRICT]
        if calibration is not None:
            probability[:, column] = calibration(scores[:, column])
    return pd.DataFrame(
        {
            "pert_id": np.repeat(groups, len(names)),
            "mechanism": np.tile(np.asarray(names, object), len(groups)),
            "score": scores.ravel(),
            "probability": probability.ravel(),
            "basis": np.tile(
                [BY_TARGETS if known else NO_LIGAND for known in has_ligand], len(groups)
            ),
        }
    )
