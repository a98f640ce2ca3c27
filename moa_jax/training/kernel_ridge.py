"""The kernel experts' parameters, solved for in closed form."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import ml_collections
import numpy as np
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


def fit_signature_kernel(
    train: EncodedExamples,
    features: FeatureSpec,
    config: ml_collections.ConfigDict,
    *,
    width: float,
    seed: int,
) -> dict[str, Array | np.ndarray]:
    """Parameters of `models.kernel_experts.SignatureKernel`.

    Without any signature there is one blank reference that says nothing.

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

    solved = _solved(references, train.labels[rows], kernel, ridge=config.ridge)
    return centring | beads | solved


def fit_network_kernel(
    train: EncodedExamples,
    features: FeatureSpec,
    graph: GraphArrays,
    config: ml_collections.ConfigDict,
    *,
    model: FusionModel,
    seed: int,
) -> dict[str, Array | np.ndarray]:
    """Parameters of `models.kernel_experts.NetworkKernel`.

    Without any signature there is one blank reference that says nothing.

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

    return centring | _solved(references, train.labels[rows], kernel, ridge=config.ridge)


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


def fit_structure_kernel(
    train: EncodedExamples,
    config: ml_collections.ConfigDict,
    *,
    views: tuple[int, ...],
    seed: int,
) -> dict[str, Array | np.ndarray]:
    """Parameters of `models.kernel_experts.StructureKernel`; each structure counts once.

    Without any structure there is one blank reference that says nothing.

    Args:
      train: training examples; those without structure take no part.
      config: `ridge`, `max_references`.
      views: number of columns of each view of the substructure counts.
      seed: chooses the references where there are more structures than may be.
    """
    known = train.has_structure
    labels = np.zeros((len(train.substructures), train.labels.shape[1]), np.float32)
    np.maximum.at(labels, train.structure[known], train.labels[known])
    rows = structure_references(train.structure, known, config.max_references, seed)
    structures = train.structure[rows]

    def kernel(references: UInt8[Array, "n substructure"]) -> Float[Array, "n n"]:
        return structure_kernel(references, references, views=views)

    references = jnp.asarray(train.substructures[structures])
    return _solved(references, labels[structures], kernel, ridge=config.ridge)


def _solved(
    references: Shaped[Array, "reference column"],
    labels: Float32[np.ndarray, "reference moa"],
    kernel: Callable[[Array], Array],
    *,
    ridge: float,
) -> dict[str, Array | np.ndarray]:
    """References and their coefficients; one reference of zeros where there are none."""
    if len(references):
        coefficients = _coefficients(jax.jit(kernel)(references), labels, ridge=ridge)
    else:
        # Arrays without rows cannot be saved.
        references = jnp.zeros((1, references.shape[1]), references.dtype)
        coefficients = jnp.zeros((1, labels.shape[1]), jnp.float32)
    return {"references": references, "coefficients": coefficients}


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


@jax.jit
def _coefficients(
    kernel: Float[Array, "n n"],
    labels: Float32[Array | np.ndarray, "n moa"],
    *,
    ridge: float | Float[Array, ""],
) -> Float[Array, "n moa"]:
    """`(kernel + ridge I)^-1 (labels - their mean)`."""
    factor = jax.scipy.linalg.cho_factor(kernel + ridge * jnp.eye(len(kernel)), lower=True)
    return jax.scipy.linalg.cho_solve(factor, labels - labels.mean(axis=0))
