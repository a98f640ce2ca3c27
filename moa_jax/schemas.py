"""The contracts between the rooms: frozen, typed, and checked when they are made.

Every table has the columns named here and no others are relied on. A missing column or a
wrong length raises `InputError` with one sentence that names it. Array axes are named with
jaxtyping; the tests check them at run time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Float32, Int32, UInt8

# Version of the prepared folder's layout. A folder of another version is refused.
PREPARED_FORMAT_VERSION = 2
# Version of the checkpoints: raised whenever its parameters or the settings
# that they are read with change.
CHECKPOINT_FORMAT_VERSION = 7

SIGNATURE_COLUMNS = (
    "sig_id",
    "pert_id",
    "compound",
    "cell_line",
    "dose_um",
    "time_h",
    "n_replicates",
    "cc_q75",
    "tas",
    "plate",
)
COMPOUND_COLUMNS = (
    "pert_id",
    "compound",
    "compound_group",
    "inchi_key",
    "smiles",
    "scaffold",
    "moas",
    "targets",
)
GENE_NAME_COLUMNS = ("entrez_id", "symbol")
# `aliases`: other names that mean this gene and no other, separated by `|`; empty where none.
# `bead`: id of the bead colour, which two landmarks share; empty where it is not known.
GENE_COLUMNS = (*GENE_NAME_COLUMNS, "aliases", "bead")
GENE_NODE_COLUMNS = ("entrez_id", "symbol", "is_landmark")
TERM_COLUMNS = ("go_id", "name", "namespace")
# `genes`: tuple of Entrez ids.
GENE_SET_COLUMNS = ("collection", "set_id", "name", "genes")

PARTS = ("train", "validation", "test")
# The part of what a split's rule leaves out on purpose; no method sees it.
UNUSED = "unused"
# What a split's parts may be keyed by.
SPLIT_UNITS = ("pert_id", "sig_id")


class InputError(ValueError):
    """What the user gave cannot be used; the message is one sentence that names the culprit.

    The programs print it without a traceback and exit with status 2.
    """


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], source: str) -> None:
    """Raises InputError naming `source` and every column of `columns` that `table` lacks."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(
            f"{source} lacks the column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}; it has {', '.join(map(str, table.columns))}."
        )


@dataclasses.dataclass(frozen=True)
class Signatures:
    """Expression signatures with one metadata row each.

    Attributes:
      expression: z-scores (or consensus scores), one row per signature.
      genes: `GENE_COLUMNS`, one row per column of `expression`; Entrez ids are strings.
      table: `SIGNATURE_COLUMNS`, one row per row of `expression`. Doses are micromolar, times
        hours; what a release does not tell is missing (None or NaN), never a sentinel.
    """

    expression: Float[np.ndarray, "signature gene"]
    genes: pd.DataFrame
    table: pd.DataFrame

    def __post_init__(self) -> None:
        require_columns(self.genes, GENE_COLUMNS, "the signatures' gene table")
        require_columns(self.table, SIGNATURE_COLUMNS, "the signature table")
        expected = (len(self.table), len(self.genes))
        if self.expression.shape != expected:
            raise InputError(
                f"expression has shape {self.expression.shape}, "
                f"but the tables describe {expected} (signatures, genes)."
            )

    @property
    def num_genes(self) -> int:
        """Number of genes, the columns of `expression`."""
        return len(self.genes)


@dataclasses.dataclass(frozen=True)
class Compounds:
    """One row per `pert_id`, whether or not it has a signature.

    Attributes:
      table: `COMPOUND_COLUMNS`. `smiles` is canonical, salt stripped and neutralised (missing
        where unknown); `scaffold` is the Murcko scaffold's SMILES (empty for acyclic
        molecules, missing without structure); `moas` and `targets` are sorted tuples of
        strings, empty where unlabelled; `compound_group` is the unit of every split.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        require_columns(self.table, COMPOUND_COLUMNS, "the compound table")
        repeated = self.table["pert_id"][self.table["pert_id"].duplicated()]
        if len(repeated):
            raise InputError(f"the compound table repeats pert_id {repeated.iloc[0]}.")


@dataclasses.dataclass(frozen=True)
class EdgeSet:
    """Directed edges of one type between two node sets.

    Attributes:
      senders: row of the sending node in its node table.
      receivers: row of the receiving node in its node table.
      weight: in (0, 1]; STRING's combined_score / 1000 for `interacts`, 1 elsewhere.
      evidence: one evidence code per edge for `annotated_to`, empty elsewhere.
    """

    senders: Int32[np.ndarray, " edge"]
    receivers: Int32[np.ndarray, " edge"]
    weight: Float32[np.ndarray, " edge"]
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.senders) == len(self.receivers) == len(self.weight):
            raise InputError(
                f"an edge set has {len(self.senders)} senders, {len(self.receivers)} "
                f"receivers and {len(self.weight)} weights; the three must be equal."
            )

    @property
    def num_edges(self) -> int:
        """Number of directed edges."""
        return len(self.senders)


@dataclasses.dataclass(frozen=True)
class KnowledgeGraph:
    """STRING and Gene Ontology over two node sets, `gene` and `term`.

    Attributes:
      genes: `GENE_NODE_COLUMNS`; the landmarks are the first rows, in the order of the
        signatures' genes, followed by proteins that were not measured.
      terms: `TERM_COLUMNS`.
      interacts: gene - gene, each undirected STRING edge stored in both directions.
      annotated_to: gene -> term.
      is_a: term (child) -> term (parent).
      part_of: term (child) -> term (parent).
    """

    genes: pd.DataFrame
    terms: pd.DataFrame
    interacts: EdgeSet
    annotated_to: EdgeSet
    is_a: EdgeSet
    part_of: EdgeSet

    def __post_init__(self) -> None:
        require_columns(self.genes, GENE_NODE_COLUMNS, "the graph's gene table")
        require_columns(self.terms, TERM_COLUMNS, "the graph's term table")
        ends = {
            "interacts": (self.num_genes, self.num_genes),
            "annotated_to": (self.num_genes, self.num_terms),
            "is_a": (self.num_terms, self.num_terms),
            "part_of": (self.num_terms, self.num_terms),
        }
        for name, (num_senders, num_receivers) in ends.items():
            edges: EdgeSet = getattr(self, name)
            for end, limit in ((edges.senders, num_senders), (edges.receivers, num_receivers)):
                if len(end) and not (end.min() >= 0 and end.max() < limit):
                    raise InputError(f"an edge of {name} points past its {limit} nodes.")

    @property
    def num_genes(self) -> int:
        """Number of gene nodes, landmarks and others."""
        return len(self.genes)

    @property
    def num_terms(self) -> int:
        """Number of term nodes."""
        return len(self.terms)

    @property
    def num_landmarks(self) -> int:
        """Number of gene nodes that were measured; they come first."""
        return int(self.genes["is_landmark"].sum())


@dataclasses.dataclass(frozen=True)
class Split:
    """Which part each compound or signature belongs to, with the rule that made it.

    Attributes:
      rule: name of the rule, such as `compound`.
      seed: seed of the rule.
      fold: which fold is the test part.
      num_folds: how many folds the rule made.
      parts: key -> one of `PARTS`, or `UNUSED` for what the rule leaves out on purpose.
      unit: what the keys of `parts` are: `pert_id` where a compound has one part, `sig_id` where
        its signatures may have several.
      held_out: what the rule keeps for the test part beside compounds: cell lines, doses, times
        or MoAs; empty for other rules.
    """

    rule: str
    seed: int
    fold: int
    num_folds: int
    parts: Mapping[str, str]
    unit: str = "pert_id"
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        legal = (*PARTS, UNUSED)
        unknown = sorted(set(self.parts.values()) - set(legal))
        if unknown:
            raise InputError(
                f"the split names the part {unknown[0]}; parts are {', '.join(legal)}."
            )
        if self.unit not in SPLIT_UNITS:
            raise InputError(
                f"the split has unit = {self.unit!r}, expected {' or '.join(SPLIT_UNITS)}."
            )


def _pytree(cls: type) -> type:
    """Makes a frozen dataclass of arrays that JAX can take apart and put together.

    JAX also rebuilds it around tracers, shapes and shardings, so that path does not go
    through the constructor, whose arguments are checked.
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
    """An `EdgeSet` on the device: what the jitted step receives."""

    senders: Int32[Array | np.ndarray, " edge"]
    receivers: Int32[Array | np.ndarray, " edge"]
    weight: Float[Array | np.ndarray, " edge"]


@_pytree
class TermLevel:
    """The terms of one level of the ontology, by row, and the links that enter there.

    `children` are sorted by receiver; senders are rows of terms of lower levels, receivers count
    within the level. The weights are the standard deviations of the links' first parameters.
    """

    terms: Int32[Array | np.ndarray, " term"]
    children: EdgeArrays


@_pytree
class OntologyArrays:
    """The ontology laid out by level; a jitted step is compiled for the sizes of its levels.

    Attributes:
      annotated_to: measured gene -> term, sorted by receiver; the weights are the standard
        deviations of the edges' first parameters.
      levels: the terms from the bottom up; see `data.term_levels`.
      roots: rows of the terms without parents.
    """

    annotated_to: EdgeArrays
    levels: tuple[TermLevel, ...]
    roots: Int32[Array | np.ndarray, " root"]


@_pytree
class GraphArrays:
    """A `KnowledgeGraph` on the device, always an argument of the jitted step.

    Gene nodes come first, term nodes after them. Node counts are not stored: the model's
    configuration holds them.

    Attributes:
      interacts: gene - gene edges, both directions.
      annotated_to: gene -> term edges; receivers count from the first term.
      is_a: term -> term edges, child to parent, counted from the first term.
      part_of: the same for `part_of`.
      propagation: what one unit of a measured gene contributes to the activity of each node.
      positions: features that tell where a node stands in the graph, if any.
      ontology: the terms by level, where a network needs them.
    """

    interacts: EdgeArrays
    annotated_to: EdgeArrays
    is_a: EdgeArrays
    part_of: EdgeArrays
    propagation: Float[Array | np.ndarray, "gene node"]
    positions: Float[Array | np.ndarray, "node position"] | None = None
    ontology: OntologyArrays | None = None


@_pytree
class MoleculeBatch:
    """Molecular graphs of one batch, flattened within each shard and padded.

    A shard holds the molecules of `batch / num_shards` consecutive examples. Bonds are stored
    in both directions. `owner` is the example's row within the shard; padding atoms belong to
    row 0 and are told apart by `atom_mask` alone.
    """

    atom_features: Float[Array | np.ndarray, "shard atom atom_feature"]
    bond_features: Float[Array | np.ndarray, "shard bond bond_feature"]
    senders: Int32[Array | np.ndarray, "shard bond"]
    receivers: Int32[Array | np.ndarray, "shard bond"]
    owner: Int32[Array | np.ndarray, "shard atom"]
    atom_mask: Bool[Array | np.ndarray, "shard atom"]
    bond_mask: Bool[Array | np.ndarray, "shard bond"]


@_pytree
class Batch:
    """What one training step sees. Every padded or absent thing has its own boolean mask.

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
      targets: gene nodes that are known targets of the compound, read where `target_mask`.
      target_mask: there is a target in this place.
      weight: weight of the example in the loss.
      expression_mask: the expression modality may be used.
      structure_mask: the structure modality may be used.
      example_mask: the row is a real example.
      row: row of the example among those that the batch was drawn from; read where
        `example_mask`.
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
    targets: Int32[Array | np.ndarray, "batch target"]
    target_mask: Bool[Array | np.ndarray, "batch target"]
    weight: Float[Array | np.ndarray, " batch"]
    expression_mask: Bool[Array | np.ndarray, " batch"]
    structure_mask: Bool[Array | np.ndarray, " batch"]
    example_mask: Bool[Array | np.ndarray, " batch"]
    row: Int32[Array | np.ndarray, " batch"]
