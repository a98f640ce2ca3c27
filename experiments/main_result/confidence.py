"""Calibration, abstention and label sets of the shipped model on test compounds.

    python -m experiments.main_result.confidence --data=data/lincs2020 --out=runs/trust

trains the five folds of the compound split (kept in OUT and not trained again), calibrates the
answers for their test compounds as `predict` does, and prints one line per view over all folds.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.explanation_audit.folds import trained_run
from experiments.main_result.held_out_answers import held_out_answers
from moa_jax.calibration.calibrator import CalibratedAnswers
from moa_jax.calibration.conformal_sets import set_quality
from moa_jax.command_line import load_config
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.evaluation.metrics import Labels
from moa_jax.evaluation.risk_coverage import aurc
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.schemas import InputError

NUM_FOLDS = 5


def calibrated_by_run(folder: pathlib.Path) -> dict[str, tuple[CalibratedAnswers, Labels]]:
    """View -> the calibrated answers for a run's held-out compounds, and their labels.

    Raises:
      InputError: the calibration store has too few compounds.
    """
    found = held_out_answers(folder)
    return {view: (own.calibrated, own.labels.astype(np.float64)) for view, own in found.items()}


def trust_row(calibrated: Sequence[tuple[CalibratedAnswers, Labels]]) -> dict[str, float]:
    """Measures of calibration over the compounds of several runs."""
    confidence = np.concatenate([own.confidence for own, _ in calibrated])
    answered = np.concatenate([own.is_answered for own, _ in calibrated])
    labels = np.concatenate([labels for _, labels in calibrated])
    first = np.concatenate([own.probs.argmax(axis=1) for own, _ in calibrated])
    right = labels[np.arange(len(labels)), first] > 0
    sets = set_quality(np.concatenate([own.in_set for own, _ in calibrated]), labels)
    return {
        "compounds": len(labels),
        "Brier": float(((confidence - right) ** 2).mean()),
        "AURC": aurc(confidence, right),
        "answered": float(answered.mean()),
        "right of those": float(right[answered].mean()) if answered.any() else float("nan"),
        "set covers": sets["coverage"],
        "MoAs in set": sets["mean_size"],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Trains where needed, calibrates and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--out", required=True, help="folder of the runs; one per setting below")
    parser.add_argument("--config", default="configs/kernels.py")
    parser.add_argument(
        "--without-structure-only", action="store_true", help="no structure-only compounds"
    )
    settings = parser.parse_args(argv)
    config = load_config(settings.config)
    config.data = settings.data
    config.structure_only_compounds &= not settings.without_structure_only
    try:
        release = read_prepared(settings.data).manifest["release"]
        runs = [
            calibrated_by_run(trained_run(config, pathlib.Path(settings.out), fold=fold, seed=0))
            for fold in range(NUM_FOLDS)
        ]
    except InputError as error:
        parser.error(str(error))
    rows = [{"view": view} | trust_row([run[view] for run in runs]) for view in VIEWS]
    print(f"Release: {release}\n\n{markdown_table(rows)}")


if __name__ == "__main__":
    main()
