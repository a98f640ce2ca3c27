"""Selection of gene nodes beside the landmarks, and STRING's edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from moa_jax.knowledge.gene_identifiers import entrez_order
from moa_jax.knowledge.string_db import MAX_SCORE
from moa_jax.schemas import EdgeSet


def gene_interactions(
    string_links: pd.DataFrame, protein_genes: Mapping[str, str], min_score: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """STRING links between genes, each pair of genes once with its highest score.

    Args:
      string_links: output of `string_db.read_string_links`.
      protein_genes: protein -> Entrez id.
      min_score: links with a lower combined_score are left out.

    Returns:
      Columns `gene1 gene2 combined_score`, gene1 < gene2 as text, sorted; and the number of links
      left out, by reason.
    """
    strong = string_links[string_links["combined_score"] >= min_score]
    ends = pd.DataFrame(
        {
            "gene1": strong["protein1"].map(protein_genes),
            "gene2": strong["protein2"].map(protein_genes),
            "combined_score": strong["combined_score"],
        }
    ).dropna()
    dropped = {
        "STRING link below the graph's min_score": len(string_links) - len(strong),
        "STRING link of a protein without a gene": len(strong) - len(ends),
        "STRING link between proteins of one gene": int((ends["gene1"] == ends["gene2"]).sum()),
    }
    ends = ends[ends["gene1"] != ends["gene2"]]
    swapped = ends["gene1"] > ends["gene2"]
    first = ends["gene1"].where(~swapped, ends["gene2"])
    second = ends["gene2"].where(~swapped, ends["gene1"])
    ends = ends.assign(gene1=first, gene2=second)
    pairs = ends.groupby(["gene1", "gene2"], as_index=False)["combined_score"].max()
    dropped["STRING link between genes linked already"] = len(ends) - len(pairs)
    return pairs, dropped


def select_genes(
    landmark_ids: Sequence[str],
    target_ids: Sequence[str],
    interactions: pd.DataFrame,
    *,
    max_hops: int,
    max_genes: int,
) -> list[str]:
    """Chooses the gene nodes.

    Landmarks and targets are always kept. Their neighbours are added hop by hop, the most strongly
    connected first. The strength is the sum of a neighbour's scores to the genes already chosen,
    divided by the square root of the sum of all its scores: with the plain sum, ribosome and
    proteasome genes fill the graph in real data and double its edges without connecting more
    landmarks.

    Args:
      landmark_ids: Entrez ids, in the order of the signatures' genes.
      target_ids: Entrez ids.
      interactions: output of `gene_interactions`.
      max_hops: maximum distance of a neighbour from a landmark or target.
      max_genes: number of genes at which no more neighbours are added.

    Returns:
      Entrez ids: the landmarks in their order, then other targets and neighbours, each sorted.
    """
    others = sorted(set(target_ids) - set(landmark_ids), key=entrez_order)
    chosen = {*landmark_ids, *others}
    neighbours: list[str] = []
    both = pd.concat(
        [interactions, interactions.rename(columns={"gene1": "gene2", "gene2": "gene1"})]
    )
    total = both.groupby("gene1")["combined_score"].sum()
    for _ in range(max_hops):
        room = max(max_genes - len(chosen), 0)
        frontier = both[both["gene2"].isin(chosen) & ~both["gene1"].isin(chosen)]
        score = frontier.groupby("gene1")["combined_score"].sum()
        strength = (score / np.sqrt(total.reindex(score.index))).to_dict()
        added = sorted(strength, key=lambda gene: (-strength[gene], entrez_order(gene)))[:room]
        neighbours += added
        chosen.update(added)
    return [*landmark_ids, *others, *sorted(neighbours, key=entrez_order)]


def interaction_edges(interactions: pd.DataFrame, gene_ids: Sequence[str]) -> EdgeSet:
    """The interactions between the gene nodes, each in both directions, sorted.

    The weight is combined_score / 1000.
    """
    row_of = {gene: row for row, gene in enumerate(gene_ids)}
    inside = interactions[interactions["gene1"].isin(row_of) & interactions["gene2"].isin(row_of)]
    first = inside["gene1"].map(row_of).to_numpy(np.int32)
    second = inside["gene2"].map(row_of).to_numpy(np.int32)
    weight = (inside["combined_score"].to_numpy() / MAX_SCORE).astype(np.float32)
    senders, receivers = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.lexsort((receivers, senders))
    return EdgeSet(senders[order], receivers[order], np.tile(weight, 2)[order])
