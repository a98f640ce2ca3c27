"""What a signature is compared with: signatures without the effect that is to be explained.

All are in the units of encoded examples (standardised by the training signatures) and have the
shape `[example, baseline, gene]`; genes that were not measured are 0.

A model that compares directions, as the signature kernel does, has no gradient towards the point
that it centres on: along the straight line from a cell line's own mean its answer is the same
everywhere but at the mean itself, so integrated gradients from there miss the whole difference.
For such a model use `no_change`, `reference_draws` or `training_draws`; the completeness gap
tells.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from moa_jax.data.features import EncodedExamples, FeatureSpec
from moa_jax.models.kernel_experts import reference_signatures
from moa_jax.schemas import InputError
from moa_jax.training.predictor import Predictor

Baselines = Float32[np.ndarray, "example baseline gene"]


def no_change(examples: EncodedExamples, features: FeatureSpec) -> Baselines:
    """A signature of zeros: no gene moved against the vehicle."""
    return _repeated(examples, -features.mean / features.scale)


def cell_line_means(
    examples: EncodedExamples, offsets: Float[np.ndarray, "cell_line gene"]
) -> Baselines:
    """The mean training signature of each example's cell line; see `cell_line_offsets`."""
    return _masked(examples, offsets[examples.cell_line][:, None])


def cell_line_offsets(
    predictor: Predictor, train: EncodedExamples | None = None
) -> Float32[np.ndarray, "cell_line gene"]:
    """Mean standardised training signature of every cell line of the vocabulary.

    The unknown cell line, and one without a signature, has the overall mean, which is 0.

    Args:
      predictor: a model; one with a signature kernel carries the means with it.
      train: its training examples, for another model.

    Raises:
      InputError: the model carries no means and there are no training examples.
    """
    if "signature_kernel" in predictor.params:
        return np.asarray(predictor.params["signature_kernel"]["offsets"])
    if train is None:
        raise InputError(
            "the model carries no means of its cell lines; give its training examples, too."
        )
    offsets = np.zeros((len(predictor.features.cell_lines), len(train.gene_mask)), np.float32)
    for line in range(1, len(offsets)):
        rows = train.has_expression & (train.cell_line == line)
        if rows.any():
            offsets[line] = train.expression[rows].mean(axis=0)
    return offsets


def training_draws(
    examples: EncodedExamples, train: EncodedExamples, *, num_baselines: int, seed: int = 0
) -> Baselines:
    """Training signatures of the same cell line, drawn with replacement.

    Of a cell line without training signatures those of all others are drawn.

    Raises:
      InputError: no training example has a signature.
    """
    known = np.flatnonzero(train.has_expression)
    if not len(known):
        raise InputError("no training example has a signature to compare with.")
    rows_of = {
        line: known[train.cell_line[known] == line] for line in np.unique(train.cell_line[known])
    }
    rng = np.random.default_rng(seed)
    rows = np.stack(
        [rng.choice(rows_of.get(line, known), num_baselines) for line in examples.cell_line]
    )
    return _masked(examples, train.expression[rows])


def reference_draws(
    examples: EncodedExamples, predictor: Predictor, *, num_baselines: int, seed: int = 0
) -> Baselines:
    """The signature kernel's references, moved to each example's cell line; drawn at random.

    What is needed travels with the checkpoint.

    Raises:
      InputError: the model has no signature kernel.
    """
    if "signature_kernel" not in predictor.params:
        raise InputError("the model has no signature kernel, so it carries no references.")
    kernel = predictor.params["signature_kernel"]
    references = np.asarray(reference_signatures(kernel))
    rows = np.random.default_rng(seed).integers(
        len(references), size=(examples.num_examples, num_baselines)
    )
    moved = references[rows] / np.asarray(kernel["gene_scale"])
    return _masked(examples, moved + np.asarray(kernel["offsets"])[examples.cell_line][:, None])


def vehicle_draws(
    examples: EncodedExamples,
    features: FeatureSpec,
    vehicle: Float[np.ndarray, "well gene"],
    *,
    num_baselines: int,
    seed: int = 0,
) -> Baselines:
    """Vehicle wells, drawn with replacement.

    Args:
      examples: encoded examples.
      features: their scales.
      vehicle: z-scores of vehicle wells over the same genes, in the units of the signatures.
      num_baselines: draws per example.
      seed: seed of the draws.

    Raises:
      InputError: there is no well, or it has other genes.
    """
    if not len(vehicle) or vehicle.shape[1] != len(features.genes):
        raise InputError(
            f"the vehicle wells are {vehicle.shape[0]} with {vehicle.shape[1]} genes; expected "
            f"at least one with {len(features.genes)}."
        )
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(vehicle), size=(examples.num_examples, num_baselines))
    return _masked(examples, ((vehicle - features.mean) / features.scale)[rows])


def _repeated(examples: EncodedExamples, signature: Float[np.ndarray, " gene"]) -> Baselines:
    return _masked(examples, np.tile(signature, (examples.num_examples, 1, 1)))


def _masked(
    examples: EncodedExamples, signatures: Float[np.ndarray, "example baseline gene"]
) -> Baselines:
    return np.where(examples.gene_mask, signatures, 0.0).astype(np.float32)
