"""Experts that compare an example with reference examples whose MoAs are known.

Each is kernel ridge regression (Saunders 1998): `logits = kernel(example, references) @
coefficients`. Its parameters are not trained in steps: `training.kernel_ridge` solves for them,
and they travel with the checkpoint like all others.
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

# Counts from which a substructure is told from one that occurs less often.
COUNT_LEVELS = (1, 2, 4)


def signature_kernel(
    signatures: Float[Array, "m gene"],
    gene_mask: Bool[Array, "m gene"],
    references: Float[Array, "n gene"],
    *,
    width: float,
) -> Float[Array, "m n"]:
    """`exp(width * (cosine - 1))` of every signature with every reference.

    A Gaussian kernel on the unit sphere. The cosine is over the genes that a signature measures;
    one without any has cosine 0 to all.
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

    Sum of the smaller over sum of the larger counts (Ralaivola 2005, MinMax kernel), of counts as
    far as `COUNT_LEVELS` tell them apart; 0 in a view where neither has a substructure.

    Args:
      counts: substructure counts.
      references: those of the references.
      views: number of columns of each view, in order.
    """
    total, start = 0.0, 0
    for size in views:
        columns = slice(start, start + size)
        ours, theirs = _levels(counts[:, columns]), _levels(references[:, columns])
        shared = jnp.matmul(ours, theirs.T, precision="highest")
        either = ours.sum(axis=1)[:, None] + theirs.sum(axis=1)[None, :] - shared
        total += shared / jnp.maximum(either, 1.0)
        start += size
    return total / len(views)


def _levels(counts: UInt8[Array, "m column"]) -> Float[Array, "m level_column"]:
    """1 where a count reaches a level, so that a product counts the smaller of two."""
    return jnp.concatenate([counts >= level for level in COUNT_LEVELS], axis=1).astype(jnp.float32)


def centred(
    expression: Float[Array, "batch gene"],
    cell_line: Int[Array, " batch"],
    gene_scale: Float[Array, " gene"],
    offsets: Float[Array, "cell_line gene"],
) -> Float[Array, "batch gene"]:
    """Standardised signatures back on the scale of the release, less what is usual in a cell line.

    Args:
      expression: standardised signatures.
      cell_line: row of the vocabulary.
      gene_scale: standard deviation by which the genes were divided.
      offsets: mean standardised signature of each cell line of the vocabulary.
    """
    return (expression - offsets[cell_line]) * gene_scale


def with_damped_differences(
    signatures: Float[Array, "m gene"],
    gene_mask: Bool[Array, "m gene"],
    bead_partners: Int[Array, " gene"],
    bead_difference: Float[Array, ""],
) -> Float[Array, "m gene"]:
    """Signatures whose two genes of a bead differ less; their sum stays.

    The two genes of a bead colour are measured together and told apart by the sizes of their peaks
    (Subramanian 2017). Where that goes wrong they exchange their values: the sum is right and the
    difference has the wrong sign. A gene without a partner, or whose partner was not measured,
    stays as it is.

    Args:
      signatures: signatures in the units of the release.
      gene_mask: the gene was measured.
      bead_partners: column of the other gene of the bead; its own where there is none.
      bead_difference: what is left of a difference; 1 leaves signatures as they are, 0 cannot tell
        the two genes from each other, and `1 / d` undoes what `d` did.
    """
    partner = jnp.where(gene_mask[:, bead_partners], signatures[:, bead_partners], signatures)
    return 0.5 * (1.0 + bead_difference) * signatures + 0.5 * (1.0 - bead_difference) * partner


def damped(
    given: Mapping[str, Array], signatures: Float[Array, "m gene"], gene_mask: Bool[Array, "m gene"]
) -> Float[Array, "m gene"]:
    """Centred signatures as `SignatureKernel`, whose parameters are given, compares them."""
    return with_damped_differences(
        signatures, gene_mask, given["bead_partners"], given["bead_difference"]
    )


def reference_signatures(given: Mapping[str, Array]) -> Float[Array, "n gene"]:
    """References of a `SignatureKernel` as centred signatures, their differences as they were.

    Where nothing is left of the differences they stay zero.
    """
    left = given["bead_difference"]
    references = given["references"]
    return with_damped_differences(
        references,
        jnp.ones(references.shape, bool),
        given["bead_partners"],
        jnp.where(left > 0, 1.0 / jnp.where(left > 0, left, 1.0), 1.0),
    )


def node_activity(
    signatures: Float[Array, "m gene"],
    gene_mask: Bool[Array, "m gene"],
    propagation: Float[Array, "gene node"],
    *,
    num_genes: int,
    term_share: float,
) -> Float[Array, "m node"]:
    """Activity of every node of the graph in every signature, so scaled that kinds of nodes weigh.

    The signature times the propagation matrix. Gene nodes are divided by the root of their number
    and times that of `1 - term_share`, terms likewise with `term_share`, so that this is the terms'
    share of a squared activity whose nodes are all of one size. Nothing but the cosine between
    activities is read, so their common scale is arbitrary. With an identity matrix and no terms
    they are the signatures.

    Args:
      signatures: centred signatures.
      gene_mask: the gene was measured; others are read as unchanged.
      propagation: what one unit of a measured gene contributes to each node.
      num_genes: how many nodes are genes; they come first.
      term_share: weight of the terms among all nodes, from 0 to 1.
    """
    # The one product with the matrix: explanations over nodes put their own activity in its place.
    activity = jnp.matmul(jnp.where(gene_mask, signatures, 0.0), propagation, precision="highest")
    num_terms = propagation.shape[1] - num_genes
    if num_terms == 0:
        return activity
    of_terms = jnp.sqrt(term_share * num_genes / num_terms)
    is_gene = jnp.arange(num_genes + num_terms) < num_genes
    return activity * jnp.where(is_gene, jnp.sqrt(1.0 - term_share), of_terms)


class SignatureKernel(nn.Module):
    """Kernel ridge regression on signatures, centred within their cell line.

    Attributes:
      num_moas: size of the output.
      width: see `signature_kernel`.
    """

    num_moas: int
    width: float

    @nn.compact
    def __call__(
        self,
        expression: Float[Array, "batch gene"],
        gene_mask: Bool[Array, "batch gene"],
        cell_line: Int[Array, " batch"],
    ) -> Float[Array, "batch moa"]:
        """Evidence for each MoA; zeros before the parameters are there."""
        if self.is_initializing():
            return jnp.zeros((len(expression), self.num_moas))
        given = self.variables["params"]
        centre = centred(expression, cell_line, given["gene_scale"], given["offsets"])
        kernel = signature_kernel(
            damped(given, centre, gene_mask), gene_mask, given["references"], width=self.width
        )
        return jnp.matmul(kernel, given["coefficients"], precision="highest")


class NetworkKernel(nn.Module):
    """Kernel ridge regression on the activity of the graph's nodes.

    The references are activities, so the graph must be the one that they were computed with. The
    activities of the examples are sown as `node_activity`.

    Attributes:
      num_moas: size of the output.
      num_genes: gene nodes of the graph.
      width: see `signature_kernel`.
      term_share: see `node_activity`.
    """

    num_moas: int
    num_genes: int
    width: float
    term_share: float

    @nn.compact
    def __call__(
        self,
        expression: Float[Array, "batch gene"],
        gene_mask: Bool[Array, "batch gene"],
        cell_line: Int[Array, " batch"],
        propagation: Float[Array, "gene node"],
    ) -> Float[Array, "batch moa"]:
        """Evidence for each MoA; zeros before the parameters are there."""
        if self.is_initializing():
            return jnp.zeros((len(expression), self.num_moas))
        given = self.variables["params"]
        activity = node_activity(
            centred(expression, cell_line, given["gene_scale"], given["offsets"]),
            gene_mask,
            propagation,
            num_genes=self.num_genes,
            term_share=self.term_share,
        )
        self.sow("intermediates", "node_activity", activity)
        kernel = signature_kernel(
            activity, jnp.ones(activity.shape, bool), given["references"], width=self.width
        )
        return jnp.matmul(kernel, given["coefficients"], precision="highest")


class StructureKernel(nn.Module):
    """Kernel ridge regression on substructure counts.

    Attributes:
      num_moas: size of the output.
      views: see `structure_kernel`.
    """

    num_moas: int
    views: tuple[int, ...]

    @nn.compact
    def __call__(self, counts: UInt8[Array, "batch substructure"]) -> Float[Array, "batch moa"]:
        """Evidence for each MoA; zeros before the parameters are there."""
        if self.is_initializing():
            return jnp.zeros((len(counts), self.num_moas))
        references = self.get_variable("params", "references")
        kernel = structure_kernel(counts, references, views=self.views)
        return jnp.matmul(kernel, self.get_variable("params", "coefficients"), precision="highest")
