"""Baselines: signatures without the effect that is to be explained.

All are in the units of encoded examples (standardised by the training signatures) and have the
shape `[example, baseline, gene]`; genes that were not measured are 0.

A model that compares directions, as the signature kernel does, has no gradient along a line through
the point that it centres on: on the line from a cell line's mean its output is constant except at
the mean itself, so integrated gradients from there miss the whole difference, and the completeness
gap is large. For such a model use `no_change` or `reference_draws`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from moa_jax.data.examples.features import EncodedExamples, FeatureSpec
from moa_jax.models.experts import SIGNATURE_KERNEL
from moa_jax.models.kernel_experts import reference_signatures
from moa_jax.schemas import InputError
from moa_jax.training.runs.predictor import Predictor

Baselines = Float32[np.ndarray, "example baseline gene"]


def no_change(examples: EncodedExamples, features: FeatureSpec) -> Baselines:
    """A signature of zeros: no gene changed relative to the vehicle."""
    zeros = -features.mean / features.scale
    return _masked(examples, np.tile(zeros, (examples.num_examples, 1, 1)))


def cell_line_means(
    examples: EncodedExamples, offsets: Float[np.ndarray, "cell_line gene"]
) -> Baselines:
    """The mean training signature of each example's cell line; see `cell_line_offsets`."""
    return _masked(examples, offsets[examples.cell_line][:, None])


def cell_line_offsets(predictor: Predictor) -> Float32[np.ndarray, "cell_line gene"]:
    """Mean standardised training signature of every cell line, a parameter of the signature kernel.

    The unknown cell line, and any without a signature, has the overall mean, which is 0.
    """
    return np.asarray(predictor.params[SIGNATURE_KERNEL]["offsets"])


def reference_draws(
    examples: EncodedExamples, predictor: Predictor, *, num_baselines: int, seed: int = 0
) -> Baselines:
    """Random references of the signature kernel, shifted to each example's cell line.

    Raises:
      InputError: the model has no signature kernel.
    """
    if SIGNATURE_KERNEL not in predictor.params:
        raise InputError("the model has no signature kernel and therefore no references.")
    kernel = predictor.params[SIGNATURE_KERNEL]
    references = np.asarray(reference_signatures(kernel))
    rows = np.random.default_rng(seed).integers(
        len(references), size=(examples.num_examples, num_baselines)
    )
    moved = references[rows] / np.asarray(kernel["gene_scale"])
    return _masked(examples, moved + np.asarray(kernel["offsets"])[examples.cell_line][:, None])


def _masked(
    examples: EncodedExamples, signatures: Float[np.ndarray, "example baseline gene"]
) -> Baselines:
    return np.where(examples.gene_mask, signatures, 0.0).astype(np.float32)
