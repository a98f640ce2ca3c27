"""The tables about proteins: what they add to an answer, and the edges that carry evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.explanation.attribution.carried_evidence import CarriedEvidence
from moa_jax.explanation.attribution.protein_paths import (
    NetworkPaths,
    network_paths,
    passed_along_edges,
    passing_shares,
)
from moa_jax.explanation.attribution.target import moa_directions
from moa_jax.explanation.evidence.carrying_edges import (
    MECHANISM,
    EdgeAnswer,
    edge_tables,
    protein_answer,
)
from moa_jax.explanation.evidence.protein_evidence import (
    ProteinEvidence,
    protein_evidence,
    protein_table,
)
from moa_jax.models.encoders.evidence import PassingShares
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.progress import say
from moa_jax.schemas import ACTIONS, KnowledgeGraph
from moa_jax.training.runs.predictor import Predictor

# Proteins of each compound for which the edges are explained: those that rank first.
NUM_ANSWERS = 3


@dataclasses.dataclass(frozen=True)
class ExplainedProteins:
    """What is known about the proteins behind the answers for some examples.

    Attributes:
      evidence: the closed form's evidence.
      carried: what carries it along edges.
      paths: what the protein network makes of it; None in a model without it.
      shares: the network's edges; likewise.
    """

    evidence: ProteinEvidence
    carried: CarriedEvidence
    paths: NetworkPaths | None
    shares: PassingShares | None

    def tables(
        self,
        rows: Int[np.ndarray, " row"],
        moa: int,
        *,
        moas: Sequence[str],
        graph: KnowledgeGraph,
        ligands: Int[np.ndarray, " protein"],
        targets: Sequence[str],
    ) -> dict[str, pd.DataFrame]:
        """The tables `proteins`, `edges` and `edge_sums` of a compound.

        Args:
          rows: the compound's examples.
          moa: column of the MoA that is explained.
          moas: name of each MoA.
          graph: the knowledge graph.
          ligands: see `protein_table`.
          targets: see `protein_table`.
        """
        network = np.zeros(len(self.evidence.proteins))
        if self.paths is not None:
            network = self.paths.of_evidence[rows].mean(axis=0)
        proteins = protein_table(
            self.evidence,
            rows,
            moa,
            network=network,
            graph=graph,
            ligands=ligands,
            targets=targets,
        )
        found = [] if self.paths is None else [self._mechanism(rows, moas[moa])]
        by_protein = self._by_protein(rows)
        for symbol in proteins["symbol"].head(NUM_ANSWERS):
            place = self.evidence.proteins.index(symbol)
            found.append(protein_answer(self.carried, self.evidence.proteins, by_protein, place))
        return {"proteins": proteins, **edge_tables(found, self.carried, graph)}

    def _by_protein(self, rows: Int[np.ndarray, " row"]) -> Float[np.ndarray, " protein"]:
        """Evidence that the compound acts on each protein, from both kernels."""
        total = sum(values[rows].mean(axis=0) for values in self.evidence.for_targets.values())
        return total.reshape(len(ACTIONS), -1).sum(axis=0).astype(np.float64)

    def _mechanism(self, rows: Int[np.ndarray, " row"], name: str) -> EdgeAnswer:
        """What the network adds to the score of a mechanism."""
        assert self.paths is not None
        assert self.shares is not None
        edges = self.carried.contributions(self.paths.factors(self.carried, rows))
        edges += passed_along_edges(
            self.shares,
            self.carried,
            self.paths.by_passed[rows].astype(np.float64) / len(rows),
            self.paths.evidence[rows].sum(axis=(1, 2)).astype(np.float64),
        )
        return EdgeAnswer(
            name=name,
            kind=MECHANISM,
            score=float(self.paths.score[rows].mean()),
            without_edges=float(self.paths.without_edges[rows].mean()),
            edges=edges,
        )


def explain_proteins(
    predictor: Predictor,
    encoded: EncodedExamples,
    graph: KnowledgeGraph,
    carried: CarriedEvidence | None,
    moas: Int[np.ndarray, " example"],
) -> ExplainedProteins | None:
    """Explains examples by proteins; None if the model does not answer through them.

    Args:
      predictor: a fusion model.
      encoded: the examples.
      graph: the knowledge graph that it was trained with.
      carried: what carries evidence in this model; None if nothing does.
      moas: the MoA to explain, for each example.
    """
    evidence = protein_evidence(predictor, encoded, graph)
    if evidence is None or carried is None:
        return None
    paths, shares = None, None
    if PROTEIN_NETWORK in predictor.task.model.experts:
        say("attributing what the protein network adds to proteins and edges")
        directions = moa_directions(moas[:, None], len(predictor.features.moas))
        paths = network_paths(predictor, encoded, directions, carried)
        shares = passing_shares(predictor)
    return ExplainedProteins(evidence, carried, paths, shares)
