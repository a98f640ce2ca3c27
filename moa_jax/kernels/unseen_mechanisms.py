"""Mechanisms that no training compound has, simulated: known ones are left out.

A mechanism that is described by proteins and actions alone (`DescribedMechanisms`) is scored by
what the model says a compound does to these proteins. How good such scores are is measured on
mechanisms with several measured compounds: they are described by the targets of their compounds
without a signature, and left out with all their compounds (`plain`), or also with all ligands of
the targets in their description (`strict`). The measured compounds never take part in the
description.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.left_out import evidence_without
from moa_jax.kernels.protein_carry import carry_by
from moa_jax.kernels.target_actions import action_rows, unit_rows
from moa_jax.kernels.target_propagation import known_mechanisms
from moa_jax.schemas import ACTIONS, Examples

# Measured compounds that a mechanism needs to be left out.
MIN_COMPOUNDS = 3
PLAIN, STRICT = "plain", "strict"
# How mechanisms are left out.
PROTOCOLS = (PLAIN, STRICT)
# Compounds of other mechanisms, left out as well, by whose scores those of a mechanism are
# standardised.
NUM_STANDARD = 200

Scores = Float[np.ndarray, "compound mechanism"]


@dataclasses.dataclass(frozen=True)
class Prototypes:
    """Mechanisms as pairs of action and gene.

    Attributes:
      names: the mechanisms.
      pairs: how much each has of each pair, in the order of `action_labels`; rows of unit length.
    """

    names: tuple[str, ...]
    pairs: Float[np.ndarray, "mechanism action_gene"]

    @classmethod
    def of_sums(
        cls, names: Sequence[str], sums: Float[np.ndarray, "mechanism action_gene"]
    ) -> Prototypes:
        """Prototypes of those mechanisms that have a pair."""
        used = np.flatnonzero(sums.any(axis=1))
        return cls(tuple(names[place] for place in used), unit_rows(sums[used].astype(np.float64)))

    def take(self, places: Int[np.ndarray, " place"]) -> Prototypes:
        """Some of the mechanisms."""
        return Prototypes(tuple(self.names[place] for place in places), self.pairs[places])

    def targets(self, genes: Sequence[str]) -> frozenset[str]:
        """The genes that any of the mechanisms has, out of those that the pairs are about."""
        by_gene = self.pairs.reshape(-1, len(genes)).any(axis=0)
        return frozenset(np.asarray(genes, object)[by_gene])


def measured_mechanisms(examples: Examples) -> list[str]:
    """Mechanisms of at least `MIN_COMPOUNDS` measured compounds, sorted."""
    groups: dict[str, set[str]] = {}
    for row, names in enumerate(known_mechanisms(examples)):
        if examples.has_expression[row]:
            for name in names:
                groups.setdefault(name, set()).add(examples.groups[row])
    return sorted(name for name, own in groups.items() if len(own) >= MIN_COMPOUNDS)


def by_other_compounds(
    examples: Examples, names: Sequence[str], genes: Sequence[str]
) -> Prototypes:
    """Describes mechanisms by the targets of their compounds without a signature.

    Args:
      examples: all examples.
      names: mechanisms.
      genes: symbols of the gene nodes.

    Returns:
      Those that can be described: the mean of these compounds' action labels, at unit length.
    """
    measured = {
        group for group, has in zip(examples.groups, examples.has_expression, strict=True) if has
    }
    rows_of: dict[str, dict[str, int]] = {name: {} for name in names}
    for row, own in enumerate(known_mechanisms(examples)):
        if examples.targets[row] and examples.groups[row] not in measured:
            for name in set(own) & rows_of.keys():
                rows_of[name].setdefault(examples.groups[row], row)
    sums = np.zeros((len(names), len(ACTIONS) * len(genes)))
    for place, name in enumerate(names):
        rows = list(rows_of[name].values())
        targets = [examples.targets[row] for row in rows]
        actions = [examples.actions[row] for row in rows]
        sums[place] = action_rows(targets, actions, genes).sum(axis=0)
    return Prototypes.of_sums(names, sums)


def left_out_examples(
    examples: Examples, names: Sequence[str], targets: frozenset[str]
) -> Bool[np.ndarray, " example"]:
    """Whole compounds with one of some mechanisms, or that act on one of some targets."""
    groups = {
        examples.groups[row]
        for row, own in enumerate(known_mechanisms(examples))
        if set(names) & set(own) or targets & set(examples.targets[row])
    }
    return np.array([group in groups for group in examples.groups], bool)


def fold_of(count: int, num_folds: int, seed: int) -> Int[np.ndarray, " item"]:
    """A random fold for each mechanism or compound, of almost equal sizes."""
    return np.random.default_rng(seed).permutation(np.arange(count) % num_folds)


@dataclasses.dataclass(frozen=True)
class UnseenFold:
    """Some mechanisms, and what a model that does not know them says about compounds.

    Attributes:
      held_out: the mechanisms.
      proteins: gene symbols of the proteins that the model knows a ligand of.
      evidence: kernel expert -> evidence for what each compound does to these, pooled over its
        signatures; the measured compounds of the mechanisms first, then those that standardise.
      labels: whether each of the former has each mechanism.
      groups: their compound groups.
    """

    held_out: Prototypes
    proteins: tuple[str, ...]
    evidence: dict[str, Float32[np.ndarray, "compound action_protein"]]
    labels: Bool[np.ndarray, "tested mechanism"]
    groups: tuple[str, ...]

    @classmethod
    def of(
        cls,
        closed_form: ClosedForm,
        held_out: Prototypes,
        genes: Sequence[str],
        *,
        protocol: str,
        seed: int,
    ) -> UnseenFold:
        """Leaves mechanisms out, and the compounds that standardise their scores.

        Args:
          closed_form: the kernel experts, for all compounds.
          held_out: the mechanisms.
          genes: gene symbols that their pairs are about.
          protocol: one of `PROTOCOLS`.
          seed: of the compounds that standardise.
        """
        examples = closed_form.references.examples
        measured = np.flatnonzero(examples.has_expression)
        known = known_mechanisms(examples.take(measured))
        has_moa = np.array([[name in own for name in held_out.names] for own in known], bool)
        tested = sorted({examples.groups[row] for row in measured[has_moa.any(axis=1)]})
        targets = held_out.targets(genes) if protocol == STRICT else frozenset()
        is_left_out = left_out_examples(examples, held_out.names, targets)
        rest = sorted({examples.groups[row] for row in measured[~is_left_out[measured]]})
        rng = np.random.default_rng(seed)
        others = rng.choice(rest, min(NUM_STANDARD, len(rest) // 2), replace=False).tolist()
        is_left_out |= np.isin(np.asarray(examples.groups, str), others)
        place = {group: number for number, group in enumerate([*tested, *others])}
        asked = np.array([row for row in measured if examples.groups[row] in place], int)
        answers = evidence_without(closed_form, is_left_out, asked)
        unit = np.array([place[examples.groups[row]] for row in asked], int)
        labels = np.zeros((len(tested), len(held_out.names)), bool)
        for row, own in zip(measured, has_moa, strict=True):
            if own.any():
                labels[place[examples.groups[row]]] |= own
        evidence = {
            expert: means_by_unit(values, unit, len(place))
            for expert, values in answers.of_expert.items()
        }
        return cls(held_out, answers.proteins, evidence, labels, tuple(tested))

    def scores(
        self, kernel: Float32[np.ndarray, "gene gene"], genes: Sequence[str], ridge: float
    ) -> dict[str, Scores]:
        """Kernel expert -> the score of each compound for each mechanism.

        Args:
          kernel: of the proteins.
          genes: gene symbol of each of its rows, the same that the mechanisms' pairs are about.
          ridge: of the step over proteins.
        """
        place = {symbol: row for row, symbol in enumerate(genes)}
        known = np.array([place[symbol] for symbol in self.proteins], int)
        pairs = self.held_out.pairs.reshape(len(self.held_out.names), len(ACTIONS), -1)
        used = np.flatnonzero(pairs.any(axis=(0, 1)))
        # Only proteins with evidence and those of the mechanisms take part.
        rows = np.concatenate([known, np.setdiff1d(used, known)])
        column = {row: number for number, row in enumerate(rows.tolist())}
        carry = carry_by(kernel[np.ix_(rows, rows)], np.arange(len(known)), ridge)
        carry = carry[:, [column[row] for row in used.tolist()]]
        through = np.einsum("pg,mag->apm", carry, pairs[:, :, used])
        through = through.reshape(-1, len(self.held_out.names))
        return {expert: values @ through for expert, values in self.evidence.items()}


def means_by_unit(
    values: Float32[np.ndarray, "row column"], unit: Int[np.ndarray, " row"], count: int
) -> Float32[np.ndarray, "unit column"]:
    """Mean of the rows of each unit; each has one."""
    sums = np.zeros((count, values.shape[1]), np.float32)
    np.add.at(sums, unit, values)
    return sums / np.bincount(unit, minlength=count)[:, None].astype(np.float32)


def standardised(scores: Scores, others: Float[np.ndarray, "other mechanism"]) -> Scores:
    """Scores in standard deviations from the mean of those of other compounds."""
    spread = others.std(axis=0)
    return (scores - others.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
