"""Scales of the experts of the fusion model, fitted to out-of-sample answers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import scipy.optimize
import scipy.sparse
import scipy.special
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.models.experts import SHOWN_IN
from moa_jax.models.fusion import VIEWS
from moa_jax.schemas import Batch, Examples, GraphArrays
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.sharding import shard

# Range of a scale; an expert at the lower end hardly counts.
SCALE_BOUNDS = (0.01, 100.0)
# Below it a probability counts as this one.
MIN_PROB = 1e-12

# Logits of the experts for every example; zeros where an expert does not answer.
Evidence = Float[np.ndarray, "expert example moa"]
# View -> expert -> scale.
Scales = Mapping[str, Mapping[str, float]]


def fit_expert_scales(
    start: Scales, asked: Mapping[str, tuple[Evidence, Examples]], *, prior_strength: float
) -> dict[str, dict[str, float]]:
    """Maximum a posteriori scales for the pooled answers about compounds, view by view.

    Minimises the negative log likelihood of the compounds' labels in the logarithm of the scales
    (temperature scaling: Guo 2017; product of experts: Hinton 2002). Few compounds cannot tell
    much, so the logarithms have a Gaussian prior centred on `start`.

    Args:
      start: scales around which the prior lies, in the model's order of the experts.
      asked: view -> out-of-sample logits of the experts, and the labelled examples they are for.
      prior_strength: inverse variance of the prior; 0 for none.

    Returns:
      View -> expert -> scale. An expert that does not answer in a view keeps its scale.
    """
    scales = {}
    for view, (evidence, examples) in asked.items():
        around = np.array(list(start[view].values()), np.float32).astype(np.float64)
        fitted = fit_view_scales(around, evidence, examples, prior_strength=prior_strength)
        scales[view] = dict(zip(start[view], fitted.tolist(), strict=True))
    return scales


def scale_array(scales: Scales) -> Float32[np.ndarray, "view expert"]:
    """Scales as the model's parameter, one row per view in the order of `VIEWS`."""
    return np.array([list(scales[view].values()) for view in VIEWS], np.float32)


def combined_probs(
    view: str, scales: Scales, evidence: Evidence, examples: Examples
) -> Float[np.ndarray, "example moa"]:
    """Probabilities in a view, as the model computes them: scales depend on what is measured.

    Args:
      view: one of `VIEWS`.
      scales: view -> expert -> scale.
      evidence: logits of the experts in this view.
      examples: the examples.
    """
    expression, structure = SHOWN_IN[view]
    shown = (examples.has_expression & expression, examples.has_structure & structure)
    own = np.zeros(evidence.shape[:2], np.float32)
    for name, reads in SHOWN_IN.items():
        # Without either modality the scales are those of both.
        here = (shown[0] == reads[0]) & (shown[1] == reads[1])
        if name == "fusion":
            here |= ~shown[0] & ~shown[1]
        own[:, here] = np.array(list(scales[name].values()), np.float32)[:, None]
    logits = np.einsum("en,enm->nm", own, evidence, optimize=True)
    return scipy.special.softmax(logits, axis=1)


def fit_view_scales(
    start: Float[np.ndarray, " expert"],
    evidence: Evidence,
    validation: Examples,
    *,
    prior_strength: float,
) -> Float[np.ndarray, " expert"]:
    """Scales of one view; see `fit_expert_scales`.

    Args:
      start: the scales around which the prior lies.
      evidence: out-of-sample logits of the experts.
      validation: the examples they are for; each has a label.
      prior_strength: see `fit_expert_scales`.
    """
    if not validation.num_examples:
        return start
    has_modality_here = np.flatnonzero(np.abs(evidence).max(axis=(1, 2)) > 0)
    if not len(has_modality_here):
        return start
    center = np.log(start[has_modality_here])
    likelihood = _Likelihood.of(evidence[has_modality_here], validation)
    precision = prior_strength / len(likelihood.share)

    def objective(
        logs: Float[np.ndarray, " heard"],
    ) -> tuple[float, Float[np.ndarray, " heard"]]:
        value, slope = likelihood(np.exp(logs))
        away = logs - center
        return value + 0.5 * precision * float(away @ away), slope * np.exp(logs) + precision * away

    found = scipy.optimize.minimize(
        objective,
        center,
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(np.log(SCALE_BOUNDS))] * len(center),
        options={"ftol": 1e-12, "gtol": 1e-8},
    )
    scales = start.copy()
    scales[has_modality_here] = np.exp(found.x)
    return scales


@dataclasses.dataclass(frozen=True)
class _Likelihood:
    """Mean negative log likelihood of the compounds' labels as a function of the scales.

    Attributes:
      evidence: logits of the experts that answer.
      pooling: takes the mean of each compound's examples.
      share: labels of each compound, summing to 1.
    """

    evidence: Float[np.ndarray, "heard example moa"]
    pooling: scipy.sparse.csr_array
    share: Float[np.ndarray, "compound moa"]

    @classmethod
    def of(
        cls, evidence: Float[np.ndarray, "heard example moa"], validation: Examples
    ) -> _Likelihood:
        """The likelihood of labelled examples."""
        _, labels, names = pool_by_compound(validation.labels, validation.labels, validation.groups)
        place = {name: row for row, name in enumerate(names)}
        rows = np.array([place[group] for group in validation.groups])
        counts = np.bincount(rows)
        pooling = scipy.sparse.csr_array(
            (1.0 / counts[rows], (rows, np.arange(len(rows)))), shape=(len(names), len(rows))
        )
        return cls(evidence, pooling, labels / labels.sum(axis=1, keepdims=True))

    def __call__(
        self, scales: Float[np.ndarray, " heard"]
    ) -> tuple[float, Float[np.ndarray, " heard"]]:
        """The value and its gradient."""
        probs = scipy.special.softmax(np.tensordot(scales, self.evidence, axes=1), axis=-1)
        pooled = self.pooling @ probs
        likely = np.maximum(pooled, MIN_PROB)
        value = -float((self.share * np.log(likely)).sum(axis=1).mean())
        slope = np.where(pooled > MIN_PROB, -self.share / likely, 0.0) / len(self.share)
        of_probs = self.pooling.T @ slope
        of_logits = probs * (of_probs - (probs * of_probs).sum(axis=1, keepdims=True))
        return value, np.tensordot(self.evidence, of_logits, axes=([1, 2], [0, 1]))


def expert_evidence(predictor: Predictor, examples: Examples) -> dict[str, Evidence]:
    """Logits of each expert for every example, in each of the three views."""
    task = predictor.task

    # Replicated, so that every process can read all of it.
    @functools.partial(jax.jit, out_shardings=NamedSharding(predictor.mesh, PartitionSpec()))
    def evidence(params: Any, batch: Batch, graph: GraphArrays) -> dict[str, Array]:
        return task.evidence(params, batch, graph)

    parts = [
        jax.device_get(evidence(predictor.params, shard(batch, predictor.mesh), predictor.graph))
        for batch in evaluation_batches(
            predictor.encode(examples), predictor.batch_size, num_shards=predictor.mesh.size
        )
    ]
    return {
        view: np.concatenate([part[view] for part in parts], axis=1, dtype=np.float64)[
            :, : examples.num_examples
        ]
        for view in VIEWS
    }


def learnable_evidence(out_of_fold: LeaveOneOutAnswers) -> dict[str, tuple[Evidence, Examples]]:
    """View -> logits for the examples whose mechanism another compound shares, and these."""
    learnable, found = out_of_fold.learnable(), {}
    for view in VIEWS:
        rows = np.flatnonzero(out_of_fold.answered(view) & learnable.any(axis=1))
        asked = dataclasses.replace(out_of_fold.examples.take(rows), labels=learnable[rows])
        found[view] = out_of_fold.evidence(view)[:, rows].astype(np.float64), asked
    return found
