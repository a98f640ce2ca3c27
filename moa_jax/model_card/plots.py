"""Plots of a run: loss and metric curves, average precision per MoA."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moa_jax.evaluation.metrics import average_precision, prevalence
from moa_jax.files import atomic_path


def plot_curves(
    path: pathlib.Path, runs: dict[str, Sequence[dict[str, int | float]]], *, title: str
) -> None:
    """Draws the training loss and the validation scores over the steps.

    Args:
      path: PNG to write.
      runs: label -> lines of a `metrics.jsonl`.
      title: title of the figure.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, scores = figure.subplots(1, 2)
    for label, lines in runs.items():
        _draw(loss, lines, "loss", label)
        for view in ("fusion", "expression", "structure"):
            _draw(scores, lines, f"validation/{view}/macro_auprc", f"{view}, {label}")
    loss.set(xlabel="step", ylabel="training loss", yscale="log")
    scores.set(xlabel="step", ylabel="validation macro AUPRC", ylim=(0, 1))
    for axes in (loss, scores):
        if axes.lines:
            axes.legend(fontsize="small")
    figure.suptitle(title)
    _save(figure, path)


def plot_per_moa(
    path: pathlib.Path,
    probs: Float[np.ndarray, "compound moa"],
    labels: Float[np.ndarray, "compound moa"],
    moas: Sequence[str],
    *,
    title: str,
) -> None:
    """Draws the average precision of each MoA beside its prevalence, best first.

    Args:
      path: PNG to write.
      probs: pooled probabilities.
      labels: 1 where the compound has the MoA, else 0.
      moas: names of the columns.
      title: title of the figure.
    """
    precision, chance = average_precision(probs, labels), prevalence(labels)
    scored = [column for column in np.argsort(-precision) if np.isfinite(precision[column])]
    figure = Figure(figsize=(8, 1.5 + 0.22 * len(scored)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(scored))
    axes.barh(places, precision[scored], color="#4477aa", label="average precision")
    axes.plot(chance[scored], places, "|", color="#cc3311", markersize=9, label="prevalence")
    axes.set_yticks(places, [moas[column] for column in scored], fontsize="small")
    axes.set(xlabel="average precision on test compounds", xlim=(0, 1), title=title)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.legend(loc="lower right", fontsize="small")
    _save(figure, path)


def _draw(axes: Axes, lines: Sequence[dict[str, int | float]], name: str, label: str) -> None:
    points = [(line["step"], line[name]) for line in lines if name in line]
    if points:
        axes.plot(*zip(*points, strict=True), label=label)


def _save(figure: Figure, path: pathlib.Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, metadata={"Software": None})
