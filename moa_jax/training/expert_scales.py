"""Scales of the experts of the fusion model, fitted to out-of-fold answers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import scipy.optimize
import scipy.special
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32, Int

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import average_precision
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.models.experts import SHOWN_IN, VIEWS
from moa_jax.schemas import Batch, Examples, GraphArrays
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.sharding import shard

# Range of a scale; an expert at the lower end has almost no effect.
SCALE_BOUNDS = (0.01, 1000.0)
# Factors of what a network adds to the closed form.
ADDED_SCALES = (0.0, 0.5, 1.0, 1.5, 2.0)
# Smaller probabilities are raised to this one.
MIN_PROB = 1e-12

# Logits of the experts for every example; zeros where an expert does not answer.
ExpertLogits = Float[np.ndarray, "expert example moa"]
# View -> expert -> scale.
Scales = Mapping[str, Mapping[str, float]]


def fit_expert_scales(
    prior: Scales, answers: Mapping[str, tuple[ExpertLogits, Examples]], *, prior_strength: float
) -> dict[str, dict[str, float]]:
    """Maximum a posteriori scales, view by view.

    Minimises the negative log likelihood of the compounds' labels, given their pooled answers, in
    the logarithms of the scales (temperature scaling: Guo 2017; product of experts: Hinton 2002).
    The logarithms have a Gaussian prior, because there are few compounds.

    Args:
      prior: scales on which the prior is centred, in the model's order of the experts.
      answers: view -> out-of-fold logits of the experts, and the labelled examples they are for.
      prior_strength: inverse variance of the prior; 0 for none.

    Returns:
      View -> expert -> scale. An expert that does not answer in a view keeps its scale.
    """
    scales = {}
    for view, (logits, examples) in answers.items():
        centre = np.array(list(prior[view].values()), np.float32).astype(np.float64)
        fitted = _fit_view_scales(centre, logits, examples, prior_strength=prior_strength)
        scales[view] = dict(zip(prior[view], fitted.tolist(), strict=True))
    return scales


def added_scale(
    logits: Float[np.ndarray, "example moa"],
    added: Float[np.ndarray, "example moa"],
    examples: Examples,
) -> float:
    """The factor out of `ADDED_SCALES` of what is added to logits by which compounds rank best.

    Ranks are those of each compound's labels (average precision): likelihood rewards what moves
    unlikely labels from far below to below. What gains less than one standard error of the
    compounds' gains is left out, for it may be chance (the rule of Breiman 1984).

    Args:
      logits: logits for labelled examples.
      added: what a model that was not trained on their compounds adds to them.
      examples: the examples.
    """
    if not examples.num_examples or not added.any():
        return 0.0

    def ranks(scale: float) -> Float[np.ndarray, " compound"]:
        probs = scipy.special.softmax(logits + scale * added, axis=1)
        pooled, labels, _ = pool_by_compound(probs, examples.labels, examples.groups)
        return average_precision(pooled.T, labels.T)

    without = ranks(0.0)
    gains = {scale: ranks(scale) - without for scale in ADDED_SCALES}
    # Of equals the smallest.
    best = max(gains, key=lambda scale: gains[scale].mean())
    gain = gains[best]
    return best if gain.mean() > gain.std() / np.sqrt(len(gain)) else 0.0


def scale_array(scales: Scales) -> Float32[np.ndarray, "view expert"]:
    """Scales as the model's parameter, one row per view in the order of `VIEWS`."""
    return np.array([list(scales[view].values()) for view in VIEWS], np.float32)


def combined_probs(
    view: str, scales: Scales, logits: ExpertLogits, examples: Examples
) -> Float[np.ndarray, "example moa"]:
    """Probabilities in a view, as the model computes them.

    An example's scales are those of the view that it is seen in (`experts.view_of`): one without a
    structure has the scales of `expression` in the view `fusion`, too.

    Args:
      view: one of `VIEWS`.
      scales: view -> expert -> scale.
      logits: logits of the experts in this view.
      examples: the examples.
    """
    expression, structure = SHOWN_IN[view]
    shown = (examples.has_expression & expression, examples.has_structure & structure)
    weights = np.zeros(logits.shape[:2], np.float32)
    for name, reads in SHOWN_IN.items():
        here = (shown[0] == reads[0]) & (shown[1] == reads[1])
        # An example without either modality has the scales of both.
        if name == "fusion":
            here |= ~shown[0] & ~shown[1]
        weights[:, here] = np.array(list(scales[name].values()), np.float32)[:, None]
    combined = np.einsum("en,enm->nm", weights, logits, optimize=True)
    return scipy.special.softmax(combined, axis=1)


def _fit_view_scales(
    prior: Float[np.ndarray, " expert"],
    logits: ExpertLogits,
    examples: Examples,
    *,
    prior_strength: float,
) -> Float[np.ndarray, " expert"]:
    """Scales of one view; see `fit_expert_scales`."""
    if not examples.num_examples:
        return prior
    answering = np.flatnonzero(np.abs(logits).max(axis=(1, 2)) > 0)
    if not len(answering):
        return prior
    center = np.log(prior[answering])
    likelihood = _Likelihood.of(logits[answering], examples)
    precision = prior_strength / len(set(examples.groups))

    def objective(
        logs: Float[np.ndarray, " expert"],
    ) -> tuple[float, Float[np.ndarray, " expert"]]:
        value, slope = likelihood(np.exp(logs))
        offset = logs - center
        penalty = 0.5 * precision * float(offset @ offset)
        return value + penalty, slope * np.exp(logs) + precision * offset

    fitted = scipy.optimize.minimize(
        objective,
        center,
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(np.log(SCALE_BOUNDS))] * len(center),
        options={"ftol": 1e-12, "gtol": 1e-8},
    )
    scales = prior.copy()
    scales[answering] = np.exp(fitted.x)
    return scales


@dataclasses.dataclass(frozen=True)
class _Likelihood:
    """Mean negative log likelihood of the compounds' labels as a function of the scales.

    A compound's probability of a MoA is the mean over its examples. Only the MoAs that a compound
    has enter: a pair is one of them in one of its examples.

    Attributes:
      logits: logits of the experts that answer.
      example: example of each pair.
      moa: MoA of each pair.
      label: the label, of a compound, that a pair belongs to.
      weight: one over the number of the compound's examples, by pair.
      share: share of each label among those of its compound, over the number of compounds.
    """

    logits: Float[np.ndarray, "example expert moa"]
    example: Int[np.ndarray, " pair"]
    moa: Int[np.ndarray, " pair"]
    label: Int[np.ndarray, " pair"]
    weight: Float[np.ndarray, " pair"]
    share: Float[np.ndarray, " label"]

    @classmethod
    def of(cls, logits: ExpertLogits, examples: Examples) -> _Likelihood:
        """The likelihood of labelled examples."""
        names, compound = np.unique(np.asarray(examples.groups, str), return_inverse=True)
        labels = np.zeros((len(names), examples.labels.shape[1]))
        example, moa = examples.labels.nonzero()
        np.maximum.at(labels, (compound[example], moa), examples.labels[example, moa])
        number = np.full(labels.shape, -1)
        of_compound, moa = labels.nonzero()
        number[of_compound, moa] = np.arange(len(moa))
        shares = labels / labels.sum(axis=1, keepdims=True) / len(labels)
        example, column = (number >= 0)[compound].nonzero()
        return cls(
            logits=np.ascontiguousarray(logits.transpose(1, 0, 2)),
            example=example,
            moa=column,
            label=number[compound[example], column],
            weight=1.0 / np.bincount(compound)[compound[example]],
            share=shares[of_compound, moa],
        )

    def __call__(
        self, scales: Float[np.ndarray, " expert"]
    ) -> tuple[float, Float[np.ndarray, " expert"]]:
        """The value and its gradient."""
        probs = scales @ self.logits
        probs -= probs.max(axis=1, keepdims=True)
        np.exp(probs, out=probs)
        probs /= probs.sum(axis=1, keepdims=True)
        likely = probs[self.example, self.moa] * self.weight
        pooled = np.bincount(self.label, likely, len(self.share))
        value = -float(self.share @ np.log(np.maximum(pooled, MIN_PROB)))
        slope = np.where(pooled > MIN_PROB, -self.share / np.maximum(pooled, MIN_PROB), 0.0)
        of_pair = slope[self.label] * likely
        # Of the softmax: the logits of the pairs, minus their mean under the probabilities.
        mean = (self.logits @ probs[:, :, None])[:, :, 0]
        of_logits = self.logits[self.example, :, self.moa] - mean[self.example]
        return value, of_pair @ of_logits


def expert_logits(predictor: Predictor, examples: Examples) -> dict[str, ExpertLogits]:
    """Logits of each expert for every example, in each of the three views."""
    task = predictor.task

    # Replicated, so that every process can read all of it.
    @functools.partial(jax.jit, out_shardings=NamedSharding(predictor.mesh, PartitionSpec()))
    def logits(params: Any, batch: Batch, graph: GraphArrays) -> dict[str, Array]:
        return task.expert_logits(params, batch, graph)

    parts = [
        jax.device_get(logits(predictor.params, shard(batch, predictor.mesh), predictor.graph))
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


def learnable_logits(answers: LeaveOneOutAnswers) -> dict[str, tuple[ExpertLogits, Examples]]:
    """View -> the examples that share a mechanism with another compound, after their logits."""
    learnable, of_view = answers.learnable(), {}
    for view in VIEWS:
        rows = learnable_rows(answers, view)
        examples = dataclasses.replace(answers.examples.take(rows), labels=learnable[rows])
        of_view[view] = answers.expert_logits(view)[:, rows].astype(np.float64), examples
    return of_view


def learnable_rows(answers: LeaveOneOutAnswers, view: str) -> Int[np.ndarray, " row"]:
    """The examples of `learnable_logits` in a view."""
    return np.flatnonzero(answers.answered(view) & answers.learnable().any(axis=1))
