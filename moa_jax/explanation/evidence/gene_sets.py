"""Gene sets as a matrix over the genes that an explanation covers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from moa_jax.data.examples.ontology_levels import sorted_pairs, term_levels, term_links
from moa_jax.schemas import InputError, KnowledgeGraph


@dataclasses.dataclass(frozen=True)
class GeneSets:
    """Sets over a fixed list of genes, the background.

    Attributes:
      collection: source of each set, such as `reactome`.
      ids: id of each set, unique within its collection.
      names: name of each set.
      members: whether a gene is in a set.
    """

    collection: tuple[str, ...]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    members: Bool[np.ndarray, "set gene"]

    def __post_init__(self) -> None:
        lengths = {len(self.collection), len(self.ids), len(self.names), len(self.members)}
        if len(lengths) > 1:
            raise InputError(
                f"the attributes of gene sets have the lengths {sorted(lengths)}; expected one."
            )

    @property
    def num_sets(self) -> int:
        """Number of sets."""
        return len(self.ids)

    @property
    def sizes(self) -> Int[np.ndarray, " set"]:
        """Genes of each set among the background."""
        return self.members.sum(axis=1)

    def take(self, rows: Int[np.ndarray, " row"]) -> GeneSets:
        """The sets of the given rows, in their order."""
        return GeneSets(
            *(tuple(part[row] for row in rows) for part in (self.collection, self.ids, self.names)),
            self.members[rows],
        )

    def of_size(self, smallest: int, largest: int) -> GeneSets:
        """The sets with `smallest` to `largest` genes of the background."""
        sizes = self.sizes
        return self.take(np.flatnonzero((sizes >= smallest) & (sizes <= largest)))


def listed_sets(table: pd.DataFrame, genes: Sequence[str]) -> GeneSets:
    """Sets from a prepared folder or a run, over the given genes.

    Args:
      table: `GENE_SET_COLUMNS`.
      genes: Entrez ids of the background; other members are left out.
    """
    column = {gene: place for place, gene in enumerate(genes)}
    members = np.zeros((len(table), len(genes)), bool)
    for row, listed in enumerate(table["genes"]):
        members[row, [column[gene] for gene in listed if gene in column]] = True
    return GeneSets(
        tuple(table["collection"]), tuple(table["set_id"]), tuple(table["name"]), members
    )


def term_sets(graph: KnowledgeGraph) -> GeneSets:
    """The measured genes of every GO term and its descendants over is_a and part_of.

    Raises:
      InputError: is_a and part_of form a cycle.
    """
    members = np.zeros((graph.num_terms, graph.num_genes), bool)
    annotated = sorted_pairs(graph.annotated_to.senders, graph.annotated_to.receivers)
    members[annotated[:, 1], annotated[:, 0]] = True
    links = term_links(graph)
    # Children before parents, so that a child is complete when its genes pass to its parents.
    for level in term_levels(graph):
        for child, parent in links[np.isin(links[:, 0], level)]:
            members[parent] |= members[child]
    return GeneSets(
        collection=tuple(
            f"go {namespace.replace('_', ' ')}" for namespace in graph.terms["namespace"]
        ),
        ids=tuple(graph.terms["go_id"]),
        names=tuple(graph.terms["name"]),
        members=members[:, : graph.num_landmarks],
    )


def joined(*parts: GeneSets) -> GeneSets:
    """Concatenates sets over the same genes."""
    return GeneSets(
        collection=sum((part.collection for part in parts), ()),
        ids=sum((part.ids for part in parts), ()),
        names=sum((part.names for part in parts), ()),
        members=np.concatenate([part.members for part in parts]),
    )
