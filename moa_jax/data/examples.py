"""Examples: what every method of the house sees, made from a prepared dataset.

An example is one signature with its compound's structure and labels. The vocabulary of MoAs
is fixed here, before any split, so that all folds and methods answer the same question. It is
`open`, every mechanism that a compound to learn from has, or `frequent`, those that enough
measured compounds have.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Int, Int32

from moa_jax.compounds.identity import compound_groups
from moa_jax.data.bead_pairs import bead_partners
from moa_jax.data.labels import label_matrix
from moa_jax.data.prepared import PreparedDataset
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError, require_columns

OPEN, FREQUENT = "open", "frequent"
VOCABULARIES = (OPEN, FREQUENT)


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
      bead_partners: see `bead_pairs.bead_partners`; None where nothing is known of beads.
      other_moas: known mechanisms of each example's compound that the vocabulary lacks; None
        where there are none.
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

    def __post_init__(self) -> None:
        require_columns(self.table, SIGNATURE_COLUMNS, "the examples' table")
        expected = {
            "expression": ((len(self.table), len(self.gene_mask)), self.expression.shape),
            "has_expression": ((len(self.table),), self.has_expression.shape),
            "labels": ((len(self.table), len(self.moas)), self.labels.shape),
            "smiles": (len(self.table), len(self.smiles)),
            "groups": (len(self.table), len(self.groups)),
            "targets": (len(self.table), len(self.targets)),
        }
        if self.other_moas is not None:
            expected["other_moas"] = (len(self.table), len(self.other_moas))
        if self.bead_partners is not None:
            expected["bead_partners"] = (len(self.gene_mask), len(self.bead_partners))
        for name, (wanted, found) in expected.items():
            if wanted != found:
                raise InputError(f"the examples' {name} has size {found}, expected {wanted}.")

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
        """The example's compound has a known mechanism that the vocabulary lacks."""
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
            labels=self.labels[rows],
            other_moas=None
            if self.other_moas is None
            else tuple(self.other_moas[row] for row in rows),
        )


def concatenate(first: Examples, second: Examples) -> Examples:
    """The examples of `first`, then those of `second`.

    Raises:
      InputError: the two have other vocabularies or measured genes.
    """
    if first.moas != second.moas or not np.array_equal(first.gene_mask, second.gene_mask):
        raise InputError("two sets of examples with other MoAs or genes cannot be joined.")
    # pandas infers another dtype for a column from an empty table, so that is left out.
    tables = [examples.table for examples in (first, second) if examples.num_examples]
    return dataclasses.replace(
        first,
        expression=np.concatenate([first.expression, second.expression]),
        has_expression=np.concatenate([first.has_expression, second.has_expression]),
        table=pd.concat(tables, ignore_index=True) if tables else first.table,
        smiles=first.smiles + second.smiles,
        groups=first.groups + second.groups,
        targets=first.targets + second.targets,
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


def build_examples(
    dataset: PreparedDataset,
    *,
    vocabulary: str = FREQUENT,
    min_compounds: int = 5,
    require_structure: bool = True,
) -> Examples:
    """Labelled signatures of a dataset over a vocabulary of MoAs.

    In the open vocabulary names of MoAs that differ in case alone are one mechanism.

    Args:
      dataset: what was prepared.
      vocabulary: `open`: every MoA of a compound that can be learned from, by signature or by
        structure; `frequent`: those that at least `min_compounds` compound groups among the
        labelled signatures have.
      min_compounds: see `vocabulary`.
      require_structure: leave out signatures whose compound has no structure.

    Returns:
      One example per signature whose compound has an MoA of the vocabulary, in the order of
      the signatures.

    Raises:
      InputError: there is no such vocabulary, no MoA has enough compounds, a compound has no
        group, or a signature holds a value that is not finite.
    """
    candidates, joined = labelled_signatures(dataset, require_structure=require_structure)
    if vocabulary == OPEN:
        moas = _open_vocabulary(dataset, joined)
    elif vocabulary == FREQUENT:
        moas = _frequent_vocabulary(joined, min_compounds)
    else:
        raise InputError(
            f"the vocabulary is {vocabulary!r}; it must be one of {', '.join(VOCABULARIES)}."
        )
    labels = label_matrix(list(joined["moas"]), moas, any_case=vocabulary == OPEN)
    labelled = np.flatnonzero(labels.any(axis=1))
    rows, joined = candidates[labelled], joined.iloc[labelled]
    return Examples(
        expression=finite_expression(dataset, rows),
        has_expression=np.ones(len(rows), bool),
        gene_mask=np.ones(dataset.signatures.num_genes, bool),
        table=dataset.signatures.table.iloc[rows][list(SIGNATURE_COLUMNS)].reset_index(drop=True),
        smiles=tuple(None if pd.isna(smiles) else smiles for smiles in joined["smiles"]),
        groups=tuple(joined["compound_group"]),
        targets=tuple(joined["targets"]),
        moas=moas,
        labels=labels[labelled],
        bead_partners=bead_partners(dataset.signatures.genes),
        other_moas=names_outside(joined["moas"], moas),
    )


def labelled_signatures(
    dataset: PreparedDataset, *, require_structure: bool
) -> tuple[Int[np.ndarray, " row"], pd.DataFrame]:
    """Signatures whose compound has an MoA.

    Args:
      dataset: what was prepared.
      require_structure: leave out signatures whose compound has no structure.

    Returns:
      Their rows among the dataset's signatures, ascending, and as many rows of the compound table.

    Raises:
      InputError: a compound has no group.
    """
    compounds = dataset.compounds.table.set_index("pert_id")
    joined = compounds.reindex(dataset.signatures.table["pert_id"].to_numpy())
    # Signatures of compounds that the table lacks come out of `reindex` as missing.
    usable = np.array([isinstance(moas, tuple) and len(moas) > 0 for moas in joined["moas"]], bool)
    if require_structure:
        usable &= joined["smiles"].notna().to_numpy()
    rows = np.flatnonzero(usable)
    joined = joined.iloc[rows]
    if joined["compound_group"].isna().any():
        culprit = joined.index[joined["compound_group"].isna()][0]
        raise InputError(f"the compound table gives {culprit} no compound_group.")
    return rows, joined


def further_structures(dataset: PreparedDataset, examples: Examples) -> Examples:
    """Labelled structures without signature, over the vocabulary of `examples`.

    Whatever shares a compound group, an InChIKey block or a name with a compound of `examples` is
    that compound, and left out. So `examples` must be all examples that are divided into parts:
    given the training part alone, the structures of the test part would come back here.

    Args:
      dataset: where the examples come from.
      examples: what `build_examples` returned.

    Returns:
      One example per compound group and distinct SMILES whose compound has an MoA of the
      vocabulary, in the order of the compound table. Its `sig_id` is `structure:<pert_id>`; its
      expression is zero and not to be read; cell line, dose and time are missing.
    """
    table = dataset.compounds.table
    usable = ~are_compounds_of(examples, table)
    usable &= table["smiles"].notna() & table["compound_group"].notna()
    table = table[usable].reset_index(drop=True)
    labels = label_matrix(list(table["moas"]), examples.moas, any_case=True)
    rows_of = collections.defaultdict(list)
    for row in np.flatnonzero(labels.any(axis=1)).tolist():
        rows_of[table["compound_group"][row], table["smiles"][row]].append(row)
    targets = [sorted(set().union(*table["targets"][rows])) for rows in rows_of.values()]
    table = table.iloc[[rows[0] for rows in rows_of.values()]].reset_index(drop=True)
    count = len(table)
    merged = [labels[rows].max(axis=0) for rows in rows_of.values()]
    return Examples(
        expression=np.zeros((count, len(examples.gene_mask)), np.float32),
        has_expression=np.zeros(count, bool),
        gene_mask=examples.gene_mask,
        table=table_of_structures(table, examples.table),
        smiles=tuple(table["smiles"]),
        groups=tuple(table["compound_group"]),
        targets=tuple(map(tuple, targets)),
        moas=examples.moas,
        labels=np.array(merged, np.float32).reshape(count, len(examples.moas)),
        other_moas=names_outside(table["moas"], examples.moas),
    )


def of_other_groups(examples: Examples, known: Examples) -> Bool[np.ndarray, " example"]:
    """Whether each example is of a compound group that no known example is of."""
    groups = set(known.groups)
    return np.array([group not in groups for group in examples.groups], bool)


def are_compounds_of(examples: Examples, compounds: pd.DataFrame) -> pd.Series:
    """Whether each row of a compound table shares a group, InChIKey block or name with examples."""
    measured = compounds["pert_id"].isin(set(examples.table["pert_id"]))
    measured |= compounds["compound_group"].isin(set(examples.groups))
    same = pd.Series(
        compound_groups(list(compounds["inchi_key"]), list(compounds["compound"])),
        index=compounds.index,
    )
    return same.isin(set(same[measured])) | measured


def table_of_structures(compounds: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """`SIGNATURE_COLUMNS` of compounds without signature, with the types of `like`."""
    known = {
        "sig_id": "structure:" + compounds["pert_id"],
        "pert_id": compounds["pert_id"],
        "compound": compounds["compound"],
    }
    columns = {}
    for name in SIGNATURE_COLUMNS:
        missing = np.nan if like[name].dtype.kind == "f" else None
        values = known.get(name, [missing] * len(compounds))
        columns[name] = pd.Series(values, dtype=like[name].dtype)
    return pd.DataFrame(columns)


def names_outside(
    names: Iterable[tuple[str, ...]], moas: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """The MoAs of each row that a vocabulary lacks, whatever their case."""
    known = {moa.casefold() for moa in moas}
    return tuple(tuple(name for name in row if name.casefold() not in known) for row in names)


def _open_vocabulary(dataset: PreparedDataset, joined: pd.DataFrame) -> tuple[str, ...]:
    """Sorted MoAs of the labelled signatures' compounds and of all structures.

    Of names that differ in case alone it is the one that most compounds have, measured ones
    first.
    """
    table = dataset.compounds.table
    structures = table[table["smiles"].notna()]
    found: collections.Counter[str] = collections.Counter()
    for compounds, weight in (
        (joined.drop_duplicates("compound_group"), len(table)),
        (structures, 1),
    ):
        for names in compounds["moas"]:
            found.update(dict.fromkeys(names, weight))
    by_name: dict[str, str] = {}
    for name, _ in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        by_name.setdefault(name.casefold(), name)
    if not by_name:
        raise InputError("no compound that could be learned from has an MoA.")
    return tuple(sorted(by_name.values()))


def _frequent_vocabulary(joined: pd.DataFrame, min_compounds: int) -> tuple[str, ...]:
    """Sorted MoAs that at least `min_compounds` compound groups have."""
    groups_of = collections.defaultdict(set)
    for group, names in zip(joined["compound_group"], joined["moas"], strict=True):
        for name in names:
            groups_of[name].add(group)
    moas = tuple(sorted(name for name, has in groups_of.items() if len(has) >= min_compounds))
    if not moas:
        raise InputError(
            f"no MoA has {min_compounds} compounds or more among the {len(joined)} labelled "
            f"signatures; the most frequent has {max(map(len, groups_of.values()), default=0)}."
        )
    return moas


def finite_expression(
    dataset: PreparedDataset, rows: Int[np.ndarray, " row"]
) -> Float32[np.ndarray, "row gene"]:
    """Expression of some of a dataset's signatures.

    Raises:
      InputError: a value is not finite.
    """
    expression = np.asarray(dataset.signatures.expression[rows], dtype=np.float32)
    finite = np.isfinite(expression)
    if not finite.all():
        row, gene = np.argwhere(~finite)[0]
        raise InputError(
            f"the signature {dataset.signatures.table['sig_id'].iloc[rows[row]]} has the value "
            f"{expression[row, gene]} for the gene "
            f"{dataset.signatures.genes['symbol'].iloc[gene]}; expected a finite number."
        )
    return expression


def strata(examples: Examples) -> Int[np.ndarray, " example"]:
    """One MoA per example for stratification and for one-class learners.

    Of an example's MoAs it is the one that most compound groups of `examples` have; of equally
    frequent ones the first of the vocabulary.

    Raises:
      InputError: an example has no label.
    """
    unlabelled = np.flatnonzero(~examples.labels.any(axis=1))
    if len(unlabelled):
        raise InputError(
            f"the signature {examples.table['sig_id'].iloc[unlabelled[0]]} has no label, "
            "so it belongs to no stratum."
        )
    _, unit = np.unique(np.asarray(examples.groups, dtype=str), return_inverse=True)
    carries = np.zeros((unit.max(initial=-1) + 1, len(examples.moas)), bool)
    np.logical_or.at(carries, unit, examples.labels > 0)
    num_compounds = carries.sum(axis=0)
    return np.where(examples.labels > 0, num_compounds, -1).argmax(axis=1)
