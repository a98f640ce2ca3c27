"""How well the targets of held-out compounds are predicted: tables in the folder of a run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.target_metrics import (
    per_protein_table,
    precision_by_stratum,
    reliability_of_pairs,
)
from moa_jax.files import write_json
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import file_name, write_csv
from moa_jax.predictions.target_model import TargetModel
from moa_jax.schemas import Examples
from moa_jax.training.target_answers import known_actions

TARGET_METRICS_FILE, PER_TARGET_FILE = "target_metrics.json", "per_target.csv"
# The baseline: proteins in the order of their number of training ligands.
FREQUENCY = "frequency"


@dataclasses.dataclass(frozen=True)
class TargetResults:
    """Predicted targets of held-out compounds that have a known one.

    Attributes:
      release: name of the release, which heads every table.
      groups: the compounds, sorted.
      symbols: all genes of the graph.
      num_ligands: training compounds that are known to act on each gene.
      probs: view -> probabilities of known targets.
      is_target: known targets.
    """

    release: str
    groups: tuple[str, ...]
    symbols: tuple[str, ...]
    num_ligands: Int[np.ndarray, " gene"]
    probs: Mapping[str, Float[np.ndarray, "compound gene"]]
    is_target: Bool[np.ndarray, "compound gene"]

    @property
    def ranked(self) -> Int[np.ndarray, " protein"]:
        """The genes with a ligand in training or among these compounds."""
        return np.flatnonzero((self.num_ligands > 0) | self.is_target.any(axis=0))

    def precision(self) -> pd.DataFrame:
        """Mean average precision among `ranked`, by the rarest target."""
        ranked, num_ligands = self.ranked, self.num_ligands[self.ranked]
        scores = {view: probs[:, ranked] for view, probs in self.probs.items()}
        scores[FREQUENCY] = np.tile(num_ligands.astype(float), (len(self.groups), 1))
        return precision_by_stratum(scores, self.is_target[:, ranked], num_ligands)

    def reliability(self, *, with_ligands: bool) -> pd.DataFrame:
        """Stated and observed probabilities, genes with ligands and without apart (`fusion`)."""
        columns = (self.num_ligands > 0) == with_ligands
        probs = self.probs["fusion"][:, columns]
        return reliability_of_pairs(probs.ravel(), self.is_target[:, columns].ravel())

    def per_protein(self) -> pd.DataFrame:
        """`per_protein_table` of each view."""
        tables = [
            per_protein_table(probs, self.is_target, self.num_ligands, self.symbols).assign(
                view=view
            )
            for view, probs in self.probs.items()
        ]
        return pd.concat(tables, ignore_index=True)


def target_results(
    model: TargetModel,
    scores: Mapping[str, Float[np.ndarray, "compound gene"]],
    examples: Examples,
    release: str,
) -> TargetResults | None:
    """Results of held-out compounds; None if no compound has a known target, or no calibrator.

    Args:
      model: of the run.
      scores: `pooled_scores` of the examples.
      examples: the held-out examples.
      release: name of their release.
    """
    symbols = model.graph.genes["symbol"].tolist()
    known = known_actions(examples, symbols).any(axis=0)
    _, is_target, groups = pool_by_compound(np.zeros(known.shape), known, examples.groups)
    rows = np.flatnonzero(is_target.any(axis=1))
    views = [view for view in VIEWS if view in scores and view in model.calibrators]
    if not len(rows) or "fusion" not in views:
        return None
    return TargetResults(
        release=release,
        groups=tuple(groups[row] for row in rows),
        symbols=tuple(symbols),
        num_ligands=model.num_ligands,
        probs={
            view: model.calibrators[view].probability(scores[view][rows], model.num_ligands)
            for view in views
        },
        is_target=is_target[rows] > 0,
    )


def write_target_results(folder: pathlib.Path, results: TargetResults) -> None:
    """Writes `target_metrics.json` and `per_target.csv`, with a prefix for a simulated release.

    Raises:
      InputError: the disk is full or the folder cannot be written.
    """
    metrics = {
        "mean_average_precision": results.precision().to_dict(orient="records"),
        "reliability_with_ligands": results.reliability(with_ligands=True).to_dict(
            orient="records"
        ),
        "reliability_by_graph": results.reliability(with_ligands=False).to_dict(orient="records"),
    }
    write_json(folder / file_name(TARGET_METRICS_FILE, results.release), metrics)
    write_csv(folder / file_name(PER_TARGET_FILE, results.release), results.per_protein())
