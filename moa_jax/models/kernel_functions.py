"""Kernels of signatures and structures, and the representations of signatures that they compare."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

# Thresholds at which counts of a substructure are distinguished.
COUNT_LEVELS = (1, 2, 4)


def signature_kernel(
    signatures: Float[Array, "m gene"],
    gene_mask: Bool[Array, "m gene"],
    references: Float[Array, "n gene"],
    *,
    width: float,
) -> Float[Array, "m n"]:
    """`exp(width * (cosine - 1))` of every signature with every reference.

    A Gaussian kernel on the unit sphere. The cosine is over a signature's measured genes; without
    any it is 0.
    """
    signatures = jnp.where(gene_mask, signatures, 0.0)
    mask = gene_mask.astype(references.dtype)
    product = jnp.matmul(signatures, references.T, precision="highest")
    squares = jnp.sum(signatures**2, axis=1)[:, None] * jnp.matmul(
        mask, (references**2).T, precision="highest"
    )
    known = squares > 0
    cosine = jnp.where(known, product, 0.0) / jnp.sqrt(jnp.where(known, squares, 1.0))
    return jnp.exp(width * (cosine - 1.0))


def structure_kernel(
    counts: UInt8[Array, "m substructure"],
    references: UInt8[Array, "n substructure"],
    *,
    views: tuple[int, ...],
) -> Float[Array, "m n"]:
    """Tanimoto similarity of substructure counts, averaged over views.

    Sum of the smaller over sum of the larger counts (Ralaivola 2005, MinMax kernel), after rounding
    counts down to `COUNT_LEVELS`; 0 in a view in which neither has a substructure.

    Args:
      counts: substructure counts.
      references: counts of the references.
      views: numbers of columns of the views, in order.
    """
    total, start = 0.0, 0
    for size in views:
        columns = slice(start, start + size)
        ours, theirs = _by_level(counts[:, columns]), _by_level(references[:, columns])
        # Summed over the levels, the products count the smaller of two counts.
        shared = sum(
            jnp.matmul(own, other.T, precision="highest")
            for own, other in zip(ours, theirs, strict=True)
        )
        number, of_references = (sum(own.sum(axis=1) for own in each) for each in (ours, theirs))
        either = number[:, None] + of_references[None, :] - shared
        total += shared / jnp.maximum(either, 1.0)
        start += size
    return total / len(views)


def _by_level(counts: UInt8[Array, "m column"]) -> list[Float[Array, "m column"]]:
    """For each level, 1 where a count reaches it."""
    return [(counts >= level).astype(jnp.float32) for level in COUNT_LEVELS]


def centred(
    expression: Float[Array, "batch gene"],
    cell_line: Int[Array, " batch"],
    gene_scale: Float[Array, " gene"],
    offsets: Float[Array, "cell_line gene"],
) -> Float[Array, "batch gene"]:
    """Signatures minus the mean of their cell line, in the units of the release.

    Args:
      expression: standardised signatures.
      cell_line: row of the vocabulary.
      gene_scale: standard deviations by which the genes were divided.
      offsets: mean standardised signature of each cell line of the vocabulary.
    """
    return (expression - offsets[cell_line]) * gene_scale


def with_shrunk_bead_differences(
    signatures: Float[Array, "m gene"],
    gene_mask: Bool[Array, "m gene"],
    bead_partners: Int[Array, " gene"],
    bead_difference: Float[Array, ""],
) -> Float[Array, "m gene"]:
    """Signatures with smaller differences between the two genes of a bead, and the same sums.

    The two genes of a bead colour are measured together and separated by the sizes of their peaks
    (Subramanian 2017). If that fails, they exchange their values: the sum is right and the
    difference has the wrong sign. A gene without a measured partner does not change.

    Args:
      signatures: signatures in the units of the release.
      gene_mask: whether the gene was measured.
      bead_partners: column of the other gene of the bead; its own if there is none.
      bead_difference: factor of the differences; 1 changes nothing, 0 makes both genes equal, and
        `1 / d` reverts `d`.
    """
    partner = jnp.where(gene_mask[:, bead_partners], signatures[:, bead_partners], signatures)
    return 0.5 * (1.0 + bead_difference) * signatures + 0.5 * (1.0 - bead_difference) * partner


def node_activity(
    signatures: Float[Array, "m gene"],
    gene_mask: Bool[Array, "m gene"],
    propagation: Float[Array, "gene node"],
    *,
    num_genes: int,
    term_share: float,
) -> Float[Array, "m node"]:
    """Activity of every node of the graph in every signature, with weights for genes and terms.

    The signature times the propagation matrix. Genes are weighted by `sqrt(1 - term_share)` over
    the square root of their number, terms likewise by `sqrt(term_share)`; the common scale is
    arbitrary, because only cosines between activities are used. With an identity matrix and no
    terms the activities are the signatures.

    Args:
      signatures: centred signatures.
      gene_mask: whether the gene was measured; others count as unchanged.
      propagation: contribution of a unit of each measured gene to each node.
      num_genes: number of gene nodes, which come first.
      term_share: weight of the terms among all nodes, from 0 to 1.
    """
    # The only product with the matrix: explanations over nodes replace its result.
    activity = jnp.matmul(jnp.where(gene_mask, signatures, 0.0), propagation, precision="highest")
    num_terms = propagation.shape[1] - num_genes
    if num_terms == 0:
        return activity
    of_terms = jnp.sqrt(term_share * num_genes / num_terms)
    is_gene = jnp.arange(num_genes + num_terms) < num_genes
    return activity * jnp.where(is_gene, jnp.sqrt(1.0 - term_share), of_terms)
