"""A finished run with the data that explanations need besides the model."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.calibration.calibration_store import CalibrationAnswers, read_calibration_store
from moa_jax.data.storage.graph_folder import read_gene_sets
from moa_jax.explanation.attribution.carried_evidence import CarriedEvidence, carried_evidence
from moa_jax.explanation.audit.target_ranking import TargetAudit, read_target_audit
from moa_jax.explanation.compound_page.tables import reference_residuals
from moa_jax.explanation.evidence.gene_sets import GeneSets, joined, listed_sets, term_sets
from moa_jax.files import read_json
from moa_jax.kernels.known_targets import count_ligands, read_known_targets
from moa_jax.kernels.protein_carry import gene_rows
from moa_jax.kernels.references import read_references
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.training.runs.run_folder import FinishedRun

# Smallest and largest gene set that is tested.
MIN_SET, MAX_SET = 5, 200


@dataclasses.dataclass(frozen=True)
class ExplainedRun:
    """A finished run with the data that explanations need besides the model.

    Attributes:
      run: the run.
      calibration_store: view -> the run's predictions for held-out compounds.
      references: references of its kernel experts (`kernels.references`).
      residuals: see `tables.reference_residuals`.
      sets: gene sets over the measured genes.
      ligands: number of training compounds that act on each protein of the model.
      carried: what carries evidence for proteins along edges; None if the model has none.
      target_audit: whether its ranking of proteins finds targets; None if the run has no audit.
    """

    run: FinishedRun
    calibration_store: Mapping[str, CalibrationAnswers]
    references: pd.DataFrame
    residuals: Float[np.ndarray, "residual gene"] | None
    sets: GeneSets
    ligands: Int[np.ndarray, " protein"]
    carried: CarriedEvidence | None
    target_audit: TargetAudit | None


def read_explained_run(workdir: pathlib.Path, run: FinishedRun) -> ExplainedRun:
    """Reads the data for explanations from a run's folder.

    Raises:
      InputError: a file is missing or damaged.
    """
    features = run.predictor.features
    sets = joined(
        term_sets(run.graph), listed_sets(read_gene_sets(workdir), list(run.genes["entrez_id"]))
    )
    references = read_references(workdir)
    return ExplainedRun(
        run=run,
        calibration_store=read_calibration_store(workdir, features.moas),
        references=references,
        residuals=reference_residuals(run.predictor.params, references),
        sets=sets.of_size(MIN_SET, MAX_SET),
        ligands=count_ligands(read_known_targets(workdir), features.proteins),
        carried=_carried(workdir, run),
        target_audit=read_target_audit(workdir),
    )


def _carried(workdir: pathlib.Path, run: FinishedRun) -> CarriedEvidence | None:
    """What carries evidence for proteins in a run's model; None if the model has none."""
    if PROTEINS not in run.predictor.params:
        return None
    config = ml_collections.ConfigDict(read_json(workdir / "config.json"))
    rows = gene_rows(run.graph, run.predictor.features.proteins)
    return carried_evidence(config.proteins, run.graph, rows)
