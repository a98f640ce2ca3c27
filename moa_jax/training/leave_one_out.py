"""What the kernel experts say of each training compound without having learned from it.

For kernel ridge regression that needs no refitting: with `A = K + ridge I` and the rows `B` of a
compound, the model without them answers `y_B - [(A^-1)_BB]^-1 (A^-1 Y)_B` for them (leave-one-out
in closed form, Allen 1974, for blocks). Labels are shared by targets and centred, so `Y` itself is
another one without the compound. What a signature is compared by that knows no label (standard
deviations of genes, means of cell lines) stays that of all compounds.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np
import scipy.special
from jaxtyping import Bool, Float, Float32, Int

from moa_jax.data.features import EncodedExamples
from moa_jax.models.fusion import EXPERTS, VIEWS
from moa_jax.progress import track
from moa_jax.schemas import Examples
from moa_jax.training.expert_scales import fit_view_scales
from moa_jax.training.kernel_ridge import KernelSystem, structure_labels
from moa_jax.training.shared_labels import LabelSharing, References

# View -> whether it shows expression and whether it shows structure.
READS = {"fusion": (True, True), "expression": (True, False), "structure": (False, True)}

# Compound group -> references of others whose labels differ without it, the MoAs in which they
# may, and their labels for these.
Relabelled = Callable[
    [str],
    tuple[
        Int[np.ndarray, " changed"], Int[np.ndarray, " column"], Float[np.ndarray, "changed column"]
    ],
]


def left_out_logits(
    system: KernelSystem,
    labels: Float32[np.ndarray, "reference moa"],
    groups: list[str],
    relabelled: Relabelled | None = None,
) -> Float32[np.ndarray, "reference moa"]:
    """What an expert says of each reference when its compound's references are left out.

    Args:
      system: the references and their kernel.
      labels: what is learned of each reference.
      groups: compound group of each reference.
      relabelled: what would be learned of others without a compound; None where that is the same.
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
class LeftOut:
    """What each kernel expert says of the training examples without their compounds.

    Attributes:
      examples: the training examples.
      logits: expert -> its logits, zeros where it has no say.
      told: expert -> the examples that it has a say on: those with its modality that are among
        its references.
    """

    examples: Examples
    logits: Mapping[str, Float32[np.ndarray, "example moa"]]
    told: Mapping[str, Bool[np.ndarray, " example"]]

    def learnable(self) -> Float32[np.ndarray, "example moa"]:
        """The labels of each example that another compound has, too."""
        labels = self.examples.labels
        names, unit = np.unique(np.asarray(self.examples.groups, str), return_inverse=True)
        carries = np.zeros((len(names), labels.shape[1]), bool)
        np.logical_or.at(carries, unit, labels > 0)
        return np.where(carries.sum(axis=0) > 1, labels, 0.0).astype(np.float32)

    def seen(self, view: str) -> Bool[np.ndarray, " example"]:
        """The examples that can be seen in a view: those with all the modalities that it reads.

        Of `structure` the first of each compound and structure, so that each counts once.
        """
        seen = np.ones(self.examples.num_examples, bool)
        for modality, has in enumerate((self.examples.has_expression, self.examples.has_structure)):
            if READS[view][modality]:
                seen &= has
                for expert, told in self.told.items():
                    seen &= told | (not EXPERTS[expert][modality])
        return seen & _first_of_structure(self.examples) if view == "structure" else seen

    def evidence(self, view: str) -> Float32[np.ndarray, "expert example moa"]:
        """What the experts say in a view; zeros where one has no say."""
        return np.stack(
            [
                np.where((self.told[expert] & _reads_no_more(expert, view))[:, None], said, 0.0)
                for expert, said in self.logits.items()
            ]
        )

    def probs(
        self, view: str, scales: Mapping[str, Mapping[str, float]]
    ) -> Float32[np.ndarray, "example moa"]:
        """Probabilities of a view, as the model gives them: view -> expert -> scale."""
        own = np.zeros((len(self.logits), self.examples.num_examples), np.float32)
        has = (self.examples.has_expression, self.examples.has_structure)
        shown = [np.logical_and(READS[view][modality], has[modality]) for modality in range(2)]
        for name, reads in READS.items():
            here = (shown[0] == reads[0]) & (shown[1] == reads[1])
            own[:, here] = np.array([[scales[name][expert]] for expert in self.logits], np.float32)
        logits = np.einsum("en,enm->nm", own, self.evidence(view), optimize=True)
        return scipy.special.softmax(logits, axis=1)


def _reads_no_more(expert: str, view: str) -> bool:
    """Whether a view shows every modality that an expert reads."""
    return all(may or not needs for needs, may in zip(EXPERTS[expert], READS[view], strict=True))


def _first_of_structure(examples: Examples) -> Bool[np.ndarray, " example"]:
    seen: set[tuple[str, str | None]] = set()
    first = np.zeros(examples.num_examples, bool)
    for row, key in enumerate(zip(examples.groups, examples.smiles, strict=True)):
        first[row] = key not in seen
        seen.add(key)
    return first


def fit_left_out_scales(
    left_out: LeftOut, start: Float[np.ndarray, "view expert"], *, prior_strength: float
) -> dict[str, dict[str, float]]:
    """Scales that make the answers most likely whose mechanism another compound has.

    Args:
      left_out: what the experts say of compounds that they have not learned from.
      start: scales around which the prior lies; rows in the order of `VIEWS`.
      prior_strength: see `fit_expert_scales`.

    Returns:
      View -> expert -> scale.
    """
    learnable = left_out.learnable()
    scales = {}
    for view, around in zip(VIEWS, start.astype(np.float64), strict=True):
        rows = np.flatnonzero(left_out.seen(view) & learnable.any(axis=1))
        asked = dataclasses.replace(left_out.examples.take(rows), labels=learnable[rows])
        evidence = left_out.evidence(view)[:, rows].astype(np.float64)
        fitted = fit_view_scales(around, evidence, asked, prior_strength=prior_strength)
        scales[view] = dict(zip(left_out.logits, fitted.tolist(), strict=True))
    return scales


def leave_out(
    systems: Mapping[str, KernelSystem],
    references: References,
    encoded: EncodedExamples,
    num_labelled: int,
) -> LeftOut:
    """What the kernel experts say of the training examples without their compounds.

    Args:
      systems: kernel expert -> its system.
      references: what they learn from; training examples first.
      encoded: the references' examples.
      num_labelled: how many of these are training examples, about which is asked.
    """
    count = references.examples.num_examples
    logits, told = {}, {}
    for expert, system in systems.items():
        place = np.full(count, -1)
        if EXPERTS[expert][0]:
            labels = references.labels[system.rows]
            groups = [references.examples.groups[row] for row in system.rows]
            place[system.rows] = np.arange(len(system.rows))
            changes = _of_signatures(references.sharing, system)
        else:
            labels = structure_labels(encoded, references.labels)[system.rows]
            of_structure = np.full(len(encoded.substructures), -1)
            of_structure[system.rows] = np.arange(len(system.rows))
            place = np.where(encoded.has_structure, of_structure[encoded.structure], -1)
            first = {int(ref): row for row, ref in reversed(list(enumerate(place))) if ref >= 0}
            groups = [references.examples.groups[first[ref]] for ref in range(len(system.rows))]
            changes = _of_structures(references.sharing, place, len(system.rows))
        said = left_out_logits(system, labels, groups, changes)
        asked = place[:num_labelled]
        told[expert] = asked >= 0
        logits[expert] = (
            np.where(told[expert][:, None], said[np.maximum(asked, 0)], 0.0).astype(np.float32)
            if len(said)
            else np.zeros((num_labelled, labels.shape[1]), np.float32)
        )
    return LeftOut(references.examples.take(np.arange(num_labelled)), logits, told)


def _of_signatures(sharing: LabelSharing, system: KernelSystem) -> Relabelled:
    """Changes of labels where each reference is one example."""
    places = _places(sharing.unit[system.rows], len(sharing.own))

    def relabelled(group: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, moas, labels = sharing.without(group)
        sizes = [len(places[unit]) for unit in units]
        rows = np.concatenate([places[unit] for unit in units]) if sum(sizes) else np.zeros(0, int)
        return rows, moas, np.repeat(labels, sizes, axis=0)

    return relabelled


def _of_structures(
    sharing: LabelSharing, place: Int[np.ndarray, " example"], count: int
) -> Relabelled:
    """Changes of labels where a reference has the most of its examples' labels."""
    pairs = np.unique(np.stack([place, sharing.unit], axis=1)[place >= 0], axis=0)
    units_of = _places(pairs[:, 0], count, values=pairs[:, 1])
    references_of = _places(pairs[:, 1], len(sharing.own), values=pairs[:, 0])

    def relabelled(group: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, moas, labels = sharing.without(group)
        changed = {int(unit): row for row, unit in enumerate(units)}
        rows = np.unique(np.concatenate([references_of[unit] for unit in units] or [[]])).astype(
            int
        )
        now = np.zeros((len(rows), len(moas)))
        for row, reference in enumerate(rows):
            for unit in units_of[reference]:
                own = labels[changed[unit]] if unit in changed else sharing.labels[unit][moas]
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
