"""Leave-one-compound-out answers of the kernel experts, in closed form.

Kernel ridge regression needs no refitting for that: with `A = K + ridge I` and the rows `B` of a
compound, the model without them answers `y_B - [(A^-1)_BB]^-1 (A^-1 Y)_B` for them (Allen 1974,
for blocks of rows). Labels are propagated by targets and centred, so `Y` itself changes when a
compound is left out, and the change is followed exactly. Statistics that use no label (standard
deviations of genes, means of cell lines) are kept from all compounds.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.kernels.ridge import KernelSystem, reference_labels
from moa_jax.kernels.target_propagation import References, TargetPropagation
from moa_jax.models.experts import EXPERTS, has_all_shown, heard_in
from moa_jax.progress import track
from moa_jax.schemas import Examples

# Compound group -> references of other compounds whose soft labels change when it is left out, the
# MoAs in which they may change, and their new labels for these.
Relabelled = Callable[
    [str],
    tuple[
        Int[np.ndarray, " changed"], Int[np.ndarray, " column"], Float[np.ndarray, "changed column"]
    ],
]


def leave_one_out_logits(
    system: KernelSystem,
    labels: Float32[np.ndarray, "reference moa"],
    groups: list[str],
    relabelled: Relabelled | None = None,
) -> Float32[np.ndarray, "reference moa"]:
    """An expert's logits for each reference when all references of its compound are left out.

    Args:
      system: the references and their kernel.
      labels: soft label of each reference.
      groups: compound group of each reference.
      relabelled: how labels change without a compound; None where they do not.
    """
    inverse, count = system.inverse, len(groups)
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(group, []).append(row)
    solved = inverse @ labels.astype(np.float64)
    ones, total = inverse.sum(axis=1), labels.sum(axis=0, dtype=np.float64)
    found = np.zeros(labels.shape, np.float32)
    for group, members in track(rows_of.items(), "leaving out compounds"):
        rows = np.array(members)
        if len(rows) == count:
            # Nothing is left to learn from.
            continue
        own, left = solved[rows], total - labels[rows].sum(axis=0, dtype=np.float64)
        if relabelled is not None:
            changed, columns, now = relabelled(group)
            others = ~np.isin(changed, rows)
            changed, now = changed[others], now[others]
            if len(changed):
                change = now - labels[np.ix_(changed, columns)]
                own[:, columns] += inverse[np.ix_(rows, changed)] @ change
                left[columns] += change.sum(axis=0)
        mean = left / (count - len(rows))
        own -= np.outer(ones[rows], mean)
        block = inverse[np.ix_(rows, rows)]
        found[rows] = labels[rows] - mean - np.linalg.solve(block, own)
    return found


@dataclasses.dataclass(frozen=True)
class LeaveOneOutAnswers:
    """Logits of each kernel expert for the training examples, their compounds left out.

    Attributes:
      examples: the training examples.
      logits: expert -> its logits, zeros where it has no say.
      told: expert -> the examples that it answers for: those among its references.
    """

    examples: Examples
    logits: Mapping[str, Float32[np.ndarray, "example moa"]]
    told: Mapping[str, Bool[np.ndarray, " example"]]

    def learnable(self) -> Float32[np.ndarray, "example moa"]:
        """The labels of each example, without those that no other compound carries."""
        labels = self.examples.labels
        names, unit = np.unique(np.asarray(self.examples.groups, str), return_inverse=True)
        carries = np.zeros((len(names), labels.shape[1]), bool)
        np.logical_or.at(carries, unit, labels > 0)
        return np.where(carries.sum(axis=0) > 1, labels, 0.0).astype(np.float32)

    def answered(self, view: str) -> Bool[np.ndarray, " example"]:
        """The examples that are answered in a view: those with all the modalities that it shows.

        Of `structure` the first of each compound and structure, so that each counts once.
        """
        examples = self.examples
        answered = has_all_shown(view, examples.has_expression, examples.has_structure)
        for expert, told in self.told.items():
            answered = answered & (told | (not heard_in(expert, view)))
        return answered & _first_of_structure(examples) if view == "structure" else answered

    def evidence(self, view: str) -> Float32[np.ndarray, "expert example moa"]:
        """Logits of the experts in a view; zeros where an expert does not answer."""
        return np.stack(
            [
                np.where((self.told[expert] & heard_in(expert, view))[:, None], expert_logits, 0.0)
                for expert, expert_logits in self.logits.items()
            ]
        )


def _first_of_structure(examples: Examples) -> Bool[np.ndarray, " example"]:
    seen: set[tuple[str, str | None]] = set()
    first = np.zeros(examples.num_examples, bool)
    for row, key in enumerate(zip(examples.groups, examples.smiles, strict=True)):
        first[row] = key not in seen
        seen.add(key)
    return first


def leave_one_out(
    systems: Mapping[str, KernelSystem],
    references: References,
    encoded: EncodedExamples,
    num_labelled: int,
) -> LeaveOneOutAnswers:
    """Logits of the kernel experts for the training examples, their compounds left out.

    Args:
      systems: kernel expert -> its system.
      references: what they learn from, training examples first.
      encoded: the references as model inputs, with their soft labels.
      num_labelled: how many of these are training examples.
    """
    count = references.examples.num_examples
    logits, told = {}, {}
    for expert, system in systems.items():
        place = np.full(count, -1)
        labels = reference_labels(expert, system, encoded)
        if EXPERTS[expert].reads_expression:
            groups = [references.examples.groups[row] for row in system.rows]
            place[system.rows] = np.arange(len(system.rows))
            changes = _of_signatures(references.propagated_labels, system)
        else:
            of_structure = np.full(len(encoded.substructures), -1)
            of_structure[system.rows] = np.arange(len(system.rows))
            place = np.where(encoded.has_structure, of_structure[encoded.structure], -1)
            first = {int(ref): row for row, ref in reversed(list(enumerate(place))) if ref >= 0}
            groups = [references.examples.groups[first[ref]] for ref in range(len(system.rows))]
            changes = _of_structures(references.propagated_labels, place, len(system.rows))
        expert_logits = leave_one_out_logits(system, labels, groups, changes)
        asked = place[:num_labelled]
        told[expert] = asked >= 0
        logits[expert] = (
            np.where(told[expert][:, None], expert_logits[np.maximum(asked, 0)], 0.0).astype(
                np.float32
            )
            if len(expert_logits)
            else np.zeros((num_labelled, labels.shape[1]), np.float32)
        )
    return LeaveOneOutAnswers(references.examples.take(np.arange(num_labelled)), logits, told)


def _of_signatures(propagated_labels: TargetPropagation, system: KernelSystem) -> Relabelled:
    """Changes of labels where each reference is one example."""
    places = _places(propagated_labels.unit[system.rows], len(propagated_labels.own))

    def relabelled(group: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, moas, labels = propagated_labels.without(group)
        sizes = [len(places[unit]) for unit in units]
        rows = np.concatenate([places[unit] for unit in units]) if sum(sizes) else np.zeros(0, int)
        return rows, moas, np.repeat(labels, sizes, axis=0)

    return relabelled


def _of_structures(
    propagated_labels: TargetPropagation, place: Int[np.ndarray, " example"], count: int
) -> Relabelled:
    """Changes of labels where a reference has the most of its examples' labels."""
    pairs = np.unique(np.stack([place, propagated_labels.unit], axis=1)[place >= 0], axis=0)
    units_of = _places(pairs[:, 0], count, values=pairs[:, 1])
    references_of = _places(pairs[:, 1], len(propagated_labels.own), values=pairs[:, 0])

    def relabelled(group: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, moas, labels = propagated_labels.without(group)
        changed = {int(unit): row for row, unit in enumerate(units)}
        rows = np.unique(np.concatenate([references_of[unit] for unit in units] or [[]])).astype(
            int
        )
        now = np.zeros((len(rows), len(moas)))
        for row, reference in enumerate(rows):
            for unit in units_of[reference]:
                own = (
                    labels[changed[unit]]
                    if unit in changed
                    else propagated_labels.labels[unit][moas]
                )
                now[row] = np.maximum(now[row], own)
        return rows, moas, now

    return relabelled


def _places(
    keys: Int[np.ndarray, " row"], count: int, values: Int[np.ndarray, " row"] | None = None
) -> list[Int[np.ndarray, " place"]]:
    """For each of `count` keys the rows that have it, or their values."""
    values = np.arange(len(keys)) if values is None else values
    order = np.argsort(keys, kind="stable")
    ends = np.searchsorted(keys[order], np.arange(count + 1))
    return [values[order[start:end]] for start, end in itertools.pairwise(ends)]
