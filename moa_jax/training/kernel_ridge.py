"""The kernel experts' parameters, solved for in closed form."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import scipy.linalg
from jaxtyping import Array, Bool, Float, Float32, Int, Shaped, UInt8

from moa_jax.data.features import EncodedExamples, FeatureSpec
from moa_jax.models.fusion import FusionModel
from moa_jax.models.kernel_experts import (
    centred,
    damped,
    node_activity,
    signature_kernel,
    structure_kernel,
)
from moa_jax.schemas import GraphArrays


@dataclasses.dataclass(frozen=True)
class KernelSystem:
    """Kernel ridge regression on references, before it is solved for labels.

    Attributes:
      rows: what each reference is: for signatures the row of the training example, for structures
        the number of the structure.
      params: the kernel expert's parameters but for its coefficients.
      kernel: of every reference with every reference.
      ridge: what is added to its diagonal.
    """

    rows: Int[np.ndarray, " reference"]
    params: dict[str, Array | np.ndarray]
    kernel: Float[np.ndarray, "reference reference"]
    ridge: float

    @functools.cached_property
    def inverse(self) -> Float[np.ndarray, "reference reference"]:
        """`(kernel + ridge I)^-1`."""
        system = self.kernel.astype(np.float64)
        system[np.diag_indices_from(system)] += self.ridge
        factor, failed = scipy.linalg.lapack.dpotrf(system, lower=True, overwrite_a=True)
        if not failed:
            factor, failed = scipy.linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
        if failed:
            raise FloatingPointError(
                f"a kernel of {len(system)} references is not positive definite with the ridge "
                f"{self.ridge}; raise the ridge."
            )
        upper = np.triu_indices_from(factor, 1)
        factor[upper] = factor.T[upper]
        return factor

    def solved(self, labels: Float32[np.ndarray, "reference moa"]) -> dict[str, Array | np.ndarray]:
        """The expert's parameters: `(kernel + ridge I)^-1 (labels - their mean)` among them.

        Without any reference there is one of zeros, which says nothing.
        """
        if len(self.rows):
            targets = labels.astype(np.float64) - labels.mean(axis=0, dtype=np.float64)
            coefficients = (self.inverse @ targets).astype(np.float32)
        else:
            # Arrays without rows cannot be saved.
            coefficients = np.zeros((1, labels.shape[1]), np.float32)
        return {**self.params, "coefficients": jnp.asarray(coefficients)}


def signature_system(
    train: EncodedExamples,
    features: FeatureSpec,
    config: ml_collections.ConfigDict,
    *,
    width: float,
    seed: int,
) -> KernelSystem:
    """The system of `models.kernel_experts.SignatureKernel`.

    Args:
      train: training examples; those without expression take no part.
      features: their vocabularies and scales.
      config: `ridge`, `max_references`, `bead_difference`.
      width: see `signature_kernel`.
      seed: chooses the references where there are more examples than may be.
    """
    rows = signature_references(train.has_expression, config.max_references, seed)
    centring, references = _centred_references(train, features, rows)
    beads = {
        "bead_partners": jnp.asarray(features.bead_partners, jnp.int32),
        "bead_difference": jnp.float32(config.bead_difference),
    }
    mask = jnp.broadcast_to(train.gene_mask, references.shape)
    references = damped(beads, references, mask)

    def kernel(references: Float[Array, "n gene"]) -> Float[Array, "n n"]:
        return signature_kernel(references, mask, references, width=width)

    return _system(rows, references, kernel, centring | beads, ridge=config.ridge)


def network_system(
    train: EncodedExamples,
    features: FeatureSpec,
    graph: GraphArrays,
    config: ml_collections.ConfigDict,
    *,
    model: FusionModel,
    seed: int,
) -> KernelSystem:
    """The system of `models.kernel_experts.NetworkKernel`.

    Args:
      train: training examples; those without expression take no part.
      features: their vocabularies and scales.
      graph: the knowledge graph.
      config: `ridge`, `max_references`.
      model: `num_genes`, `network_kernel_width`, `network_term_share`.
      seed: chooses the references where there are more examples than may be.
    """
    rows = signature_references(train.has_expression, config.max_references, seed)
    centring, signatures = _centred_references(train, features, rows)
    references = node_activity(
        signatures,
        jnp.broadcast_to(train.gene_mask, signatures.shape),
        jnp.asarray(graph.propagation),
        num_genes=model.num_genes,
        term_share=model.network_term_share,
    )

    def kernel(references: Float[Array, "n node"]) -> Float[Array, "n n"]:
        every = jnp.ones(references.shape, bool)
        return signature_kernel(references, every, references, width=model.network_kernel_width)

    return _system(rows, references, kernel, centring, ridge=config.ridge)


def _centred_references(
    train: EncodedExamples, features: FeatureSpec, rows: Int[np.ndarray, " reference"]
) -> tuple[dict[str, Array | np.ndarray], Float[Array, "reference gene"]]:
    """The parameters of `centred`, and the signatures of some examples after it."""
    expression, cell_line = train.expression[rows], train.cell_line[rows]
    offsets = np.zeros((len(features.cell_lines), expression.shape[1]), np.float32)
    # The first is the unknown cell line, in which nothing is usual but the overall mean.
    for line in range(1, len(offsets)):
        of_line = train.expression[train.has_expression & (train.cell_line == line)]
        if len(of_line):
            offsets[line] = of_line.mean(axis=0)
    centre = centred(*map(jnp.asarray, (expression, cell_line, features.scale, offsets)))
    parameters = {"gene_scale": features.scale, "offsets": offsets}
    return parameters, jnp.where(train.gene_mask, centre, 0.0)


def structure_system(
    train: EncodedExamples,
    config: ml_collections.ConfigDict,
    *,
    views: tuple[int, ...],
    seed: int,
) -> KernelSystem:
    """The system of `models.kernel_experts.StructureKernel`; each structure counts once.

    Args:
      train: training examples; those without structure take no part.
      config: `ridge`, `max_references`.
      views: number of columns of each view of the substructure counts.
      seed: chooses the references where there are more structures than may be.
    """
    known = train.has_structure
    rows = structure_references(train.structure, known, config.max_references, seed)
    structures = train.structure[rows]

    def kernel(references: UInt8[Array, "n substructure"]) -> Float[Array, "n n"]:
        return structure_kernel(references, references, views=views)

    references = jnp.asarray(train.substructures[structures])
    return _system(structures, references, kernel, {}, ridge=config.ridge)


def structure_labels(
    train: EncodedExamples, labels: Float32[np.ndarray, "example moa"]
) -> Float32[np.ndarray, "structure moa"]:
    """What is learned of each structure: the most of what is learned of its examples."""
    known = train.has_structure
    found = np.zeros((len(train.substructures), labels.shape[1]), np.float32)
    np.maximum.at(found, train.structure[known], labels[known])
    return found


def _system(
    rows: Int[np.ndarray, " reference"],
    references: Shaped[Array, "reference column"],
    kernel: Callable[[Array], Array],
    params: dict[str, Array | np.ndarray],
    *,
    ridge: float,
) -> KernelSystem:
    """A system; one reference of zeros among its parameters where there are none."""
    if len(rows):
        values = np.asarray(jax.jit(kernel)(references))
    else:
        # Arrays without rows cannot be saved.
        values = np.zeros((0, 0), np.float32)
        references = jnp.zeros((1, references.shape[1]), references.dtype)
    return KernelSystem(rows, {**params, "references": references}, values, ridge)


def signature_references(
    has_expression: Bool[np.ndarray, " example"], max_references: int, seed: int
) -> Int[np.ndarray, " reference"]:
    """Rows of the training examples that the signature expert compares with, in its order."""
    return _at_most(np.flatnonzero(has_expression), max_references, seed)


def structure_references(
    structure: Int[np.ndarray, " example"],
    has_structure: Bool[np.ndarray, " example"],
    max_references: int,
    seed: int,
) -> Int[np.ndarray, " reference"]:
    """First training example of each structure that the structure expert compares with.

    Args:
      structure: number of each example's structure; their order is that of the references.
      has_structure: the structure is known.
      max_references: how many references are kept at most.
      seed: chooses them where there are more.
    """
    known = np.flatnonzero(has_structure)
    _, first = np.unique(structure[known], return_index=True)
    return known[first[_at_most(np.arange(len(first)), max_references, seed)]]


def _at_most(rows: Int[np.ndarray, " row"], most: int, seed: int) -> Int[np.ndarray, " reference"]:
    """All rows, or a random subset in their order where there are more than `most`."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
