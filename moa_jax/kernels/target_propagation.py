"""Target propagation: training labels shared by compounds with the same protein targets.

Mechanism annotations are incomplete, and compounds with the same targets mostly share their
mechanism even if it is not annotated. The kernel experts are therefore fitted to soft labels: a mix
of a compound's own label and the labels of compounds with the same targets. A compound without a
known mechanism is pseudo-labelled by its targets alone; one whose mechanisms are outside the
vocabulary is left out. The targets of a compound to be predicted are never used.
"""

from __future__ import annotations

import dataclasses
import functools

import ml_collections
import numpy as np
from jaxtyping import Float, Float32, Int
from scipy import sparse

from moa_jax.data.examples.build import of_other_groups
from moa_jax.data.examples.features import EncodedExamples, FeatureSpec, encode
from moa_jax.schemas import Examples, concatenate

# Exponent by which doubt falls with the share of other compounds that agree.
_DOUBT_POWER = 4
# Smaller differences of votes are rounding errors.
_MIN_VOTES = 1e-6


@dataclasses.dataclass(frozen=True)
class References:
    """The examples that kernel experts compare new ones with.

    Attributes:
      examples: the examples, with their own labels.
      propagation: computes their soft labels.
    """

    examples: Examples
    propagation: TargetPropagation

    @property
    def labels(self) -> Float32[np.ndarray, "example moa"]:
        """Soft label of each example; between 0 and 1."""
        return self.propagation.labels[self.propagation.unit]

    def encode(self, features: FeatureSpec) -> EncodedExamples:
        """The examples as model inputs, with their soft labels."""
        return dataclasses.replace(encode(self.examples, features), labels=self.labels)


def references_of(
    config: ml_collections.ConfigDict, train: Examples, unlabelled: Examples | None
) -> References:
    """The training examples with soft labels, and pseudo-labelled ones that share their targets.

    Args:
      config: `share`: weight, from 0 to 1, of the labels of compounds with the same targets;
        `doubt`: how much of the remaining weight they get if they contradict the label, see
        `TargetPropagation.doubt`; `prior`: see `target_propagated_labels`; `least`: the largest
        propagated label from which an example without a known mechanism is pseudo-labelled.
      train: training examples.
      unlabelled: examples without label; those of a compound group of `train`, and those with a
        known mechanism, are left out.
    """
    settings = {name: config[name] for name in ("share", "doubt", "prior")}
    propagation = TargetPropagation.of(train, **settings)
    if unlabelled is None:
        return References(train, propagation)
    rows = np.flatnonzero(of_other_groups(unlabelled, train) & ~unlabelled.has_other_moas)
    candidates = unlabelled.take(rows)
    propagated = target_propagated_labels(candidates.targets, train, prior=config.prior)
    reached = propagated.any(axis=1) & (propagated.max(axis=1, initial=0.0) >= config.least)
    if not reached.any():
        return References(train, propagation)
    examples = concatenate(train, candidates.take(np.flatnonzero(reached)))
    return References(examples, TargetPropagation.of(examples, **settings))


def target_propagated_labels(
    targets: tuple[tuple[str, ...], ...], labelled: Examples, *, prior: float
) -> Float32[np.ndarray, "example moa"]:
    """Labels by targets: `sum_j s_ij y_j / (prior + sum_j s_ij)` over labelled compounds `j`.

    `s` is the cosine of two sets of targets, `|A & B| / sqrt(|A| |B|)`, and `y` the labels of a
    compound, summing to 1 (Nadaraya 1964 and Watson 1964, with `prior` votes for no MoA).

    Args:
      targets: known targets of each example; an example without any gets zeros.
      labelled: examples whose labels are propagated, if they have labels and targets.
      prior: weight of the votes for no MoA.
    """
    sources = _sources(labelled.labels, labelled.targets, labelled.groups)
    similarity = _similarity(targets, tuple(labelled.targets[row] for row in sources))
    votes = similarity @ _unit_sums(labelled.labels[sources])
    total = prior + similarity.sum(axis=1)[:, None]
    return np.where(total > 0, votes / np.where(total > 0, total, 1.0), 0.0).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class TargetPropagation:
    """Soft labels of training compounds, and what they would be without one of them.

    Examples with the same compound group, targets and labels are one unit.

    Attributes:
      share: weight of the labels of compounds with the same targets.
      doubt_weight: how much of the remaining weight they get if they contradict the label.
      prior: votes for no MoA.
      unit: unit of each example.
      own: labels of each unit; 0 or 1, zeros if unlabelled.
      groups: compound group of each unit.
      sources: units whose labels are propagated, one per compound group.
      similarity: cosine of the targets of each unit with those of each source.
    """

    share: float
    doubt_weight: float
    prior: float
    unit: Int[np.ndarray, " example"]
    own: Float32[np.ndarray, "unit moa"]
    groups: tuple[str, ...]
    sources: Int[np.ndarray, " source"]
    similarity: sparse.csr_array

    @classmethod
    def of(
        cls, examples: Examples, *, share: float, doubt: float, prior: float
    ) -> TargetPropagation:
        """Propagation among examples; see `references_of` for the settings."""
        place: dict[tuple, int] = {}
        first, unit = [], np.empty(examples.num_examples, int)
        for row, named in enumerate(zip(examples.groups, examples.targets, strict=True)):
            key = (*named, examples.labels[row].tobytes())
            if key not in place:
                place[key] = len(place)
                first.append(row)
            unit[row] = place[key]
        own = examples.labels[first].reshape(len(first), len(examples.moas))
        targets = tuple(examples.targets[row] for row in first)
        groups = tuple(examples.groups[row] for row in first)
        sources = _sources(own, targets, groups)
        return cls(
            share=share,
            doubt_weight=doubt,
            prior=prior,
            unit=unit,
            own=own,
            groups=groups,
            sources=sources,
            similarity=_similarity(targets, tuple(targets[row] for row in sources)),
        )

    @functools.cached_property
    def labels(self) -> Float32[np.ndarray, "unit moa"]:
        """Soft labels of each unit, between 0 and 1."""
        votes = self._votes.toarray()
        weight = self._weight(
            np.arange(len(self.own)), self._agreement.toarray(), self._others, votes, self.own
        )
        propagated = votes / self._total(self._similar)[:, None]
        return ((1 - weight) * self.own + weight * propagated).astype(np.float32)

    def without(
        self, group: str
    ) -> tuple[Int[np.ndarray, " unit"], Int[np.ndarray, " moa"], Float[np.ndarray, "unit moa"]]:
        """Soft labels of the other compounds without one compound group.

        Returns:
          Units whose labels change, the MoAs in which they may change, and their labels for these.
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
        moas = np.unique(np.concatenate([votes.indices, self._own[units].indices]))
        left = votes[:, moas].toarray() - similarity[:, None] * (theirs / theirs.sum())[moas]
        left[np.abs(left) < _MIN_VOTES] = 0.0
        agreement = self._agreement[units][:, moas].toarray()
        agreement = agreement - similarity[:, None] * (theirs[moas] > 0)
        own = self.own[units][:, moas]
        others = self._others[units] - similarity
        weight = self._weight(units, agreement, others, left, own)
        propagated = left / self._total(self._similar[units] - similarity)[:, None]
        return units, moas, (1 - weight) * own + weight * propagated

    def doubt(
        self,
        agreement: Float[np.ndarray, "unit moa"],
        others: Float[np.ndarray, " unit"],
        own: Float[np.ndarray, "unit moa"],
    ) -> Float[np.ndarray, " unit"]:
        """How much other compounds with the same targets contradict a unit's label, from 0 to 1.

        `n / (n + 1) * (1 - a) ** 4`, where `n` is the sum of the other labelled compounds'
        cosines `s` (see `target_propagated_labels`) and `a` the share of it from compounds with the
        same label; of several labels, the one that is shared most. The power spares mechanisms that
        share their targets with another one, such as agonists and antagonists of a receptor: a
        label that a third of the others have is hardly doubted. 0 if no other compound has the
        targets.

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
        agreement: Float[np.ndarray, "unit moa"],
        others: Float[np.ndarray, " unit"],
        votes: Float[np.ndarray, "unit moa"],
        own: Float[np.ndarray, "unit moa"],
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


def _unit_sums(labels: Float32[np.ndarray, "row moa"]) -> Float[np.ndarray, "row moa"]:
    return labels / np.maximum(labels.sum(axis=1, keepdims=True).astype(np.float64), 1.0)


def _sources(
    labels: Float32[np.ndarray, "row moa"],
    targets: tuple[tuple[str, ...], ...],
    groups: tuple[str, ...],
) -> Int[np.ndarray, " source"]:
    """The first row with label and targets of each compound group."""
    has_targets = np.array([len(names) > 0 for names in targets], bool)
    rows = np.flatnonzero(labels.any(axis=1) & has_targets)
    _, first = np.unique([groups[row] for row in rows], return_index=True)
    return rows[np.sort(first)]


def _similarity(
    targets: tuple[tuple[str, ...], ...], of_sources: tuple[tuple[str, ...], ...]
) -> sparse.csr_array:
    """Cosines of sets of targets with those of the sources."""
    place = {name: column for column, name in enumerate(sorted(set().union(*of_sources)))}
    return (_unit_rows(targets, place) @ _unit_rows(of_sources, place).T).tocsr()


def _unit_rows(targets: tuple[tuple[str, ...], ...], place: dict[str, int]) -> sparse.csr_array:
    """Sets as rows of unit length over the targets of `place`; zeros for an empty set."""
    rows, columns, values = [], [], []
    for row, names in enumerate(targets):
        known = sorted(set(names) & place.keys())
        rows += [row] * len(known)
        columns += [place[name] for name in known]
        values += [max(len(set(names)), 1) ** -0.5] * len(known)
    return sparse.csr_array((values, (rows, columns)), shape=(len(targets), len(place)))
