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

from moa_jax.models.kernel_functions import (
    centred,
    node_activity,
    signature_kernel,
    structure_kernel,
    with_shrunk_bead_differences,
)
from moa_jax.schemas import Batch, GraphArrays


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


class KernelAnswer(NamedTuple):
    """What a kernel expert says about examples.

    Attributes:
      logits: logits of the MoAs.
      proteins: evidence that the compound inhibits or activates each protein; without columns where
        no expert through proteins reads it.
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
