"""Quality of new signatures, and how similar they are to a run's training signatures."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from moa_jax.calibration.calibration_store import CalibrationAnswers
from moa_jax.calibration.nearest_neighbours import nearest_cosine
from moa_jax.calibration.quality_gates import SignatureQuality, check_signatures, run_limits
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.models.experts import EXPERTS, SIGNATURE_KERNEL
from moa_jax.models.kernel_experts import KernelInputs
from moa_jax.schemas import Examples
from moa_jax.training.runs.predictor import Predictor

# Maximum number of training signatures in the reference distribution.
_MAX_PROBES = 1_000


def signature_quality(
    predictor: Predictor,
    examples: Examples,
    encoded: EncodedExamples,
    store: Mapping[str, CalibrationAnswers],
    references: pd.DataFrame | None,
) -> SignatureQuality:
    """Applies the quality gates to new signatures, with limits from the run.

    Args:
      predictor: the run's model.
      examples: signatures, or structures without expression.
      encoded: the same as model inputs.
      store: the run's calibration store; may be empty.
      references: its `kernels.references.read_references`, if it has any.
    """
    strength = store["expression"].strength if "expression" in store else np.empty(0)
    within = np.empty(0)
    if references is not None:
        within = similarity_within_training(predictor, references, examples.gene_mask)
    return check_signatures(
        examples,
        predictor.features,
        run_limits(strength, within),
        similarity_to_training(predictor, encoded),
    )


def similarity_to_training(
    predictor: Predictor, examples: EncodedExamples
) -> Float[np.ndarray, " example"]:
    """Largest cosine of each signature with a training signature, as in the signature kernel.

    Signatures are centred within their cell line; the cosine is over the measured genes. NaN if
    the model has no signature kernel and therefore no training signatures.
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
    """Largest cosine of training signatures with those of other compounds, as a reference.

    Args:
      predictor: a fusion model.
      references: its `kernels.references.read_references`.
      gene_mask: measured genes of the new signatures.

    Returns:
      One value for each of at most 1,000 evenly spaced training signatures; empty if the model has
      none or all are of one compound.
    """
    groups = references.loc[references["expert"] == SIGNATURE_KERNEL, "group"].to_numpy(str)
    if SIGNATURE_KERNEL not in predictor.task.model.experts or len(set(groups)) < 2:
        return np.empty(0)
    signatures = np.asarray(jax.device_get(predictor.params)[SIGNATURE_KERNEL]["references"])[
        :, gene_mask
    ]
    length = np.linalg.norm(signatures, axis=1, keepdims=True)
    unit = signatures / np.where(length > 0, length, 1.0)
    count = len(groups)
    probes = np.unique(np.linspace(0, count - 1, min(count, _MAX_PROBES)).astype(int))
    cosine = (unit[probes] @ unit.T).astype(np.float64)
    return np.where(groups[probes][:, None] == groups[None], -np.inf, cosine).max(axis=1)
