"""Examples from a prepared dataset: labelled signatures and structure-only compounds."""

from __future__ import annotations

import collections

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Int

from moa_jax.compounds.actions import joined_actions
from moa_jax.compounds.identity import compound_groups
from moa_jax.data.examples.bead_pairs import bead_partners
from moa_jax.data.examples.labels import (
    FREQUENT,
    OPEN,
    frequent_vocabulary,
    label_matrix,
    names_outside,
    open_vocabulary,
)
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.schemas import SIGNATURE_COLUMNS, Examples, InputError


def build_examples(
    dataset: PreparedDataset,
    *,
    vocabulary: str = FREQUENT,
    min_compounds: int = 5,
) -> Examples:
    """Labelled signatures of compounds with structure, over a vocabulary of MoAs.

    In the open vocabulary, MoAs that differ only in case are the same.

    Args:
      dataset: a prepared dataset.
      vocabulary: `open`: every MoA of a compound with a labelled signature or a structure;
        `frequent`: those of at least `min_compounds` compound groups among the labelled
        signatures.
      min_compounds: see `vocabulary`.

    Returns:
      One example per signature whose compound has an MoA of the vocabulary, in the order of
      the signatures.

    Raises:
      InputError: there is no such vocabulary, no MoA has enough compounds, a compound has no
        group, or a signature has a value that is not finite.
    """
    candidates, joined = labelled_signatures(dataset)
    if vocabulary == OPEN:
        moas = open_vocabulary(dataset.compounds.table, joined)
    elif vocabulary == FREQUENT:
        moas = frequent_vocabulary(joined, min_compounds)
    else:
        raise InputError(f"the vocabulary is {vocabulary!r}, expected {OPEN} or {FREQUENT}.")
    labels = label_matrix(list(joined["moas"]), moas, any_case=vocabulary == OPEN)
    labelled = np.flatnonzero(labels.any(axis=1))
    rows, joined = candidates[labelled], joined.iloc[labelled]
    return Examples.of_signatures(
        finite_expression(dataset, rows),
        dataset.signatures.table.iloc[rows][list(SIGNATURE_COLUMNS)],
        groups=joined["compound_group"],
        moas=moas,
        smiles=joined["smiles"],
        targets=joined["targets"],
        actions=joined["actions"],
        labels=labels[labelled],
        bead_partners=bead_partners(dataset.signatures.genes),
        other_moas=names_outside(joined["moas"], moas),
    )


def labelled_signatures(
    dataset: PreparedDataset,
) -> tuple[Int[np.ndarray, " row"], pd.DataFrame]:
    """Signatures whose compound has an MoA and a structure.

    Returns:
      Their rows among the dataset's signatures, ascending, and the matching compound rows.

    Raises:
      InputError: a compound has no group.
    """
    compounds = dataset.compounds.table.set_index("pert_id")
    joined = compounds.reindex(dataset.signatures.table["pert_id"].to_numpy())
    # `reindex` gives missing values for compounds that are not in the table.
    usable = np.array([isinstance(moas, tuple) and len(moas) > 0 for moas in joined["moas"]], bool)
    usable &= joined["smiles"].notna().to_numpy()
    rows = np.flatnonzero(usable)
    joined = joined.iloc[rows]
    if joined["compound_group"].isna().any():
        culprit = joined.index[joined["compound_group"].isna()][0]
        raise InputError(f"the compound table gives {culprit} no compound_group.")
    return rows, joined


def structure_only_compounds(dataset: PreparedDataset, examples: Examples) -> Examples:
    """Labelled structures without signatures, over the vocabulary of `examples`.

    Compounds that share a compound group, an InChIKey block or a name with a compound of
    `examples` are left out. So `examples` must be all examples before splitting: with the training
    part only, structures of the test part would be returned.

    Args:
      dataset: the dataset of the examples.
      examples: output of `build_examples`.

    Returns:
      One example per compound group and distinct SMILES whose compound has an MoA of the
      vocabulary, in the order of the compound table. Its `sig_id` is `structure:<pert_id>`; its
      expression is zero and masked; cell line, dose and time are missing.
    """
    table = dataset.compounds.table
    usable = ~are_compounds_of(examples, table)
    usable &= table["smiles"].notna() & table["compound_group"].notna()
    table = table[usable].reset_index(drop=True)
    labels = label_matrix(list(table["moas"]), examples.moas, any_case=True)
    rows_of = collections.defaultdict(list)
    for row in np.flatnonzero(labels.any(axis=1)).tolist():
        rows_of[table["compound_group"][row], table["smiles"][row]].append(row)
    known = [
        joined_actions(table["targets"].iloc[rows], table["actions"].iloc[rows])
        for rows in rows_of.values()
    ]
    table = table.iloc[[rows[0] for rows in rows_of.values()]].reset_index(drop=True)
    merged = [labels[rows].max(axis=0) for rows in rows_of.values()]
    return Examples.of_structures(
        table["smiles"],
        table_of_structures(table, examples.table),
        groups=table["compound_group"],
        moas=examples.moas,
        gene_mask=examples.gene_mask,
        targets=[actions.keys() for actions in known],
        actions=[actions.values() for actions in known],
        labels=np.array(merged, np.float32).reshape(-1, len(examples.moas)),
        other_moas=names_outside(table["moas"], examples.moas),
    )


def of_other_groups(examples: Examples, known: Examples) -> Bool[np.ndarray, " example"]:
    """Whether each example's compound group is absent from the known examples."""
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
    """`SIGNATURE_COLUMNS` of compounds without signatures, with the types of `like`."""
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
