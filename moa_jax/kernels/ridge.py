"""Kernel ridge regression (Saunders 1998): solves the kernel experts' parameters."""

from __future__ import annotations

import dataclasses
import functools
import operator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import scipy.linalg
from jaxtyping import Array, Bool, Float, Float32, Float64, Int, Shaped
from scipy import sparse

from moa_jax.data.examples.features import EncodedExamples, FeatureSpec
from moa_jax.models.experts import EXPERTS
from moa_jax.models.fusion import FusionModel
from moa_jax.models.kernel_experts import Comparison, KernelInputs
from moa_jax.schemas import GraphArrays

# Most rows of a block of a kernel.
_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class KernelSystem:
    """Kernel ridge regression on references, before it is solved for labels.

    Attributes:
      rows: the training example of each reference, or for structures the number of the structure.
      params: the kernel expert's parameters without coefficients.
      kernel: kernel matrix of the references.
      ridge: added to its diagonal.
    """

    rows: Int[np.ndarray, " reference"]
    params: dict[str, Array]
    kernel: Float[np.ndarray, "reference reference"]
    ridge: float

    @functools.cached_property
    def inverse(self) -> Float[np.ndarray, "reference reference"]:
        """`(kernel + ridge I)^-1`."""
        system = self.kernel.astype(np.float64)
        system[np.diag_indices_from(system)] += self.ridge
        try:
            return scipy.linalg.inv(system, assume_a="pos", overwrite_a=True)
        except np.linalg.LinAlgError as error:
            raise FloatingPointError(
                f"a kernel of {len(system)} references is not positive definite with the ridge "
                f"{self.ridge}; raise the ridge."
            ) from error

    def coefficients(
        self, labels: Float32[np.ndarray, "reference label"]
    ) -> Float64[np.ndarray, "row label"]:
        """`(kernel + ridge I)^-1 (labels - mean)`.

        Without references there is a single one of zeros, whose answers are zero.
        """
        if not len(self.rows):
            # Arrays without rows cannot be saved.
            return np.zeros((1, labels.shape[1]))
        # Most labels are 0, so sums of rows of the inverse are faster than a product with zeros.
        product = sparse.csc_array(labels.T, dtype=np.float64) @ self.inverse
        product -= np.outer(labels.mean(axis=0, dtype=np.float64), self.inverse_sums)
        return np.ascontiguousarray(product.T)

    @functools.cached_property
    def inverse_sums(self) -> Float[np.ndarray, " reference"]:
        """Sums of the rows of the inverse."""
        return self.inverse.sum(axis=1)


def kernel_systems(
    config: ml_collections.ConfigDict,
    model: FusionModel,
    train: EncodedExamples,
    features: FeatureSpec,
    graph: GraphArrays,
) -> dict[str, KernelSystem]:
    """Kernel expert -> its system, for those of a model.

    Args:
      config: a complete configuration: the experts' settings under `kernels` (`ridge`,
        `max_references`, `bead_difference`), and the `seed` that samples references if there are
        too many.
      model: the fusion model.
      train: training examples; those without an expert's modality are not in its system.
      features: their vocabularies and gene statistics.
      graph: the knowledge graph.
    """
    return {
        expert: kernel_system(expert, config, model, train, features=features, graph=graph)
        for expert in model.experts
        if EXPERTS[expert].comparison
    }


def kernel_system(
    expert: str,
    config: ml_collections.ConfigDict,
    model: FusionModel,
    train: EncodedExamples,
    *,
    features: FeatureSpec,
    graph: GraphArrays,
) -> KernelSystem:
    """The system of one expert; see `kernel_systems`. Each structure counts once."""
    settings = kernel_settings(config, expert)
    comparison = EXPERTS[expert].comparison(model)
    if EXPERTS[expert].reads_structure:
        examples = structure_references(
            train.structure, train.has_structure, settings.max_references, config.seed
        )
        rows = train.structure[examples]
    else:
        rows = examples = signature_references(
            train.has_expression, settings.max_references, config.seed
        )
    params = _fitted_params(comparison.fitted, settings, train, features)
    inputs = KernelInputs(
        expression=jnp.asarray(train.expression[examples]),
        gene_mask=jnp.broadcast_to(train.gene_mask, (len(examples), len(train.gene_mask))),
        cell_line=jnp.asarray(train.cell_line[examples]),
        substructures=jnp.asarray(train.substructures[train.structure[examples]]),
    )
    references = comparison.represent(params, inputs, graph)
    if len(rows):
        kernel = _symmetric_kernel(comparison, references, inputs)
    else:
        # Arrays without rows cannot be saved.
        kernel = np.zeros((0, 0), np.float32)
        references = jnp.zeros((1, references.shape[1]), references.dtype)
    return KernelSystem(rows, {**params, "references": references}, kernel, settings.ridge)


def _symmetric_kernel(
    comparison: Comparison, references: Shaped[Array, "reference column"], inputs: KernelInputs
) -> Float32[np.ndarray, "reference reference"]:
    """The kernel of references with each other; only blocks on and below the diagonal are computed.

    Args:
      comparison: whose kernel it is.
      references: the references as they are compared.
      inputs: the references as inputs.
    """
    count, of_block = len(references), jax.jit(comparison.kernel)
    # Blocks of one size, so that one program serves all; the last is padded.
    size = -(-count // -(-count // _BLOCK))
    blocks = [slice(start, start + size) for start in range(0, count, size)]
    references, inputs = jax.tree.map(
        lambda rows: jnp.pad(rows, ((0, size * len(blocks) - count), (0, 0))[: rows.ndim]),
        (references, inputs),
    )
    kernel = np.empty((size * len(blocks),) * 2, np.float32)
    for number, block in enumerate(blocks):
        rows = jax.tree.map(operator.itemgetter(block), inputs)
        for before in blocks[: number + 1]:
            kernel[block, before] = of_block(references[block], rows, references[before])
            kernel[before, block] = kernel[block, before].T
    return np.ascontiguousarray(kernel[:count, :count])


def kernel_settings(config: ml_collections.ConfigDict, expert: str) -> ml_collections.ConfigDict:
    """Settings of a kernel expert; those of `signature_kernel` are in `kernels.signature`."""
    return config.kernels[expert.removesuffix("_kernel")]


def _fitted_params(
    names: tuple[str, ...],
    settings: ml_collections.ConfigDict,
    train: EncodedExamples,
    features: FeatureSpec,
) -> dict[str, Array]:
    """The parameters of a comparison besides its references; they do not depend on labels."""
    if not names:
        return {}
    values = {
        "gene_scale": features.scale,
        "offsets": _cell_line_means(train, len(features.cell_lines)),
        "bead_partners": np.asarray(features.bead_partners, np.int32),
        "bead_difference": np.float32(settings.get("bead_difference", 1.0)),
    }
    return {name: jnp.asarray(values[name]) for name in names}


def _cell_line_means(
    train: EncodedExamples, num_cell_lines: int
) -> Float32[np.ndarray, "cell_line gene"]:
    """Mean standardised signature of each cell line."""
    means = np.zeros((num_cell_lines, train.expression.shape[1]), np.float32)
    # The first is the unknown cell line, which has the overall mean, 0.
    for line in range(1, num_cell_lines):
        of_line = train.expression[train.has_expression & (train.cell_line == line)]
        if len(of_line):
            means[line] = of_line.mean(axis=0)
    return means


def reference_places(
    expert: str, system: KernelSystem, encoded: EncodedExamples
) -> Int[np.ndarray, " example"]:
    """The reference that stands for each example in the system of an expert; -1 for none."""
    if EXPERTS[expert].reads_structure:
        of_structure = np.full(len(encoded.substructures), -1)
        of_structure[system.rows] = np.arange(len(system.rows))
        return np.where(encoded.has_structure, of_structure[encoded.structure], -1)
    place = np.full(len(encoded.labels), -1)
    place[system.rows] = np.arange(len(system.rows))
    return place


def reference_labels(
    expert: str,
    system: KernelSystem,
    train: EncodedExamples,
    labels: Float32[np.ndarray, "example label"],
) -> Float32[np.ndarray, "reference label"]:
    """Label of each reference of an expert, from those of the training examples."""
    if EXPERTS[expert].reads_structure:
        return structure_labels(train, labels)[system.rows]
    return labels[system.rows]


def structure_labels(
    train: EncodedExamples, labels: Float32[np.ndarray, "example label"]
) -> Float32[np.ndarray, "structure label"]:
    """Label of each structure: the maximum over the examples that have it."""
    rows = np.flatnonzero(train.has_structure)
    rows = rows[np.argsort(train.structure[rows], kind="stable")]
    present, start = np.unique(train.structure[rows], return_index=True)
    largest = np.zeros((len(train.substructures), labels.shape[1]), np.float32)
    if len(rows):
        largest[present] = np.maximum.reduceat(labels[rows], start, axis=0)
    return largest


def signature_references(
    has_expression: Bool[np.ndarray, " example"], max_references: int, seed: int
) -> Int[np.ndarray, " reference"]:
    """Rows of the training examples that are the signature expert's references."""
    return _at_most(np.flatnonzero(has_expression), max_references, seed)


def structure_references(
    structure: Int[np.ndarray, " example"],
    has_structure: Bool[np.ndarray, " example"],
    max_references: int,
    seed: int,
) -> Int[np.ndarray, " reference"]:
    """First training example of each structure among the structure expert's references.

    Args:
      structure: number of each example's structure, in the order of the references.
      has_structure: whether the structure is known.
      max_references: maximum number of references.
      seed: samples them if there are more.
    """
    known = np.flatnonzero(has_structure)
    _, first = np.unique(structure[known], return_index=True)
    return known[first[_at_most(np.arange(len(first)), max_references, seed)]]


def _at_most(rows: Int[np.ndarray, " row"], most: int, seed: int) -> Int[np.ndarray, " reference"]:
    """All rows, or a random subset if there are more than `most`, in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
