"""Leave-one-compound-out answers of the kernel experts, in closed form.

Kernel ridge regression needs no refitting: with `A = K + ridge I` and the rows `B` of a compound,
the model without them predicts `y_B - [(A^-1)_BB]^-1 (A^-1 Y)_B` for them (Allen 1974, for blocks
of rows). Labels are propagated by targets and centred, so leaving out a compound also changes `Y`;
this change is exact. Statistics without labels (standard deviations of genes, means of cell lines)
stay those of all compounds.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.kernels.label_propagation import LabelPropagation
from moa_jax.kernels.ridge import KernelSystem, reference_labels
from moa_jax.models.experts import EXPERTS, answers_in, has_all_shown
from moa_jax.progress import track
from moa_jax.schemas import Examples

# Compound group -> references of other compounds whose soft labels change without it, the labels
# that may change, and their new values.
Relabelled = Callable[
    [str],
    tuple[
        Int[np.ndarray, " changed"], Int[np.ndarray, " column"], Float[np.ndarray, "changed column"]
    ],
]


def leave_one_out_logits(
    system: KernelSystem,
    labels: Float32[np.ndarray, "reference label"],
    groups: list[str],
    relabelled: Relabelled | None = None,
) -> Float32[np.ndarray, "reference label"]:
    """An expert's logits for each reference when all references of its compound are left out.

    Args:
      system: the references and their kernel.
      labels: soft label of each reference.
      groups: compound group of each reference.
      relabelled: how labels change without a compound; None if they do not.
    """
    inverse, count = system.inverse, len(groups)
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(group, []).append(row)
    solved = inverse @ labels.astype(np.float64)
    ones, total = inverse.sum(axis=1), labels.sum(axis=0, dtype=np.float64)
    logits = np.zeros(labels.shape, np.float32)
    for group, members in track(rows_of.items(), "leaving out compounds"):
        rows = np.array(members)
        if len(rows) == count:
            # No other compound is left.
            continue
        product, left = solved[rows], total - labels[rows].sum(axis=0, dtype=np.float64)
        if relabelled is not None:
            changed, columns, now = relabelled(group)
            others = ~np.isin(changed, rows)
            changed, now = changed[others], now[others]
            if len(changed):
                change = now - labels[np.ix_(changed, columns)]
                product[:, columns] += inverse[np.ix_(rows, changed)] @ change
                left[columns] += change.sum(axis=0)
        mean = left / (count - len(rows))
        product -= np.outer(ones[rows], mean)
        block = inverse[np.ix_(rows, rows)]
        logits[rows] = labels[rows] - mean - np.linalg.solve(block, product)
    return logits


@dataclasses.dataclass(frozen=True)
class LeaveOneOutAnswers:
    """Leave-one-compound-out answers of each expert for the training examples.

    Attributes:
      examples: the training examples.
      logits: expert -> its logits, zeros where it does not answer.
      is_reference: expert -> the examples among its references, for which it answers.
      proteins: kernel expert -> its evidence for what the compound does to each protein; empty in a
        model without experts through proteins.
    """

    examples: Examples
    logits: Mapping[str, Float32[np.ndarray, "example moa"]]
    is_reference: Mapping[str, Bool[np.ndarray, " example"]]
    proteins: Mapping[str, Float32[np.ndarray, "example action_protein"]]

    def first(self, count: int) -> LeaveOneOutAnswers:
        """The answers for the first examples."""
        head = slice(count)
        return LeaveOneOutAnswers(
            self.examples.take(np.arange(count)),
            {name: values[head] for name, values in self.logits.items()},
            {name: values[head] for name, values in self.is_reference.items()},
            {name: values[head] for name, values in self.proteins.items()},
        )

    def learnable(self) -> Float32[np.ndarray, "example moa"]:
        """The labels of each example, without those that no other compound has."""
        labels = self.examples.labels
        names, unit = np.unique(np.asarray(self.examples.groups, str), return_inverse=True)
        has_moa = np.zeros((len(names), labels.shape[1]), bool)
        np.logical_or.at(has_moa, unit, labels > 0)
        return np.where(has_moa.sum(axis=0) > 1, labels, 0.0).astype(np.float32)

    def answered(self, view: str) -> Bool[np.ndarray, " example"]:
        """The examples with all modalities of a view.

        In `structure` the first example of each compound and structure, so that each counts once.
        """
        examples = self.examples
        answered = has_all_shown(view, examples.has_expression, examples.has_structure)
        for expert, is_reference in self.is_reference.items():
            answered = answered & (is_reference | (not answers_in(expert, view)))
        return answered & _first_of_structure(examples) if view == "structure" else answered

    def expert_logits(self, view: str) -> Float32[np.ndarray, "expert example moa"]:
        """Logits of the experts in a view; zeros where an expert does not answer."""
        return np.stack(
            [
                np.where(
                    (self.is_reference[expert] & answers_in(expert, view))[:, None],
                    expert_logits,
                    0.0,
                )
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
    propagation: LabelPropagation,
    examples: Examples,
    encoded: EncodedExamples,
    num_labelled: int,
) -> tuple[
    dict[str, Float32[np.ndarray, "example label"]], dict[str, Bool[np.ndarray, " example"]]
]:
    """Leave-one-compound-out values of labels for the training examples, by each kernel expert.

    Args:
      systems: kernel expert -> its system.
      propagation: soft labels of the references.
      examples: the references, training examples first.
      encoded: the references as model inputs.
      num_labelled: number of training examples.

    Returns:
      Kernel expert -> its values, zeros where it does not answer; and the examples that are among
      its references, for which it answers.
    """
    soft, values, is_reference = propagation.labels[propagation.unit], {}, {}
    for expert, system in systems.items():
        place = np.full(examples.num_examples, -1)
        labels = reference_labels(expert, system, encoded, soft)
        if EXPERTS[expert].reads_expression:
            groups = [examples.groups[row] for row in system.rows]
            place[system.rows] = np.arange(len(system.rows))
            changes = _of_signatures(propagation, system)
        else:
            of_structure = np.full(len(encoded.substructures), -1)
            of_structure[system.rows] = np.arange(len(system.rows))
            place = np.where(encoded.has_structure, of_structure[encoded.structure], -1)
            first = {int(ref): row for row, ref in reversed(list(enumerate(place))) if ref >= 0}
            groups = [examples.groups[first[ref]] for ref in range(len(system.rows))]
            changes = _of_structures(propagation, place, len(system.rows))
        logits = leave_one_out_logits(system, labels, groups, changes)
        asked = place[:num_labelled]
        is_reference[expert] = asked >= 0
        values[expert] = (
            np.where(is_reference[expert][:, None], logits[np.maximum(asked, 0)], 0.0).astype(
                np.float32
            )
            if len(logits)
            else np.zeros((num_labelled, labels.shape[1]), np.float32)
        )
    return values, is_reference


def _of_signatures(propagation: LabelPropagation, system: KernelSystem) -> Relabelled:
    """Changes of labels if each reference is one example."""
    places = _places(propagation.unit[system.rows], len(propagation.own))

    def relabelled(group: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, moas, labels = propagation.without(group)
        sizes = [len(places[unit]) for unit in units]
        rows = np.concatenate([places[unit] for unit in units]) if sum(sizes) else np.zeros(0, int)
        return rows, moas, np.repeat(labels, sizes, axis=0)

    return relabelled


def _of_structures(
    propagation: LabelPropagation, place: Int[np.ndarray, " example"], count: int
) -> Relabelled:
    """Changes of labels if a reference is a structure, with the largest of its examples' labels."""
    pairs = np.unique(np.stack([place, propagation.unit], axis=1)[place >= 0], axis=0)
    units_of = _places(pairs[:, 0], count, values=pairs[:, 1])
    references_of = _places(pairs[:, 1], len(propagation.own), values=pairs[:, 0])

    def relabelled(group: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, moas, labels = propagation.without(group)
        changed = {int(unit): row for row, unit in enumerate(units)}
        rows = np.unique(np.concatenate([references_of[unit] for unit in units] or [[]])).astype(
            int
        )
        now = np.zeros((len(rows), len(moas)))
        for row, reference in enumerate(rows):
            for unit in units_of[reference]:
                label = labels[changed[unit]] if unit in changed else propagation.labels[unit][moas]
                now[row] = np.maximum(now[row], label)
        return rows, moas, now

    return relabelled


def _places(
    keys: Int[np.ndarray, " row"], count: int, values: Int[np.ndarray, " row"] | None = None
) -> list[Int[np.ndarray, " place"]]:
    """For each of `count` keys, the rows that have it, or their values."""
    values = np.arange(len(keys)) if values is None else values
    order = np.argsort(keys, kind="stable")
    ends = np.searchsorted(keys[order], np.arange(count + 1))
    return [values[order[start:end]] for start, end in itertools.pairwise(ends)]
