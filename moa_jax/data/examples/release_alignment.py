"""Signatures of one release made comparable with those of another, for tests across releases.

Releases differ in their genes, in how they spell MoAs and in the scale of their values: z-scores,
signed counts of a consensus, Stouffer's z with heavy tails. Each signature is brought to the other
release on its own, so that its prediction does not depend on what else is tested.
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

# Where the makers of the LINCS 2020 signatures clip them, and cmapM the z-scores of replicates.
MAX_VALUE = 10.0


def align_examples(
    dataset: PreparedDataset,
    like: Examples,
    genes_like: pd.DataFrame,
) -> Examples:
    """Labelled signatures of another release on the genes, MoAs and scale of `like`.

    MoAs that differ in case alone are the same; others that `like` does not have are dropped, and
    signatures that are left without MoA with them. How many stay and why others do not is printed.
    Compounds that both releases have stay: who trains on `like` has to remove them.

    Args:
      dataset: the other release.
      like: examples of the release whose genes, MoAs and scale are taken.
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
            f"the gene table has {len(genes_like)} rows, but the examples {len(like.gene_mask)} "
            "genes; expected as many."
        )
    rows, joined = labelled_signatures(dataset)
    labels = label_matrix(list(joined["moas"]), like.moas, any_case=True)
    labelled = np.flatnonzero(labels.any(axis=1))
    _say_counts(dataset, joined, joined.iloc[labelled], like)
    rows, joined, labels = rows[labelled], joined.iloc[labelled], labels[labelled]
    expression, gene_mask = _on_genes(dataset, finite_expression(dataset, rows), like, genes_like)
    return Examples.of_signatures(
        _scaled(expression, like, gene_mask),
        dataset.signatures.table.iloc[rows][list(SIGNATURE_COLUMNS)],
        groups=joined["compound_group"],
        moas=like.moas,
        smiles=joined["smiles"],
        targets=joined["targets"],
        labels=labels,
        gene_mask=gene_mask,
    )


def _say_counts(
    dataset: PreparedDataset, candidates: pd.DataFrame, kept: pd.DataFrame, like: Examples
) -> None:
    """Says what stays of the other release; refuses it where nothing does."""
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
    """Values in the order of `genes_like`, zero where not measured; and which are measured."""
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
    """Each row times the factor that gives it the median root mean square of `like`, clipped.

    Both are taken over the genes that both releases measured. A row of zeros stays.
    """
    typical = np.median(root_mean_square(like.expression[like.has_expression][:, measured]))
    size = root_mean_square(expression[:, measured])
    factor = np.divide(typical, size, out=np.zeros_like(size), where=size > 0)
    scaled = np.clip(expression * factor[:, None], -MAX_VALUE, MAX_VALUE)
    return scaled.astype(np.float32)


def root_mean_square(rows: Float32[np.ndarray, "row gene"]) -> Float[np.ndarray, " row"]:
    """Root mean square of each row."""
    return np.sqrt((rows.astype(np.float64) ** 2).mean(axis=1))
