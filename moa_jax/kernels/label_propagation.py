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
from jaxtyping import Float, Float32, Int
from scipy import sparse

# Exponent by which doubt falls with the share of other compounds that agree.
_DOUBT_POWER = 4
# Smaller differences of votes are rounding errors.
_MIN_VOTES = 1e-6

# What each row is compared by: names, such as those of targets.
Annotations = Sequence[tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class LabelPropagation:
    """Soft labels of training compounds, and what they would be without one of them.

    Examples with the same compound group, annotations and labels are one unit.

    Attributes:
      share: weight of the labels of compounds with the same annotations.
      doubt_weight: how much of the remaining weight they get if they contradict the label.
      prior: votes for no MoA.
      unit: unit of each example.
      own: labels of each unit; 0 or 1, zeros if unlabelled.
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
          labels: labels of each example; at least 0, zeros if unlabelled.
          annotations: what examples are compared by.
          groups: compound group of each example.
          share: see `LabelPropagation`.
          doubt: `doubt_weight` of `LabelPropagation`.
          prior: votes for no label.
        """
        place: dict[tuple, int] = {}
        first, unit = [], np.empty(len(groups), int)
        for row, named in enumerate(zip(groups, annotations, strict=True)):
            key = (*named, labels[row].tobytes())
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
        votes = self._votes.toarray()
        agreement = self._agreement.toarray() if self.doubt_weight else votes
        every = np.arange(len(self.own))
        weight = self._weight(every, agreement, self._others, votes, self.own)
        propagated = votes / self._total(self._similar)[:, None]
        return ((1 - weight) * self.own + weight * propagated).astype(np.float32)

    def without(
        self, group: str
    ) -> tuple[
        Int[np.ndarray, " unit"], Int[np.ndarray, " label"], Float[np.ndarray, "unit label"]
    ]:
        """Soft labels of the other compounds without one compound group.

        Returns:
          Units whose labels change, the labels that may change, and their values.
        """
        nothing = (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 0)))
        source = self._source_of.get(group)
        if source is None or not self.share:
            return nothing
        column = self._by_source[:, [source]].tocoo()
        units, similarity = column.coords[0], column.data.astype(np.float64)
        elsewhere = self._group_of[units] != self._group_of[self.sources[source]]
        units, similarity = units[elsewhere], similarity[elsewhere]
        if not len(units):
            return nothing
        theirs = self.own[self.sources[source]]
        votes = self._votes[units]
        # A label that neither the units nor their sources have stays 0.
        columns = np.unique(np.concatenate([votes.indices, self._own[units].indices]))
        left = votes[:, columns].toarray() - similarity[:, None] * (theirs / theirs.sum())[columns]
        left[np.abs(left) < _MIN_VOTES] = 0.0
        agreement = self._agreement[units][:, columns].toarray()
        agreement = agreement - similarity[:, None] * (theirs[columns] > 0)
        own = self.own[units][:, columns]
        others = self._others[units] - similarity
        weight = self._weight(units, agreement, others, left, own)
        propagated = left / self._total(self._similar[units] - similarity)[:, None]
        return units, columns, (1 - weight) * own + weight * propagated

    def doubt(
        self,
        agreement: Float[np.ndarray, "unit label"],
        others: Float[np.ndarray, " unit"],
        own: Float[np.ndarray, "unit label"],
    ) -> Float[np.ndarray, " unit"]:
        """How much other compounds with the same annotations contradict a unit's label.

        From 0 to 1: `n / (n + 1) * (1 - a) ** 4`, where `n` is the sum of the other labelled
        compounds' cosines (see `similarity`) and `a` the share of it from compounds with the same
        label; of several labels, the one that is shared most. The power spares mechanisms that
        share their targets with another one, such as agonists and antagonists of a receptor: a
        label that a third of the others have is hardly doubted. 0 if no other compound has the
        annotations.

        Args:
          agreement: sum of the other sources' cosines that have each label.
          others: `n`.
          own: labels of the units.
        """
        others = np.where(others > _MIN_VOTES, others, 0.0)
        agreeing = np.where(own > 0, agreement, 0.0).max(axis=1, initial=0.0)
        share = np.clip(agreeing / np.where(others > 0, others, 1.0), 0.0, 1.0)
        return others / (others + 1) * (1 - share) ** _DOUBT_POWER

    def _weight(
        self,
        units: Int[np.ndarray, " unit"],
        agreement: Float[np.ndarray, "unit label"],
        others: Float[np.ndarray, " unit"],
        votes: Float[np.ndarray, "unit label"],
        own: Float[np.ndarray, "unit label"],
    ) -> Float[np.ndarray, "unit 1"]:
        """Weight of the propagated labels of each unit; 1 if it is unlabelled."""
        doubted = self.doubt_weight * self.doubt(agreement, others, own)
        weight = self.share + (1 - self.share) * doubted
        weight = np.where(votes.any(axis=1), weight, 0.0)
        return np.where(self._is_labelled[units], weight, 1.0)[:, None]

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
    def _votes(self) -> sparse.csr_array:
        return (self.similarity @ sparse.csr_array(_unit_sums(self.own[self.sources]))).tocsr()

    @functools.cached_property
    def _agreement(self) -> sparse.csr_array:
        has_label = sparse.csr_array((self.own[self.sources] > 0).astype(np.float64))
        return (self._similarity_to_others @ has_label).tocsr()

    @functools.cached_property
    def _similar(self) -> Float[np.ndarray, " unit"]:
        return self.similarity.sum(axis=1)

    @functools.cached_property
    def _others(self) -> Float[np.ndarray, " unit"]:
        return self._similarity_to_others.sum(axis=1)


def _unit_sums(labels: Float32[np.ndarray, "row label"]) -> Float[np.ndarray, "row label"]:
    return labels / np.maximum(labels.sum(axis=1, keepdims=True).astype(np.float64), 1.0)


def sources(
    labels: Float32[np.ndarray, "row label"],
    annotations: Annotations,
    groups: Sequence[str],
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
