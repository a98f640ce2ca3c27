"""Signatures and structures without a label of the vocabulary, as additional training data."""

from __future__ import annotations

import ml_collections
import numpy as np
import pandas as pd

from moa_jax.data.examples.build import are_compounds_of, finite_expression, table_of_structures
from moa_jax.data.examples.labels import names_outside
from moa_jax.data.splits.leaks import without_leaks
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.schemas import (
    LIGANDS,
    RELEASE,
    SIGNATURE_COLUMNS,
    STRUCTURE_ONLY,
    Examples,
    Split,
    concatenate,
)

# Sources of compounds with a table of labels: the release's own and that of structures.
LABELLED_SOURCES = frozenset({RELEASE, STRUCTURE_ONLY})


def training_sources(config: ml_collections.ConfigDict, *, structure_only: bool) -> frozenset[str]:
    """Sources of the compounds without a label that a configuration trains on.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      structure_only: use structure-only compounds.
    """
    used = {RELEASE: True, STRUCTURE_ONLY: structure_only, LIGANDS: config.ligands}
    return frozenset(source for source, is_used in used.items() if is_used)


def unlabelled_part(
    dataset: PreparedDataset,
    split: Split,
    examples: Examples,
    *,
    sources: frozenset[str],
    transductive: bool,
) -> Examples:
    """Unlabelled training examples of a split.

    Args:
      dataset: the dataset of the examples.
      split: the parts.
      examples: all examples of the split.
      sources: see `unlabelled_examples`.
      transductive: add the structures of all examples, including the validation and test part, for
        pretraining. Results are then transductive: the model has seen the structures of the test
        compounds, but neither their expression nor their MoAs.

    Returns:
      Unlabelled signatures and structures that do not leak into other parts; if transductive, also
      the structures of held-out compounds.
    """
    additional = unlabelled_examples(dataset, examples, sources)
    unlabelled = without_leaks(split, examples, additional)
    return (
        concatenate(unlabelled, structure_only_examples(examples)) if transductive else unlabelled
    )


def unlabelled_examples(
    dataset: PreparedDataset, examples: Examples, sources: frozenset[str]
) -> Examples:
    """All signatures and structures of a dataset whose compounds are not among the examples.

    Compounds that share a compound group, an InChIKey block or a name with a compound of
    `examples` are left out. So `examples` must be all examples before splitting: with the training
    part only, signatures of the test part's compounds would be returned. `leaks.without_leaks`
    then removes other leaks, such as the scaffold of a test compound. Signatures of compounds that
    are not in the compound table are left out, since they may be test compounds.

    Args:
      dataset: the dataset of the examples.
      examples: output of `build_examples`.
      sources: sources of the compounds (`Compounds.table`), of which `training_sources` says which
        a configuration uses.

    Returns:
      The signatures in the dataset's order, then one example without expression for each compound
      group and SMILES without signature, in the order of the compound table. Labels are zeros;
      mechanisms outside the vocabulary are in `other_moas`.
    """
    compounds = dataset.compounds.table
    known = compounds["compound_group"].notna()
    known &= compounds["source"].isin(sources)
    compounds = compounds[~are_compounds_of(examples, compounds) & known]
    joined = compounds.set_index("pert_id").reindex(dataset.signatures.table["pert_id"].to_numpy())
    rows = np.flatnonzero(joined["compound_group"].notna())
    joined = joined.iloc[rows]
    signatures = Examples.of_signatures(
        finite_expression(dataset, rows),
        dataset.signatures.table.iloc[rows][list(SIGNATURE_COLUMNS)],
        groups=joined["compound_group"],
        moas=examples.moas,
        smiles=joined["smiles"],
        targets=joined["targets"],
        actions=joined["actions"],
        gene_mask=examples.gene_mask,
        other_moas=names_outside(joined["moas"], examples.moas),
    )
    unmeasured = ~compounds["compound_group"].isin(set(joined["compound_group"]))
    structures = compounds[unmeasured & compounds["smiles"].notna()]
    structures = structures.drop_duplicates(["compound_group", "smiles"]).reset_index(drop=True)
    return concatenate(signatures, _without_expression(structures, examples))


def structure_only_examples(examples: Examples) -> Examples:
    """The structures of examples without their expression, conditions, targets and labels.

    For transductive pretraining, which uses only the structures of held-out compounds.
    """
    known = [row for row, smiles in enumerate(examples.smiles) if smiles is not None]
    compounds = pd.DataFrame(
        {
            "pert_id": examples.table["pert_id"].to_numpy()[known],
            "compound": examples.table["compound"].to_numpy()[known],
            "compound_group": [examples.groups[row] for row in known],
            "smiles": [examples.smiles[row] for row in known],
            "targets": [()] * len(known),
            "actions": [()] * len(known),
            "moas": [()] * len(known),
        }
    )
    distinct = compounds.drop_duplicates(["compound_group", "smiles"]).reset_index(drop=True)
    return _without_expression(distinct, examples)


def _without_expression(compounds: pd.DataFrame, like: Examples) -> Examples:
    """One structure-only example per compound, over the genes and MoAs of `like`."""
    return Examples.of_structures(
        compounds["smiles"],
        table_of_structures(compounds, like.table),
        groups=compounds["compound_group"],
        moas=like.moas,
        gene_mask=like.gene_mask,
        targets=compounds["targets"],
        actions=compounds["actions"],
        other_moas=names_outside(compounds["moas"], like.moas),
    )
