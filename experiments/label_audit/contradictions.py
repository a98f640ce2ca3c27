"""Compounds whose labels the shipped model and its evidence contradict."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from moa_jax.calibration.calibration_store import read_calibration_store, read_held_out
from moa_jax.calibration.calibrator import fit_calibrator
from moa_jax.data.examples.labels import label_matrix
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.label_audit import DOUBTED, suspicious_labels
from moa_jax.explanation.evidence.label_evidence import (
    nearest_labelled,
    similar_compounds,
    with_evidence,
)
from moa_jax.explanation.evidence.similar_compounds import kernel_evidence
from moa_jax.kernels.references import read_references
from moa_jax.training.runs.run_folder import open_run

# What the known targets support.
LABEL, MODEL, NEITHER, UNKNOWN = "the label", "the model", "neither", "not known"


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Compounds with the answers of a model that was not trained on them.

    Attributes:
      table: one row per compound: `group`, `compound` (its names), `smiles`, `targets` (tuple),
        `confidence`, `is_answered` (whether it is above the threshold).
      probs: pooled probabilities.
      labels: 1 where the compound carries the MoA.
      nearest: compound group -> `nearest_labelled` of the model's training compounds.
      moas: MoA of each column.
    """

    table: pd.DataFrame
    probs: Float[np.ndarray, "compound moa"]
    labels: Float[np.ndarray, "compound moa"]
    nearest: Mapping[str, pd.DataFrame]
    moas: tuple[str, ...]

    @property
    def is_right(self) -> Bool[np.ndarray, " compound"]:
        """Whether the answer is one of the compound's labels."""
        return self.labels[np.arange(len(self.labels)), self.probs.argmax(axis=1)] > 0


def held_out_of(folder: pathlib.Path) -> HeldOut:
    """A run's answers for its test compounds, with the evidence.

    Raises:
      InputError: the calibration store has too few compounds.
    """
    predictor = open_run(folder, num_devices=1).predictor
    moas = predictor.features.moas
    examples = read_held_out(folder, moas)
    encoded = predictor.encode(examples)
    probs = predictor.predict(encoded)["fusion"].astype(np.float64)
    pooled, labels, groups = pool_by_compound(probs, examples.labels, examples.groups)
    kept = read_calibration_store(folder, moas)["fusion"]
    calibrator = fit_calibrator(kept.probs, kept.labels, kept.is_learnable)
    calibrated = calibrator.calibrate(pooled)
    evidence = kernel_evidence(predictor, encoded, read_references(folder))
    rows_of = {name: np.flatnonzero(np.array(examples.groups) == name) for name in groups}
    table = pd.DataFrame(
        {
            "group": groups,
            # One compound may have several names, as stereoisomers and esters do.
            "compound": [
                " / ".join(sorted(set(examples.table["compound"].iloc[rows].astype(str))))
                for rows in rows_of.values()
            ],
            "smiles": [examples.smiles[rows[0]] for rows in rows_of.values()],
            "targets": [
                tuple(sorted({target for row in rows for target in examples.targets[row]}))
                for rows in rows_of.values()
            ],
            "confidence": calibrated.confidence,
            "is_answered": calibrated.is_answered,
        }
    )
    nearest = {
        name: nearest_labelled(similar_compounds(evidence, rows)) for name, rows in rows_of.items()
    }
    return HeldOut(table, pooled, labels, nearest, moas)


def joined(folds: Sequence[HeldOut]) -> HeldOut:
    """The compounds of all folds."""
    return HeldOut(
        table=pd.concat([fold.table for fold in folds], ignore_index=True),
        probs=np.concatenate([fold.probs for fold in folds]),
        labels=np.concatenate([fold.labels for fold in folds]),
        nearest={name: table for fold in folds for name, table in fold.nearest.items()},
        moas=folds[0].moas,
    )


@dataclasses.dataclass(frozen=True)
class SharedTargets:
    """Labels of compounds with common targets.

    Attributes:
      groups: compound group of each labelled compound with known targets.
      targets: its known targets.
      labels: 1 where it carries the MoA.
    """

    groups: tuple[str, ...]
    targets: tuple[frozenset[str], ...]
    labels: Float[np.ndarray, "compound moa"]

    @classmethod
    def of(cls, compounds: pd.DataFrame, moas: Sequence[str]) -> SharedTargets:
        """From the compound table of a dataset (`schemas.COMPOUND_COLUMNS`)."""
        table = compounds[compounds["compound_group"].notna()]
        carried = label_matrix(list(table["moas"]), tuple(moas), any_case=True)
        groups, place = np.unique(table["compound_group"].to_numpy(str), return_inverse=True)
        labels = np.zeros((len(groups), len(moas)))
        np.maximum.at(labels, place, carried)
        targets: list[set[str]] = [set() for _ in groups]
        for unit, own in zip(place, table["targets"], strict=True):
            targets[unit].update(own)
        kept = [row for row in range(len(groups)) if targets[row] and labels[row].any()]
        return cls(
            tuple(str(groups[row]) for row in kept),
            tuple(frozenset(targets[row]) for row in kept),
            labels[kept],
        )

    def shares(self, group: str, targets: Sequence[str]) -> tuple[int, Float[np.ndarray, " moa"]]:
        """Number of other compounds with a common target, and the share that carries each MoA.

        Each is weighted by the Jaccard index of the targets; zeros if there is none.
        """
        own = set(targets)
        alike = np.array(
            [
                0.0 if name == group else len(own & theirs) / len(own | theirs)
                for name, theirs in zip(self.groups, self.targets, strict=True)
            ]
        )
        total = alike.sum()
        shares = alike @ self.labels / total if total else np.zeros(self.labels.shape[1])
        return int((alike > 0).sum()), shares


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """A compound with labels that the model and the nearest compounds contradict.

    Attributes:
      name: its name.
      group: its compound group.
      smiles: its structure, None if unknown.
      targets: its known targets.
      labels: its labels.
      notes: the contradicted labels, `label_evidence.with_evidence`, the largest score first.
      answer: the most probable MoA.
      prob: its uncalibrated probability.
      confidence: its confidence.
      is_answered: whether there is an answer, not "cannot tell".
      nearest: the nearest labelled training compounds.
      num_sharing: number of labelled compounds with a common target.
      label_share: share of those that carry the first contradicted label or, if that one is
        missing, the most frequent label of the compound.
      answer_share: share of those that carry the answer.
    """

    name: str
    group: str
    smiles: str | None
    targets: tuple[str, ...]
    labels: tuple[str, ...]
    notes: pd.DataFrame
    answer: str
    prob: float
    confidence: float
    is_answered: bool
    nearest: pd.DataFrame
    num_sharing: int
    label_share: float
    answer_share: float

    @property
    def score(self) -> float:
        """The normalised margin of the first contradicted label."""
        return float(self.notes["score"].iloc[0])

    @property
    def targets_support(self) -> str:
        """What the known targets support."""
        if not self.num_sharing:
            return UNKNOWN
        if self.label_share == self.answer_share:
            return NEITHER
        return LABEL if self.label_share > self.answer_share else MODEL


def contradictions(found: HeldOut, shared: SharedTargets) -> list[Contradiction]:
    """All contradicted compounds, the largest normalised margin first.

    For the model see `suspicious_labels`, for its nearest training compounds `with_evidence`.
    """
    names = found.table["group"].tolist()
    suspicious = suspicious_labels(found.probs, found.labels, names, found.moas)
    of_compound = dict(iter(suspicious.groupby("compound", sort=False)))
    listed = []
    for row, own in enumerate(found.table.itertuples()):
        if own.group not in of_compound:
            continue
        best = int(found.probs[row].argmax())
        nearest = found.nearest[own.group]
        notes = with_evidence(of_compound[own.group], nearest, found.moas[best])
        # Only the answer itself can be a missing label.
        is_answer = (notes["kind"] == DOUBTED) | (notes["moa"] == found.moas[best])
        notes = notes[notes["evidence_agrees"] & is_answer].reset_index(drop=True)
        if not len(notes):
            continue
        num_sharing, shares = shared.shares(own.group, own.targets)
        carried = np.flatnonzero(found.labels[row] > 0)
        # A missing label is compared with the best of those that the compound carries.
        first = notes.iloc[0]
        doubted = shares[found.moas.index(first["moa"])]
        against = doubted if first["kind"] == DOUBTED else shares[carried].max()
        listed.append(
            Contradiction(
                name=own.compound,
                group=own.group,
                smiles=own.smiles,
                targets=own.targets,
                labels=tuple(found.moas[moa] for moa in carried),
                notes=notes,
                answer=found.moas[best],
                prob=float(found.probs[row, best]),
                confidence=float(own.confidence),
                is_answered=bool(own.is_answered),
                nearest=nearest,
                num_sharing=num_sharing,
                label_share=float(against),
                answer_share=float(shares[best]),
            )
        )
    return sorted(listed, key=lambda one: (-one.score, one.group))
