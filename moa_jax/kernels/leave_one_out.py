"""Leave-one-compound-out answers of the kernel experts, in closed form.

Each is what the expert would answer if it had been solved without the compound, whose annotations
then do not reach the soft labels of others either. Statistics without labels (standard deviations
of genes, means of cell lines) stay those of all compounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int
from scipy import sparse

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.kernels.label_propagation import LabelPropagation, Relabelled
from moa_jax.kernels.ridge import reference_places
from moa_jax.kernels.solved_system import LabelChange, SolvedSystem
from moa_jax.models.experts import answers_in, has_all_shown
from moa_jax.progress import track
from moa_jax.schemas import Examples


@dataclasses.dataclass(frozen=True)
class LeaveOneOutAnswers:
    """Leave-one-compound-out answers of each expert for the training examples.

    Attributes:
      examples: the training examples.
      logits: expert -> its logits, zeros where it does not answer.
      is_reference: expert -> the examples among its references, for which it answers.
      proteins: kernel expert that an expert through proteins reads -> its evidence for what the
        compound does to each protein.
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
    solved: Mapping[str, SolvedSystem],
    propagation: LabelPropagation,
    examples: Examples,
    encoded: EncodedExamples,
    num_labelled: int,
) -> tuple[
    dict[str, Float32[np.ndarray, "example label"]], dict[str, Bool[np.ndarray, " example"]]
]:
    """Leave-one-compound-out values of labels for the training examples, by each kernel expert.

    A compound is left out with all its references, also a structure that it shares with others.

    Args:
      solved: kernel expert -> its system, solved for the soft labels.
      propagation: soft labels of the references.
      examples: the references, training examples first.
      encoded: the references as model inputs.
      num_labelled: number of training examples.

    Returns:
      Kernel expert -> its values, zeros where it does not answer; and the examples that are among
      its references, for which it answers.
    """
    shape = num_labelled, propagation.own.shape[1]
    values = {expert: np.zeros(shape, np.float32) for expert in solved}
    place = {name: reference_places(name, each.system, encoded) for name, each in solved.items()}
    members = {name: _UnitsOfReferences.of(place[name], propagation) for name in solved}
    for group, rows in track(_rows_of(examples.groups[:num_labelled]), "leaving out compounds"):
        changed = propagation.without(group)
        for expert, each in solved.items():
            asked = rows[place[expert][rows] >= 0]
            left, answer = np.unique(place[expert][asked], return_inverse=True)
            if len(left):
                change = members[expert].change(changed, left)
                values[expert][asked] = each.answers_without(left, change)[answer]
    return values, {expert: place[expert][:num_labelled] >= 0 for expert in solved}


def _rows_of(groups: Sequence[str]) -> list[tuple[str, Int[np.ndarray, " row"]]]:
    """Each group with its rows."""
    names, number = np.unique(np.asarray(groups, str), return_inverse=True)
    order, sizes = np.argsort(number, kind="stable"), np.bincount(number)
    return list(zip(names.tolist(), np.split(order, np.cumsum(sizes)[:-1]), strict=True))


@dataclasses.dataclass(frozen=True)
class _UnitsOfReferences:
    """The units of a propagation that the references of an expert stand for.

    The label of a reference is the largest of its units' labels (see `structure_labels`).

    Attributes:
      propagation: the units and their labels.
      units: units of each reference.
      references: references of each unit.
    """

    propagation: LabelPropagation
    units: sparse.csr_array
    references: sparse.csr_array

    @classmethod
    def of(
        cls, place: Int[np.ndarray, " example"], propagation: LabelPropagation
    ) -> _UnitsOfReferences:
        """From the reference of each example, -1 for none."""
        known = np.flatnonzero(place >= 0)
        pairs = np.unique(np.stack([place[known], propagation.unit[known]]), axis=1)
        shape = place.max(initial=-1) + 1, len(propagation.own)
        units = sparse.csr_array((np.ones(pairs.shape[1]), pairs), shape=shape)
        return cls(propagation, units, units.T.tocsr())

    def change(
        self, relabelled: Relabelled, left_out: Int[np.ndarray, " reference"]
    ) -> LabelChange | None:
        """How labels of references change with those of units; None if none does.

        Args:
          relabelled: see `LabelPropagation.without`.
          left_out: references that are left out, whose labels do not matter.
        """
        units, columns, labels = relabelled
        if not len(units):
            return None
        references = np.setdiff1d(self.references[units].indices, left_out)
        if not len(references):
            return None
        of_references = self.units[references]
        now = np.full(len(self.propagation.own), -1)
        now[units] = np.arange(len(units))
        now = now[of_references.indices]
        same = now < 0
        values = labels[now]
        values[same] = self.propagation.labels[np.ix_(of_references.indices[same], columns)]
        largest = np.maximum.reduceat(values, of_references.indptr[:-1], axis=0)
        return LabelChange(references, columns, largest)
