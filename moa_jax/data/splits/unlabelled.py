"""Signatures and structures without a label of the vocabulary, which may be learned from, too."""

from __future__ import annotations

import numpy as np
import pandas as pd

from moa_jax.data.examples.build import are_compounds_of, finite_expression, table_of_structures
from moa_jax.data.examples.labels import names_outside
from moa_jax.data.splits.leaks import without_leaks
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.schemas import SIGNATURE_COLUMNS, Examples, Split, concatenate


def unlabelled_part(
    dataset: PreparedDataset, split: Split, examples: Examples, *, transductive: bool
) -> Examples:
    """What may be learned from beside the training part of a split.

    Args:
      dataset: where the examples come from.
      split: the parts.
      examples: all examples that were split.
      transductive: add the structures of all examples, those of the validation and test part
        among them, for pretraining. Results are then transductive: the structures that are
        predicted for, though neither their expression nor their MoAs, took part in making the
        model.

    Returns:
      Unlabelled signatures and structures that share nothing with other parts than the training
      part that the split keeps apart; where it is transductive, also structures of held-out
      compounds, without anything else of them.
    """
    unlabelled = without_leaks(split, examples, unlabelled_examples(dataset, examples))
    return (
        concatenate(unlabelled, structure_only_examples(examples)) if transductive else unlabelled
    )


def unlabelled_examples(dataset: PreparedDataset, examples: Examples) -> Examples:
    """All signatures and structures of a dataset whose compounds are not among the examples.

    Whatever shares a compound group, an InChIKey block or a name with a compound of `examples` is
    that compound, and left out. So `examples` must be all examples that are divided into parts:
    given the training part alone, signatures of the test part's compounds would come back here.
    `leaks.without_leaks` then leaves out what shares anything else that a split keeps apart, such
    as the scaffold of a test compound. Signatures whose compound the compound table lacks are
    left out, too: nobody can tell whether it is a test compound.

    Args:
      dataset: where the examples come from.
      examples: what `build_examples` returned.

    Returns:
      The signatures in the dataset's order, then one example without expression for each compound
      group and SMILES that has no signature, in the order of the compound table. Labels are
      zeros; a mechanism that the vocabulary lacks is among `other_moas`.
    """
    compounds = dataset.compounds.table
    known = compounds["compound_group"].notna()
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
        gene_mask=examples.gene_mask,
        other_moas=names_outside(joined["moas"], examples.moas),
    )
    unmeasured = ~compounds["compound_group"].isin(set(joined["compound_group"]))
    alone = compounds[unmeasured & compounds["smiles"].notna()]
    alone = alone.drop_duplicates(["compound_group", "smiles"]).reset_index(drop=True)
    return concatenate(signatures, _without_expression(alone, examples))


def structure_only_examples(examples: Examples) -> Examples:
    """The structures of examples without their expression, conditions and labels.

    For transductive pretraining: the structures of held-out compounds are looked at, and nothing
    else of them.
    """
    known = [row for row, smiles in enumerate(examples.smiles) if smiles is not None]
    compounds = pd.DataFrame(
        {
            "pert_id": examples.table["pert_id"].to_numpy()[known],
            "compound": examples.table["compound"].to_numpy()[known],
            "compound_group": [examples.groups[row] for row in known],
            "smiles": [examples.smiles[row] for row in known],
            "targets": [()] * len(known),
            "moas": [()] * len(known),
        }
    )
    distinct = compounds.drop_duplicates(["compound_group", "smiles"]).reset_index(drop=True)
    return _without_expression(distinct, examples)


def _without_expression(compounds: pd.DataFrame, like: Examples) -> Examples:
    """One example per compound, with its structure alone, over the genes and MoAs of `like`."""
    return Examples.of_structures(
        compounds["smiles"],
        table_of_structures(compounds, like.table),
        groups=compounds["compound_group"],
        moas=like.moas,
        gene_mask=like.gene_mask,
        targets=compounds["targets"],
        other_moas=names_outside(compounds["moas"], like.moas),
    )
