"""Labels shared by training compounds that have something in common, and leave-one-out of them.

Annotations are incomplete: compounds with the same protein targets mostly share their mechanism
even if it is not annotated, and compounds with the same mechanism mostly share their targets. A
soft label is a mix of a compound's own label and the labels of compounds with which it shares
such annotations. The annotations of a compound to be predicted are never used.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import sparse

# Exponent by which doubt falls with the share of other compounds that agree.
_DOUBT_POWER = 4
# Smaller differences of votes are rounding errors.
_MIN_VOTES = 1e-6

# Units whose labels change, the labels that may change, and their new values.
Relabelled = tuple[
    Int[np.ndarray, " unit"], Int[np.ndarray, " label"], Float[np.ndarray, "unit label"]
]
_NOTHING: Relabelled = (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 0)))

# What each row is compared by: names, such as those of targets.
Annotations = Sequence[tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class LabelPropagation:
    """Soft labels of training compounds, and what they would be without one of them.

    Examples with the same compound group, annotations and labels are one unit.

    Attributes:
      share: weight of the labels of compounds with the same annotations.
      doubt_weight: how much of the remaining weight they get if they contradict the label.
      prior: votes for no label.
      unit: unit of each example.
      own: labels of each unit; from 0 to 1, zeros if unlabelled.
      groups: compound group of each unit.
      sources: units whose labels are propagated, one per compound group.
      similarity: cosine of the annotations of each unit with those of each source.
    """

    share: float
    doubt_weight: float
    prior: float
    unit: Int[np.ndarray, " example"]
    own: Float32[np.ndarray, "unit label"]
    groups: tuple[str, ...]
    sources: Int[np.ndarray, " source"]
    similarity: sparse.csr_array

    @classmethod
    def of(
        cls,
        labels: Float32[np.ndarray, "example label"],
        annotations: Annotations,
        groups: Sequence[str],
        *,
        share: float,
        doubt: float,
        prior: float,
    ) -> LabelPropagation:
        """Propagation among examples.

        Args:
          labels: labels of each example; from 0 to 1, zeros if unlabelled.
          annotations: what examples are compared by.
          groups: compound group of each example.
          share: see `LabelPropagation`.
          doubt: `doubt_weight` of `LabelPropagation`.
          prior: votes for no label.
        """
        place: dict[tuple, int] = {}
        first, unit, known = [], np.empty(len(groups), int), sparse.csr_array(labels)
        for row, named in enumerate(zip(groups, annotations, strict=True)):
            of_row = slice(known.indptr[row], known.indptr[row + 1])
            key = (*named, known.indices[of_row].tobytes(), known.data[of_row].tobytes())
            if key not in place:
                place[key] = len(place)
                first.append(row)
            unit[row] = place[key]
        own = labels[first].reshape(len(first), labels.shape[1])
        named = tuple(annotations[row] for row in first)
        units = tuple(groups[row] for row in first)
        rows = sources(own, named, units)
        return cls(
            share=share,
            doubt_weight=doubt,
            prior=prior,
            unit=unit,
            own=own,
            groups=units,
            sources=rows,
            similarity=similarity(named, tuple(named[row] for row in rows)),
        )

    @functools.cached_property
    def labels(self) -> Float32[np.ndarray, "unit label"]:
        """Soft labels of each unit, between 0 and 1."""
        agreeing = np.zeros(len(self.own))
        if self.doubt_weight:
            agreeing = self._agreement.multiply(self._own > 0).max(axis=1).toarray()
        has_votes = np.diff(self._votes.indptr) > 0
        weight = self._weight(agreeing, self._others, has_votes, self._is_labelled)
        propagated = _scaled(self._votes, weight / self._total(self._similar))
        return (_scaled(self._own, 1 - weight) + propagated).toarray().astype(np.float32)

    def without(self, group: str) -> Relabelled:
        """Soft labels that change for other compounds without the given compound group."""
        source = self._source_of.get(group)
        if source is None:
            return _NOTHING
        units, similarity = _column(self._by_source, source)
        elsewhere = self._group_of[units] != self._group_of[self.sources[source]]
        units, similarity = units[elsewhere], similarity[elsewhere]
        if not len(units):
            return _NOTHING
        votes, own = self._votes[units], self._own[units]
        # A label that neither the units nor their sources have stays 0.
        place = np.full(self.own.shape[1], -1)
        place[votes.indices] = place[own.indices] = 0
        columns = np.flatnonzero(place == 0)
        place[columns] = np.arange(len(columns))
        theirs = self.own[self.sources[source], columns] / self._total_of_source[source]
        left = _dense(votes, place, len(columns)) - np.outer(similarity, theirs)
        left[np.abs(left) < _MIN_VOTES] = 0.0
        own = _dense(own, place, len(columns))
        agreeing = np.zeros(len(units))
        if self.doubt_weight:
            agreement = _dense(self._agreement[units], place, len(columns))
            agreement -= np.outer(similarity, theirs > 0)
            agreeing = np.where(own > 0, agreement, 0.0).max(axis=1, initial=0.0)
        others = self._others[units] - similarity
        weight = self._weight(agreeing, others, left.any(axis=1), self._is_labelled[units])
        propagated = weight / self._total(self._similar[units] - similarity)
        return units, columns, (1 - weight)[:, None] * own + propagated[:, None] * left

    def _weight(
        self,
        agreeing: Float[np.ndarray, " unit"],
        others: Float[np.ndarray, " unit"],
        has_votes: Bool[np.ndarray, " unit"],
        is_labelled: Bool[np.ndarray, " unit"],
    ) -> Float[np.ndarray, " unit"]:
        """Weight of the propagated labels of some units; 1 for those without labels."""
        doubted = self.doubt_weight * doubt(agreeing, others)
        weight = np.where(has_votes, self.share + (1 - self.share) * doubted, 0.0)
        return np.where(is_labelled, weight, 1.0)

    def _total(self, similar: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
        total = self.prior + similar
        return np.where(total > _MIN_VOTES, total, 1.0)

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
    def _source_of(self) -> dict[str, int]:
        return {self.groups[row]: place for place, row in enumerate(self.sources)}

    @functools.cached_property
    def _by_source(self) -> sparse.csc_array:
        return self.similarity.tocsc()

    @functools.cached_property
    def _similarity_to_others(self) -> sparse.csr_array:
        """Similarity with the sources of other groups."""
        similarity = self.similarity.tocoo()
        rows, columns = similarity.coords
        same = self._group_of[rows] == self._group_of[self.sources][columns]
        return sparse.csr_array(
            (similarity.data[~same], (rows[~same], columns[~same])), shape=similarity.shape
        )

    @functools.cached_property
    def _shares(self) -> sparse.csr_array:
        """Labels of each source, divided by their sum if that is above 1."""
        return _scaled(self._own[self.sources].astype(np.float64), 1 / self._total_of_source)

    @functools.cached_property
    def _total_of_source(self) -> Float[np.ndarray, " source"]:
        return np.maximum(self.own[self.sources].sum(axis=1, dtype=np.float64), 1.0)

    @functools.cached_property
    def _votes(self) -> sparse.csr_array:
        return (self.similarity @ self._shares).tocsr()

    @functools.cached_property
    def _agreement(self) -> sparse.csr_array:
        has_label = (self._own[self.sources] > 0).astype(np.float64)
        return (self._similarity_to_others @ has_label).tocsr()

    @functools.cached_property
    def _similar(self) -> Float[np.ndarray, " unit"]:
        return self.similarity.sum(axis=1)

    @functools.cached_property
    def _others(self) -> Float[np.ndarray, " unit"]:
        return self._similarity_to_others.sum(axis=1)


def doubt(
    agreeing: Float[np.ndarray, " unit"], others: Float[np.ndarray, " unit"]
) -> Float[np.ndarray, " unit"]:
    """How much other compounds with the same annotations contradict a compound's label.

    From 0 to 1: `n / (n + 1) * (1 - a / n) ** 4`. The power spares mechanisms that share their
    targets with another one, such as agonists and antagonists of a receptor: a label that a third
    of the others have is hardly doubted. 0 if no other compound has the annotations.

    Args:
      agreeing: `a`, the part of `n` that has the compound's label; of several labels, the one that
        is shared most.
      others: `n`, the sum of the other labelled compounds' cosines (see `similarity`).
    """
    others = np.where(others > _MIN_VOTES, others, 0.0)
    share = np.clip(agreeing / np.where(others > 0, others, 1.0), 0.0, 1.0)
    return others / (others + 1) * (1 - share) ** _DOUBT_POWER


def sources(
    labels: Float32[np.ndarray, "row label"], annotations: Annotations, groups: Sequence[str]
) -> Int[np.ndarray, " source"]:
    """The first row with label and annotations of each compound group."""
    annotated = np.array([len(names) > 0 for names in annotations], bool)
    rows = np.flatnonzero(labels.any(axis=1) & annotated)
    _, first = np.unique([groups[row] for row in rows], return_index=True)
    return rows[np.sort(first)]


def similarity(annotations: Annotations, of_sources: Annotations) -> sparse.csr_array:
    """Cosines of sets of names with those of the sources, `|A & B| / sqrt(|A| |B|)`."""
    place = {name: column for column, name in enumerate(sorted(set().union(*of_sources)))}
    return (_unit_rows(annotations, place) @ _unit_rows(of_sources, place).T).tocsr()


def _unit_rows(annotations: Annotations, place: dict[str, int]) -> sparse.csr_array:
    """Sets as rows of unit length over the names of `place`; zeros for an empty set."""
    rows, columns, values = [], [], []
    for row, names in enumerate(annotations):
        known = sorted(set(names) & place.keys())
        rows += [row] * len(known)
        columns += [place[name] for name in known]
        values += [max(len(set(names)), 1) ** -0.5] * len(known)
    return sparse.csr_array((values, (rows, columns)), shape=(len(annotations), len(place)))


def _scaled(matrix: sparse.csr_array, by: Float[np.ndarray, " row"]) -> sparse.csr_array:
    """The rows of a matrix, each times a number."""
    return (sparse.diags_array(by) @ matrix).tocsr()


def _column(
    matrix: sparse.csc_array, column: int
) -> tuple[Int[np.ndarray, " row"], Float[np.ndarray, " row"]]:
    """Rows and values of a column."""
    part = slice(matrix.indptr[column], matrix.indptr[column + 1])
    return matrix.indices[part], matrix.data[part]


def _dense(
    matrix: sparse.csr_array, place: Int[np.ndarray, " label"], num_columns: int
) -> Float[np.ndarray, "row column"]:
    """The matrix with its columns put in their places; none may have a negative place."""
    dense = np.zeros((matrix.shape[0], num_columns))
    rows = np.repeat(np.arange(len(dense)), np.diff(matrix.indptr))
    dense[rows, place[matrix.indices]] = matrix.data
    return dense
