"""Aligns signatures of one release with those of another, for tests across releases.

Releases differ in genes, spelling of MoAs and scale: z-scores, signed counts of a consensus,
Stouffer's z with heavy tails. Each signature is aligned separately, so that its prediction does not
depend on the other test signatures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32

from moa_jax.data.examples.build import finite_expression, labelled_signatures
from moa_jax.data.examples.labels import label_matrix
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.progress import say
from moa_jax.schemas import SIGNATURE_COLUMNS, Examples, InputError

# Clipping of LINCS 2020's signatures, and of cmapM's replicate z-scores.
MAX_VALUE = 10.0


def align_examples(
    dataset: PreparedDataset,
    like: Examples,
    genes_like: pd.DataFrame,
) -> Examples:
    """Labelled signatures of another release with the genes, MoAs and scale of `like`.

    MoAs are matched ignoring case; MoAs that `like` lacks, and signatures without a matched MoA,
    are dropped. Counts are printed. Compounds in both releases are kept: training on `like` must
    exclude them.

    Args:
      dataset: the other release.
      like: examples of the release to align with.
      genes_like: `GENE_COLUMNS` of the genes of `like`.

    Returns:
      One example per signature, in the order of the dataset. `gene_mask` is false, and expression
      zero, for genes that either release lacks.

    Raises:
      InputError: the releases share no gene or no labelled signature, `genes_like` is not that of
        `like`, or a value is not finite.
    """
    if len(genes_like) != len(like.gene_mask):
        raise InputError(
            f"the gene table has {len(genes_like)} rows, but the examples have "
            f"{len(like.gene_mask)} genes."
        )
    rows, joined = labelled_signatures(dataset)
    labels = label_matrix(list(joined["moas"]), like.moas, any_case=True)
    labelled = np.flatnonzero(labels.any(axis=1))
    _report_counts(dataset, joined, joined.iloc[labelled], like)
    rows, joined, labels = rows[labelled], joined.iloc[labelled], labels[labelled]
    expression, gene_mask = _on_genes(dataset, finite_expression(dataset, rows), like, genes_like)
    return Examples.of_signatures(
        _scaled(expression, like, gene_mask),
        dataset.signatures.table.iloc[rows][list(SIGNATURE_COLUMNS)],
        groups=joined["compound_group"],
        moas=like.moas,
        smiles=joined["smiles"],
        targets=joined["targets"],
        actions=joined["actions"],
        labels=labels,
        gene_mask=gene_mask,
    )


def _report_counts(
    dataset: PreparedDataset, candidates: pd.DataFrame, kept: pd.DataFrame, like: Examples
) -> None:
    """Prints how much of the other release is kept; refuses it if that is nothing."""
    name = str(dataset.manifest.get("release", "the other release"))
    if not len(kept):
        raise InputError(
            f"{name} has no signature of a compound with one of the {len(like.moas)} MoAs, such "
            f"as {like.moas[0]}; {len(candidates)} of its signatures are labelled."
        )
    say(
        f"{name}: {len(kept)} signatures of {kept['compound_group'].nunique()} compounds have one "
        f"of the {len(like.moas)} MoAs; left out: {len(candidates) - len(kept)} with other MoAs, "
        f"{len(dataset.signatures.table) - len(candidates)} without MoA or structure"
    )


def _on_genes(
    dataset: PreparedDataset,
    expression: Float32[np.ndarray, "row their_gene"],
    like: Examples,
    genes_like: pd.DataFrame,
) -> tuple[Float32[np.ndarray, "row gene"], Bool[np.ndarray, " gene"]]:
    """Values in the order of `genes_like`, zero where not measured, and the mask of genes."""
    theirs = pd.Index(dataset.signatures.genes["entrez_id"])
    places = theirs.get_indexer(genes_like["entrez_id"])
    measured = (places >= 0) & like.gene_mask
    if not measured.any():
        raise InputError(
            f"the two releases share none of their {len(theirs)} and {len(genes_like)} genes."
        )
    values = np.where(measured, expression[:, np.where(measured, places, 0)], np.float32(0))
    return values, measured


def _scaled(
    expression: Float32[np.ndarray, "row gene"],
    like: Examples,
    measured: Bool[np.ndarray, " gene"],
) -> Float32[np.ndarray, "row gene"]:
    """Scales each row to the median root mean square of `like`, then clips it.

    Uses the genes measured in both releases. A row of zeros is unchanged.
    """
    typical = np.median(root_mean_square(like.expression[like.has_expression][:, measured]))
    size = root_mean_square(expression[:, measured])
    factor = np.divide(typical, size, out=np.zeros_like(size), where=size > 0)
    scaled = np.clip(expression * factor[:, None], -MAX_VALUE, MAX_VALUE)
    return scaled.astype(np.float32)


def root_mean_square(rows: Float32[np.ndarray, "row gene"]) -> Float[np.ndarray, " row"]:
    """Root mean square of each row."""
    return np.sqrt((rows.astype(np.float64) ** 2).mean(axis=1))
