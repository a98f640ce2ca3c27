"""Inputs of a jitted step: the graph and one batch, as pytrees of arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, UInt8


def _pytree(cls: type) -> type:
    """Makes a frozen dataclass of arrays and registers it as a pytree.

    JAX also unflattens it with tracers, shapes and shardings as leaves, so unflattening bypasses
    the constructor, which checks types.
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    names = tuple(field.name for field in dataclasses.fields(cls))

    def flatten_with_keys(value: Any) -> tuple[tuple[tuple[Any, Any], ...], None]:
        return tuple((jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in names), None

    def unflatten(_: None, children: Iterable[Any]) -> Any:
        value = object.__new__(cls)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(value, name, child)
        return value

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten)
    return cls


@_pytree
class EdgeArrays:
    """An `EdgeSet` on the device."""

    senders: Int32[Array | np.ndarray, " edge"]
    receivers: Int32[Array | np.ndarray, " edge"]
    weight: Float[Array | np.ndarray, " edge"]


@_pytree
class TermLevel:
    """Rows of the terms in one level of the ontology, and the links from their children.

    `children` are sorted by receiver; senders are rows of terms in lower levels, receivers are
    positions within this level. Weights are standard deviations for initialising the links.
    """

    terms: Int32[Array | np.ndarray, " term"]
    children: EdgeArrays


@_pytree
class OntologyArrays:
    """The ontology by level; a jitted step is compiled for the sizes of the levels.

    Attributes:
      annotated_to: measured gene -> term, sorted by receiver; weights are standard deviations for
        initialising the edges.
      levels: the terms, children before parents; see `data.examples.ontology_levels`.
      roots: rows of the terms without parents.
    """

    annotated_to: EdgeArrays
    levels: tuple[TermLevel, ...]
    roots: Int32[Array | np.ndarray, " root"]


@_pytree
class GraphArrays:
    """A `KnowledgeGraph` on the device, always an argument of the jitted step.

    Gene nodes come first, then term nodes. Node counts are in the model's configuration.

    Attributes:
      interacts: gene - gene edges, both directions.
      annotated_to: gene -> term edges; receivers count from the first term.
      is_a: term -> term edges, child to parent, counted from the first term.
      part_of: the same for `part_of`.
      propagation: contribution of one unit of a measured gene to the activity of each node.
      ontology: the terms by level, if a network needs them.
    """

    interacts: EdgeArrays
    annotated_to: EdgeArrays
    is_a: EdgeArrays
    part_of: EdgeArrays
    propagation: Float[Array | np.ndarray, "gene node"]
    ontology: OntologyArrays | None = None


@_pytree
class MoleculeBatch:
    """Molecular graphs of one batch, flattened within each shard and padded.

    A shard holds the molecules of `batch / num_shards` consecutive examples. Bonds are stored
    in both directions. `owner` is the example's row within the shard; padding atoms have owner 0
    and a false `atom_mask`.
    """

    atom_features: Float[Array | np.ndarray, "shard atom atom_feature"]
    bond_features: Float[Array | np.ndarray, "shard bond bond_feature"]
    senders: Int32[Array | np.ndarray, "shard bond"]
    receivers: Int32[Array | np.ndarray, "shard bond"]
    owner: Int32[Array | np.ndarray, "shard atom"]
    atom_mask: Bool[Array | np.ndarray, "shard atom"]
    bond_mask: Bool[Array | np.ndarray, "shard bond"]


@_pytree
class LeftOut:
    """What is known about training examples if their own compounds are left out.

    A network that reads the closed form is trained on these answers: the closed form was fitted to
    the examples themselves.

    Attributes:
      logits: logits of the experts in closed form, in the model's order; 0 where one does not
        answer.
      proteins: evidence of the kernel experts for each pair of action and protein, in the model's
        order; 0 where one does not answer.
      own_targets: what the compound contributes to the prototypes of its mechanisms; zeros if it is
        not counted there.
      own_moas: these mechanisms, 0 or 1.
      targets: what the compound does to its known targets (`kernels.target_actions`).
    """

    logits: Float[Array | np.ndarray, "batch expert moa"]
    proteins: Float[Array | np.ndarray, "batch kernel action_protein"]
    own_targets: Float[Array | np.ndarray, "batch action_protein"]
    own_moas: Float[Array | np.ndarray, "batch moa"]
    targets: Float[Array | np.ndarray, "batch action_protein"]


@_pytree
class Batch:
    """Input of one training step; everything padded or absent has a boolean mask.

    Attributes:
      expression: standardised signature; 0 where `gene_mask` is false.
      gene_mask: the gene was measured.
      cell_line: row of the cell-line vocabulary; 0 means unknown.
      log_dose: log10 of the dose in micromolar, read where `dose_mask`.
      log_time: log10 of the time in hours, read where `time_mask`.
      molecules: molecular graphs of the examples.
      fingerprint: Morgan bits.
      substructures: counts of substructures (`compounds.substructures`).
      labels: 0 or 1.
      label_mask: the label is known.
      weight: weight of the example in the loss.
      expression_mask: the expression modality may be used.
      structure_mask: the structure modality may be used.
      example_mask: the row is a real example.
      row: row of the example among those that the batch was drawn from; read where
        `example_mask`.
      left_out: for training examples of a network that reads the closed form, what that answers if
        their own compounds are left out.
    """

    expression: Float[Array | np.ndarray, "batch gene"]
    gene_mask: Bool[Array | np.ndarray, "batch gene"]
    cell_line: Int32[Array | np.ndarray, " batch"]
    log_dose: Float[Array | np.ndarray, " batch"]
    dose_mask: Bool[Array | np.ndarray, " batch"]
    log_time: Float[Array | np.ndarray, " batch"]
    time_mask: Bool[Array | np.ndarray, " batch"]
    molecules: MoleculeBatch
    fingerprint: Float[Array | np.ndarray, "batch bit"]
    substructures: UInt8[Array | np.ndarray, "batch substructure"]
    labels: Float[Array | np.ndarray, "batch moa"]
    label_mask: Bool[Array | np.ndarray, "batch moa"]
    weight: Float[Array | np.ndarray, " batch"]
    expression_mask: Bool[Array | np.ndarray, " batch"]
    structure_mask: Bool[Array | np.ndarray, " batch"]
    example_mask: Bool[Array | np.ndarray, " batch"]
    row: Int32[Array | np.ndarray, " batch"]
    left_out: LeftOut | None = None
