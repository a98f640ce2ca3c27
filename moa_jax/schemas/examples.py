"""Examples: signatures with structures and labels, the input of every method."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Int, Int32

from moa_jax.schemas.errors import InputError, require_columns
from moa_jax.schemas.signatures import SIGNATURE_COLUMNS


@dataclasses.dataclass(frozen=True)
class Examples:
    """A set of signatures with structures and labels; any of the modalities may be absent.

    Attributes:
      expression: signature of each example; not read where `has_expression` or `gene_mask` is
        false.
      has_expression: the example has a signature.
      gene_mask: the gene was measured in this set.
      table: `SIGNATURE_COLUMNS`, one row per example, index 0..n-1.
      smiles: canonical SMILES, None where the structure is unknown.
      groups: compound group, the unit of splits and of pooling.
      targets: gene symbols of the compound's known targets; empty where none is known.
      moas: vocabulary of MoAs, the columns of `labels`.
      labels: 1 where the example's compound has the MoA, else 0.
      bead_partners: column of the gene on the same bead colour, or the gene's own column; None if
        the bead colours are unknown.
      other_moas: known mechanisms of each example's compound that are not in the vocabulary; None
        if there are none.
      actions: what the compound does to each of its targets, in their order: `inhibits`,
        `activates` or empty (unknown). Without this argument all are unknown.
    """

    expression: Float32[np.ndarray, "example gene"]
    has_expression: Bool[np.ndarray, " example"]
    gene_mask: Bool[np.ndarray, " gene"]
    table: pd.DataFrame
    smiles: tuple[str | None, ...]
    groups: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    moas: tuple[str, ...]
    labels: Float32[np.ndarray, "example moa"]
    bead_partners: Int32[np.ndarray, " gene"] | None = None
    other_moas: tuple[tuple[str, ...], ...] | None = None
    actions: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.actions:
            unknown = tuple(("",) * len(targets) for targets in self.targets)
            object.__setattr__(self, "actions", unknown)
        require_columns(self.table, SIGNATURE_COLUMNS, "the examples' table")
        expected = {
            "expression": ((len(self.table), len(self.gene_mask)), self.expression.shape),
            "has_expression": ((len(self.table),), self.has_expression.shape),
            "labels": ((len(self.table), len(self.moas)), self.labels.shape),
            "smiles": (len(self.table), len(self.smiles)),
            "groups": (len(self.table), len(self.groups)),
            "targets": (len(self.table), len(self.targets)),
            "actions": (tuple(map(len, self.targets)), tuple(map(len, self.actions))),
        }
        if self.other_moas is not None:
            expected["other_moas"] = (len(self.table), len(self.other_moas))
        if self.bead_partners is not None:
            expected["bead_partners"] = (len(self.gene_mask), len(self.bead_partners))
        for name, (wanted, found) in expected.items():
            if wanted != found:
                raise InputError(f"the examples' {name} has size {found}, expected {wanted}.")

    @classmethod
    def of_signatures(
        cls,
        expression: Float32[np.ndarray, "example gene"],
        table: pd.DataFrame,
        *,
        groups: Iterable[str],
        moas: tuple[str, ...],
        smiles: Iterable[Any] | None = None,
        targets: Iterable[Iterable[str]] | None = None,
        actions: Iterable[Iterable[str]] = (),
        labels: Float32[np.ndarray, "example moa"] | None = None,
        gene_mask: Bool[np.ndarray, " gene"] | None = None,
        bead_partners: Int32[np.ndarray, " gene"] | None = None,
        other_moas: tuple[tuple[str, ...], ...] | None = None,
    ) -> Examples:
        """Examples that all have a signature; arguments left out are unknown.

        Args:
          expression: signature of each example.
          table: `SIGNATURE_COLUMNS`, one row per example.
          groups: compound group of each example.
          moas: the vocabulary.
          smiles: canonical SMILES, missing (None or NaN) where the structure is unknown.
          targets: gene symbols of each compound's known targets.
          actions: see `Examples`.
          labels: zeros by default.
          gene_mask: by default all genes were measured.
          bead_partners: see `Examples`.
          other_moas: see `Examples`.

        Raises:
          InputError: the sizes differ.
        """
        count, num_genes = expression.shape
        return cls(
            expression=expression,
            has_expression=np.ones(count, bool),
            gene_mask=np.ones(num_genes, bool) if gene_mask is None else gene_mask,
            table=table.reset_index(drop=True),
            smiles=_known_or_none([None] * count if smiles is None else smiles),
            groups=tuple(groups),
            targets=((),) * count if targets is None else tuple(map(tuple, targets)),
            moas=moas,
            labels=np.zeros((count, len(moas)), np.float32) if labels is None else labels,
            bead_partners=bead_partners,
            other_moas=other_moas,
            actions=tuple(map(tuple, actions)),
        )

    @classmethod
    def of_structures(
        cls,
        smiles: Iterable[Any],
        table: pd.DataFrame,
        *,
        groups: Iterable[str],
        moas: tuple[str, ...],
        gene_mask: Bool[np.ndarray, " gene"],
        targets: Iterable[Iterable[str]] | None = None,
        actions: Iterable[Iterable[str]] = (),
        labels: Float32[np.ndarray, "example moa"] | None = None,
        other_moas: tuple[tuple[str, ...], ...] | None = None,
    ) -> Examples:
        """Examples that have only a structure; their expression is zero and masked.

        Args: see `of_signatures`; `gene_mask` marks the genes measured in the signatures that
        these examples are used with.

        Raises:
          InputError: the sizes differ.
        """
        signatures = cls.of_signatures(
            np.zeros((len(table), len(gene_mask)), np.float32),
            table,
            groups=groups,
            moas=moas,
            smiles=smiles,
            targets=targets,
            actions=actions,
            labels=labels,
            gene_mask=gene_mask,
            other_moas=other_moas,
        )
        return dataclasses.replace(signatures, has_expression=np.zeros(len(table), bool))

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(self.table)

    @property
    def has_structure(self) -> Bool[np.ndarray, " example"]:
        """The example's structure is known."""
        return np.array([smiles is not None for smiles in self.smiles], bool)

    @property
    def has_other_moas(self) -> Bool[np.ndarray, " example"]:
        """The example's compound has a known mechanism outside the vocabulary."""
        if self.other_moas is None:
            return np.zeros(self.num_examples, bool)
        return np.array([len(names) > 0 for names in self.other_moas], bool)

    def take(self, rows: Int[np.ndarray, " row"]) -> Examples:
        """The examples of the given rows, in their order."""
        return dataclasses.replace(
            self,
            expression=self.expression[rows],
            has_expression=self.has_expression[rows],
            table=self.table.iloc[rows].reset_index(drop=True),
            smiles=tuple(self.smiles[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
            targets=tuple(self.targets[row] for row in rows),
            actions=tuple(self.actions[row] for row in rows),
            labels=self.labels[rows],
            other_moas=None
            if self.other_moas is None
            else tuple(self.other_moas[row] for row in rows),
        )


def _known_or_none(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values, with None for those that pandas treats as missing."""
    return tuple(None if pd.isna(value) else value for value in values)


def concatenate(first: Examples, second: Examples) -> Examples:
    """The examples of `first`, then those of `second`.

    Raises:
      InputError: their vocabularies or measured genes differ.
    """
    if first.moas != second.moas or not np.array_equal(first.gene_mask, second.gene_mask):
        raise InputError("sets of examples with different MoAs or genes cannot be joined.")
    # An empty table is left out, because it would change the columns' dtypes.
    tables = [examples.table for examples in (first, second) if examples.num_examples]
    return dataclasses.replace(
        first,
        expression=np.concatenate([first.expression, second.expression]),
        has_expression=np.concatenate([first.has_expression, second.has_expression]),
        table=pd.concat(tables, ignore_index=True) if tables else first.table,
        smiles=first.smiles + second.smiles,
        groups=first.groups + second.groups,
        targets=first.targets + second.targets,
        actions=first.actions + second.actions,
        labels=np.concatenate([first.labels, second.labels]),
        other_moas=_joined_moas(first, second),
    )


def _joined_moas(first: Examples, second: Examples) -> tuple[tuple[str, ...], ...] | None:
    if first.other_moas is None and second.other_moas is None:
        return None
    both = ()
    for examples in (first, second):
        both += examples.other_moas or ((),) * examples.num_examples
    return both
