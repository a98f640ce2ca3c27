"""Training labels propagated between compounds that share protein targets.

Mechanism annotations are incomplete, and compounds with the same targets mostly share their
mechanism even where nobody has written it down. The kernel experts therefore learn from soft
labels: partly a compound's own label, partly the labels of compounds that bind the same proteins.
A compound without any known mechanism is learned from through its targets alone; one whose known
mechanisms are outside the vocabulary is left out, because it is known to do something else.
Targets are used in training only, never of the compound that a prediction is for.
"""

from __future__ import annotations

import dataclasses
import functools

import ml_collections
import numpy as np
from jaxtyping import Float, Float32, Int
from scipy import sparse

from moa_jax.data.examples import of_other_groups
from moa_jax.data.features import EncodedExamples, FeatureSpec, encode
from moa_jax.schemas import Examples, concatenate

# How steeply doubt falls with the share of other compounds that agree.
_SPARED = 4
# A difference of votes below this is rounding.
_LEAST_VOTES = 1e-6


@dataclasses.dataclass(frozen=True)
class References:
    """The examples that kernel experts compare new ones with.

    Attributes:
      examples: the examples, with their own labels.
      sharing: the soft labels that are learned instead.
    """

    examples: Examples
    sharing: LabelSharing

    @property
    def labels(self) -> Float32[np.ndarray, "example moa"]:
        """Soft label of each example; between 0 and 1."""
        return self.sharing.labels[self.sharing.unit]

    def encode(self, features: FeatureSpec) -> EncodedExamples:
        """The examples as model inputs, with their soft labels."""
        return dataclasses.replace(encode(self.examples, features), labels=self.labels)


def references_of(
    config: ml_collections.ConfigDict, train: Examples, unlabelled: Examples | None
) -> References:
    """The training examples with soft labels, and unlabelled ones that share a target with them.

    Args:
      config: `share`: how much of a label is that of compounds with the same targets, from 0 to
        1; `doubt`: how much of the rest it becomes where they contradict the label, see
        `LabelSharing.doubt`; `prior`: see `LabelSharing.lent`; `least`: an example without any
        known mechanism is learned from when its largest lent label is this much.
      train: training examples.
      unlabelled: further examples; those of a compound group of `train`, and those with a known
        mechanism, are left out.
    """
    settings = {name: config[name] for name in ("share", "doubt", "prior")}
    sharing = LabelSharing.of(train, **settings)
    if unlabelled is None:
        return References(train, sharing)
    rows = np.flatnonzero(of_other_groups(unlabelled, train) & ~unlabelled.has_other_moas)
    candidates = unlabelled.take(rows)
    lent = lent_labels(candidates.targets, train, prior=config.prior)
    reached = lent.any(axis=1) & (lent.max(axis=1, initial=0.0) >= config.least)
    if not reached.any():
        return References(train, sharing)
    examples = concatenate(train, candidates.take(np.flatnonzero(reached)))
    return References(examples, LabelSharing.of(examples, **settings))


def lent_labels(
    targets: tuple[tuple[str, ...], ...], labelled: Examples, *, prior: float
) -> Float32[np.ndarray, "example moa"]:
    """Labels by targets: `sum_j s_ij y_j / (prior + sum_j s_ij)` over labelled compounds `j`.

    `s` is the cosine of two sets of targets, `|A & B| / sqrt(|A| |B|)`, and `y` the labels of a
    compound, summing to 1 (Nadaraya 1964 and Watson 1964, with `prior` votes for no MoA at all).

    Args:
      targets: known targets of each example; it is lent nothing where there are none.
      labelled: examples whose compounds lend; those without label or targets do not.
      prior: weight of the votes for none.
    """
    lenders = _lenders(labelled.labels, labelled.targets, labelled.groups)
    similarity = _similarity(targets, tuple(labelled.targets[row] for row in lenders))
    votes = similarity @ _unit_sums(labelled.labels[lenders])
    total = prior + similarity.sum(axis=1)[:, None]
    return np.where(total > 0, votes / np.where(total > 0, total, 1.0), 0.0).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class LabelSharing:
    """What is learned of training compounds, and what would be without one of them.

    Examples with the same compound group, targets and labels are one unit.

    Attributes:
      share: how much of a label is that of compounds with the same targets.
      doubt_weight: how much of the rest it becomes where they contradict the label.
      prior: votes for no MoA.
      unit: unit of each example.
      own: labels of each unit; 0 or 1, zeros where nothing is known.
      groups: compound group of each unit.
      lenders: units that lend, one per compound group.
      similarity: cosine of the targets of each unit with those of each lender.
    """

    share: float
    doubt_weight: float
    prior: float
    unit: Int[np.ndarray, " example"]
    own: Float32[np.ndarray, "unit moa"]
    groups: tuple[str, ...]
    lenders: Int[np.ndarray, " lender"]
    similarity: sparse.csr_array

    @classmethod
    def of(cls, examples: Examples, *, share: float, doubt: float, prior: float) -> LabelSharing:
        """The sharing of labels among examples; see `references_of` for the settings."""
        place: dict[tuple, int] = {}
        first, unit = [], np.empty(examples.num_examples, int)
        for row, key in enumerate(zip(examples.groups, examples.targets, strict=True)):
            told = (*key, examples.labels[row].tobytes())
            if told not in place:
                place[told] = len(place)
                first.append(row)
            unit[row] = place[told]
        own = examples.labels[first].reshape(len(first), len(examples.moas))
        targets = tuple(examples.targets[row] for row in first)
        groups = tuple(examples.groups[row] for row in first)
        lenders = _lenders(own, targets, groups)
        return cls(
            share=share,
            doubt_weight=doubt,
            prior=prior,
            unit=unit,
            own=own,
            groups=groups,
            lenders=lenders,
            similarity=_similarity(targets, tuple(targets[row] for row in lenders)),
        )

    @functools.cached_property
    def labels(self) -> Float32[np.ndarray, "unit moa"]:
        """What is learned of each unit; between 0 and 1."""
        votes = self._votes.toarray()
        weight = self._weight(
            np.arange(len(self.own)), self._agreement.toarray(), self._others, votes, self.own
        )
        lent = votes / self._total(self._similar)[:, None]
        return ((1 - weight) * self.own + weight * lent).astype(np.float32)

    def without(
        self, group: str
    ) -> tuple[Int[np.ndarray, " unit"], Int[np.ndarray, " moa"], Float[np.ndarray, "unit moa"]]:
        """What would be learned of the other compounds if one were not there.

        Returns:
          Units whose labels differ, the MoAs in which they may, and their labels for these.
        """
        nothing = (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 0)))
        lender = self._lender_of.get(group)
        if lender is None or not self.share:
            return nothing
        column = self._by_lender[:, [lender]].tocoo()
        units, similarity = column.coords[0], column.data.astype(np.float64)
        elsewhere = self._group_of[units] != self._group_of[self.lenders[lender]]
        units, similarity = units[elsewhere], similarity[elsewhere]
        if not len(units):
            return nothing
        theirs = self.own[self.lenders[lender]]
        votes = self._votes[units]
        # A label that neither the units nor who votes for them have stays 0.
        moas = np.unique(np.concatenate([votes.indices, self._own[units].indices]))
        left = votes[:, moas].toarray() - similarity[:, None] * (theirs / theirs.sum())[moas]
        left[np.abs(left) < _LEAST_VOTES] = 0.0
        agreement = self._agreement[units][:, moas].toarray()
        agreement = agreement - similarity[:, None] * (theirs[moas] > 0)
        own = self.own[units][:, moas]
        others = self._others[units] - similarity
        weight = self._weight(units, agreement, others, left, own)
        lent = left / self._total(self._similar[units] - similarity)[:, None]
        return units, moas, (1 - weight) * own + weight * lent

    def doubt(
        self,
        agreement: Float[np.ndarray, "unit moa"],
        others: Float[np.ndarray, " unit"],
        own: Float[np.ndarray, "unit moa"],
    ) -> Float[np.ndarray, " unit"]:
        """How far other compounds with the same targets contradict a unit's label.

        `n / (n + 1) * (1 - a) ** 4`, where `n` is the sum of the other labelled compounds'
        cosines `s` (see `lent_labels`) and `a` the share of it whose compounds carry the label;
        of several labels the one that is shared most. The power spares mechanisms that have
        their targets in common with another one, as agonists and antagonists of a receptor have:
        who agrees with a third of the others is hardly doubted. 0 where nobody else has the
        targets.

        Args:
          agreement: sum of the other lenders' cosines that carry each label.
          others: `n`.
          own: labels of the units.
        """
        others = np.where(others > _LEAST_VOTES, others, 0.0)
        agreeing = np.where(own > 0, agreement, 0.0).max(axis=1, initial=0.0)
        share = np.clip(agreeing / np.where(others > 0, others, 1.0), 0.0, 1.0)
        return others / (others + 1) * (1 - share) ** _SPARED

    def _weight(
        self,
        units: Int[np.ndarray, " unit"],
        agreement: Float[np.ndarray, "unit moa"],
        others: Float[np.ndarray, " unit"],
        votes: Float[np.ndarray, "unit moa"],
        own: Float[np.ndarray, "unit moa"],
    ) -> Float[np.ndarray, "unit 1"]:
        """How much of what is learned of each unit is lent; all of it where no label is known."""
        doubted = self.doubt_weight * self.doubt(agreement, others, own)
        weight = self.share + (1 - self.share) * doubted
        weight = np.where(votes.any(axis=1), weight, 0.0)
        return np.where(self._is_labelled[units], weight, 1.0)[:, None]

    def _total(self, similar: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
        total = self.prior + similar
        return np.where(total > _LEAST_VOTES, total, 1.0)

    @functools.cached_property
    def _is_labelled(self) -> np.ndarray:
        return self.own.any(axis=1)

    @functools.cached_property
    def _own(self) -> sparse.csr_array:
        return sparse.csr_array(self.own)

    @functools.cached_property
    def _group_of(self) -> Int[np.ndarray, " unit"]:
        return np.unique(np.asarray(self.groups, str), return_inverse=True)[1]

    @functools.cached_property
    def _lender_of(self) -> dict[str, int]:
        return {self.groups[row]: place for place, row in enumerate(self.lenders)}

    @functools.cached_property
    def _by_lender(self) -> sparse.csc_array:
        return self.similarity.tocsc()

    @functools.cached_property
    def _others_alone(self) -> sparse.csr_array:
        """Similarity with the lenders of other groups."""
        found = self.similarity.tocoo()
        rows, columns = found.coords
        same = self._group_of[rows] == self._group_of[self.lenders][columns]
        return sparse.csr_array(
            (found.data[~same], (rows[~same], columns[~same])), shape=self.similarity.shape
        )

    @functools.cached_property
    def _votes(self) -> sparse.csr_array:
        return (self.similarity @ sparse.csr_array(_unit_sums(self.own[self.lenders]))).tocsr()

    @functools.cached_property
    def _agreement(self) -> sparse.csr_array:
        carried = sparse.csr_array((self.own[self.lenders] > 0).astype(np.float64))
        return (self._others_alone @ carried).tocsr()

    @functools.cached_property
    def _similar(self) -> Float[np.ndarray, " unit"]:
        return self.similarity.sum(axis=1)

    @functools.cached_property
    def _others(self) -> Float[np.ndarray, " unit"]:
        return self._others_alone.sum(axis=1)


def _unit_sums(labels: Float32[np.ndarray, "row moa"]) -> Float[np.ndarray, "row moa"]:
    return labels / np.maximum(labels.sum(axis=1, keepdims=True).astype(np.float64), 1.0)


def _lenders(
    labels: Float32[np.ndarray, "row moa"],
    targets: tuple[tuple[str, ...], ...],
    groups: tuple[str, ...],
) -> Int[np.ndarray, " lender"]:
    """The first row with label and targets of each compound group."""
    has_targets = np.array([len(names) > 0 for names in targets], bool)
    rows = np.flatnonzero(labels.any(axis=1) & has_targets)
    _, first = np.unique([groups[row] for row in rows], return_index=True)
    return rows[np.sort(first)]


def _similarity(
    targets: tuple[tuple[str, ...], ...], of_lenders: tuple[tuple[str, ...], ...]
) -> sparse.csr_array:
    """Cosines of sets of targets with those of the lenders."""
    place = {name: column for column, name in enumerate(sorted(set().union(*of_lenders)))}
    return (_unit_rows(targets, place) @ _unit_rows(of_lenders, place).T).tocsr()


def _unit_rows(targets: tuple[tuple[str, ...], ...], place: dict[str, int]) -> sparse.csr_array:
    """Sets as rows of length 1, over the targets of `place`; zeros for an empty set."""
    rows, columns, values = [], [], []
    for row, names in enumerate(targets):
        known = sorted(set(names) & place.keys())
        rows += [row] * len(known)
        columns += [place[name] for name in known]
        values += [max(len(set(names)), 1) ** -0.5] * len(known)
    return sparse.csr_array((values, (rows, columns)), shape=(len(targets), len(place)))
