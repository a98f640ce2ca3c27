"""Quality of new signatures and confidence in predictions, from what a run's folder keeps."""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from moa_jax.calibration.calibration_store import CALIBRATION_FILE, read_calibration_store
from moa_jax.calibration.calibrator import Calibrator, fit_calibrator
from moa_jax.calibration.nearest_neighbours import nearest_cosine
from moa_jax.calibration.quality_gates import SignatureQuality, check_signatures, run_limits
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.kernels.references import REFERENCES_FILE, read_references
from moa_jax.models.experts import EXPERTS, SIGNATURE_KERNEL
from moa_jax.models.kernel_experts import KernelInputs
from moa_jax.schemas import Examples
from moa_jax.training.runs.predictor import Predictor

# Training signatures that the reference distribution is computed from, at most.
_MAX_PROBES = 1_000


def quality_and_calibrators(
    workdir: pathlib.Path, predictor: Predictor, examples: Examples, encoded: EncodedExamples
) -> tuple[SignatureQuality, dict[str, Calibrator]]:
    """Judges new signatures, and calibrates the predictions of a run.

    Args:
      workdir: folder of the run.
      predictor: its model.
      examples: new signatures, or structures without one.
      encoded: the same as the model's inputs.

    Returns:
      The quality of each signature; and view -> calibration, empty where the run kept no
      out-of-sample answers.

    Raises:
      InputError: a file of the run is damaged.
    """
    calibrators: dict[str, Calibrator] = {}
    strength = np.empty(0)
    if (workdir / CALIBRATION_FILE).exists():
        kept = read_calibration_store(workdir, predictor.features.moas)
        strength = kept["expression"].strength if "expression" in kept else strength
        calibrators = {
            view: fit_calibrator(own.probs, own.labels, own.is_learnable)
            for view, own in kept.items()
        }
    within = np.empty(0)
    if (workdir / REFERENCES_FILE).exists():
        references = read_references(workdir)
        within = similarity_within_training(predictor, references, examples.gene_mask)
    quality = check_signatures(
        examples,
        predictor.features,
        run_limits(strength, within),
        similarity_to_training(predictor, encoded),
    )
    return quality, calibrators


def similarity_to_training(
    predictor: Predictor, examples: EncodedExamples
) -> Float[np.ndarray, " example"]:
    """Largest cosine of each signature with a training signature, as the signature kernel has it.

    Signatures are centred within their cell line; the cosine is over the measured genes. NaN where
    the model has no signature kernel and so keeps no training signatures.
    """
    if SIGNATURE_KERNEL not in predictor.task.model.experts:
        return np.full(examples.num_examples, np.nan)
    params = jax.device_get(predictor.params)[SIGNATURE_KERNEL]
    measured = examples.gene_mask
    inputs = KernelInputs(
        expression=jnp.asarray(examples.expression),
        gene_mask=jnp.broadcast_to(measured, examples.expression.shape),
        cell_line=jnp.asarray(examples.cell_line),
        substructures=jnp.asarray(examples.substructures[examples.structure]),
    )
    comparison = EXPERTS[SIGNATURE_KERNEL].comparison(predictor.task.model)
    signatures = comparison.represent(jax.tree.map(jnp.asarray, params), inputs, predictor.graph)
    references = np.asarray(params["references"])
    return nearest_cosine(np.asarray(signatures)[:, measured], references[:, measured])


def similarity_within_training(
    predictor: Predictor, references: pd.DataFrame, gene_mask: Bool[np.ndarray, " gene"]
) -> Float[np.ndarray, " reference"]:
    """The same for training signatures against other compounds: the reference distribution.

    Args:
      predictor: a fusion model.
      references: what `kernels.references.read_references` read from the run's folder.
      gene_mask: genes that new signatures measure.

    Returns:
      One value for each of at most 1,000 training signatures, evenly spaced; empty where the model
      keeps none or all are of one compound.
    """
    own = references[references["expert"] == SIGNATURE_KERNEL]
    groups = own["group"].to_numpy(str)
    if SIGNATURE_KERNEL not in predictor.task.model.experts or len(set(groups)) < 2:
        return np.empty(0)
    signatures = np.asarray(jax.device_get(predictor.params)[SIGNATURE_KERNEL]["references"])[
        :, gene_mask
    ]
    length = np.linalg.norm(signatures, axis=1, keepdims=True)
    unit = signatures / np.where(length > 0, length, 1.0)
    probes = np.unique(np.linspace(0, len(own) - 1, min(len(own), _MAX_PROBES)).astype(int))
    cosine = (unit[probes] @ unit.T).astype(np.float64)
    return np.where(groups[probes][:, None] == groups[None], -np.inf, cosine).max(axis=1)
