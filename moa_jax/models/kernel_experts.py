"""Experts that compare an example with reference examples whose MoAs are known.

Each is kernel ridge regression (Saunders 1998): `logits = kernel(example, references) @
coefficients`. `moa_jax.kernels` solves its parameters in closed form; they are stored in the
checkpoint like all others.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8

from moa_jax.schemas import Batch, GraphArrays

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


def reference_signatures(params: Mapping[str, Array]) -> Float[Array, "n gene"]:
    """References of the expert `signature_kernel`, centred, before differences were shrunk.

    Differences that were shrunk to 0 stay 0.
    """
    factor = params["bead_difference"]
    references = params["references"]
    return with_shrunk_bead_differences(
        references,
        jnp.ones(references.shape, bool),
        params["bead_partners"],
        jnp.where(factor > 0, 1.0 / jnp.where(factor > 0, factor, 1.0), 1.0),
    )


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


class KernelInputs(NamedTuple):
    """The inputs of kernel experts; see `schemas.Batch` for the fields."""

    expression: Float[Array, "example gene"]
    gene_mask: Bool[Array, "example gene"]
    cell_line: Int[Array, " example"]
    substructures: UInt8[Array, "example substructure"]


@dataclasses.dataclass(frozen=True)
class Comparison(abc.ABC):
    """How a kernel expert compares examples with its references.

    Attributes:
      fitted: names of the parameters of `represent`, besides references and coefficients.
    """

    fitted: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def represent(
        self, params: Mapping[str, Array], inputs: Batch | KernelInputs, graph: GraphArrays
    ) -> Shaped[Array, "example column"]:
        """Examples in the representation that is compared, in which references are stored."""

    @abc.abstractmethod
    def kernel(
        self,
        represented: Shaped[Array, "example column"],
        inputs: Batch | KernelInputs,
        references: Shaped[Array, "reference column"],
    ) -> Float[Array, "example reference"]:
        """The kernel of represented examples with represented references."""

    @property
    @abc.abstractmethod
    def blank(self) -> float:
        """Kernel of an example that resembles no reference."""

    @abc.abstractmethod
    def similarity(
        self, kernel: Float[np.ndarray, "example reference"]
    ) -> Float[np.ndarray, "example reference"]:
        """The cosine or Tanimoto similarity that belongs to a kernel value."""

    def compare(
        self, params: Mapping[str, Array], inputs: Batch | KernelInputs, graph: GraphArrays
    ) -> Float[Array, "example reference"]:
        """The kernel of examples with an expert's references."""
        return self.kernel(self.represent(params, inputs, graph), inputs, params["references"])


@dataclasses.dataclass(frozen=True)
class SignatureComparison(Comparison):
    """Compares signatures minus the mean of their cell line.

    Attributes:
      width: see `signature_kernel`.
    """

    width: float

    fitted: ClassVar[tuple[str, ...]] = (
        "gene_scale",
        "offsets",
        "bead_partners",
        "bead_difference",
    )

    def represent(
        self, params: Mapping[str, Array], inputs: Batch | KernelInputs, graph: GraphArrays
    ) -> Float[Array, "example gene"]:
        """Centred signatures with shrunk bead differences; 0 where not measured."""
        del graph
        signatures = with_shrunk_bead_differences(
            _centred_inputs(params, inputs),
            inputs.gene_mask,
            params["bead_partners"],
            params["bead_difference"],
        )
        return jnp.where(inputs.gene_mask, signatures, 0.0)

    def kernel(
        self,
        represented: Float[Array, "example gene"],
        inputs: Batch | KernelInputs,
        references: Float[Array, "reference gene"],
    ) -> Float[Array, "example reference"]:
        """See `signature_kernel`."""
        return signature_kernel(represented, inputs.gene_mask, references, width=self.width)

    @property
    def blank(self) -> float:
        """Kernel of a signature whose cosine with every reference is 0."""
        return math.exp(-self.width)

    def similarity(
        self, kernel: Float[np.ndarray, "example reference"]
    ) -> Float[np.ndarray, "example reference"]:
        """Cosine of the signatures."""
        return 1.0 + np.log(kernel) / self.width


@dataclasses.dataclass(frozen=True)
class NetworkComparison(SignatureComparison):
    """Compares the activity of the graph's nodes; valid only with the same graph.

    Attributes:
      width: see `signature_kernel`.
      num_genes: gene nodes of the graph.
      term_share: see `node_activity`.
    """

    num_genes: int
    term_share: float

    fitted: ClassVar[tuple[str, ...]] = ("gene_scale", "offsets")

    def represent(
        self, params: Mapping[str, Array], inputs: Batch | KernelInputs, graph: GraphArrays
    ) -> Float[Array, "example node"]:
        """Activity of every node of the graph."""
        return node_activity(
            _centred_inputs(params, inputs),
            inputs.gene_mask,
            jnp.asarray(graph.propagation),
            num_genes=self.num_genes,
            term_share=self.term_share,
        )

    def kernel(
        self,
        represented: Float[Array, "example node"],
        inputs: Batch | KernelInputs,
        references: Float[Array, "reference node"],
    ) -> Float[Array, "example reference"]:
        """See `signature_kernel`; every node has an activity."""
        del inputs
        every = jnp.ones(represented.shape, bool)
        return signature_kernel(represented, every, references, width=self.width)


@dataclasses.dataclass(frozen=True)
class StructureComparison(Comparison):
    """Compares substructure counts.

    Attributes:
      views: see `structure_kernel`.
    """

    views: tuple[int, ...]

    def represent(
        self, params: Mapping[str, Array], inputs: Batch | KernelInputs, graph: GraphArrays
    ) -> UInt8[Array, "example substructure"]:
        """The counts as they are."""
        del params, graph
        return inputs.substructures

    def kernel(
        self,
        represented: UInt8[Array, "example substructure"],
        inputs: Batch | KernelInputs,
        references: UInt8[Array, "reference substructure"],
    ) -> Float[Array, "example reference"]:
        """See `structure_kernel`."""
        del inputs
        return structure_kernel(represented, references, views=self.views)

    @property
    def blank(self) -> float:
        """Kernel of a structure that shares no substructure with any reference."""
        return 0.0

    def similarity(
        self, kernel: Float[np.ndarray, "example reference"]
    ) -> Float[np.ndarray, "example reference"]:
        """Mean Tanimoto similarity of the structures."""
        return kernel


def _centred_inputs(
    params: Mapping[str, Array], inputs: Batch | KernelInputs
) -> Float[Array, "example gene"]:
    return centred(inputs.expression, inputs.cell_line, params["gene_scale"], params["offsets"])


class KernelAnswer(NamedTuple):
    """What a kernel expert says about examples.

    Attributes:
      logits: logits of the MoAs.
      proteins: evidence that the compound inhibits or activates each protein; without columns in a
        model without experts through proteins.
    """

    logits: Float[Array, "batch moa"]
    proteins: Float[Array, "batch action_protein"]


class KernelExpert(nn.Module):
    """Kernel ridge regression with a comparison's kernel.

    Attributes:
      num_moas: number of MoAs.
      num_action_proteins: number of pairs of action and protein; 0 for none.
      comparison: how examples are compared with references.
    """

    num_moas: int
    num_action_proteins: int
    comparison: Comparison

    @nn.compact
    def __call__(self, batch: Batch | KernelInputs, graph: GraphArrays) -> KernelAnswer:
        """The answer; zeros while the model is initialised, before the parameters are solved."""
        count = len(batch.expression)
        proteins = jnp.zeros((count, self.num_action_proteins))
        if self.is_initializing():
            return KernelAnswer(jnp.zeros((count, self.num_moas)), proteins)
        params = self.variables["params"]
        kernel = self.comparison.compare(params, batch, graph)
        if self.num_action_proteins:
            proteins = jnp.matmul(kernel, params["action_coefficients"])
        return KernelAnswer(
            jnp.matmul(kernel, params["coefficients"], precision="highest"), proteins
        )
