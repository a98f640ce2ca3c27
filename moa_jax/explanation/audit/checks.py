"""Checks of an explanation with thresholds and traffic lights.

They test whether the explanation is faithful to the model, not whether the model is right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from moa_jax.explanation.audit.deletion import Curves

GREEN, AMBER, RED, GREY = "green", "amber", "red", "grey"
# From best to worst.
_ORDER = (GREEN, AMBER, RED)

# Relevance: contribution of expression to the score, as a share of the sum of the modalities'
# absolute contributions.
RELEVANT, PARTLY_RELEVANT = 0.25, 0.1
# Completeness: largest completeness gap, median over the compound's signatures.
COMPLETE, NEARLY_COMPLETE = 0.01, 0.05
# Stability: overlap (Jaccard) of the first genes of two signatures of the compound, mean over
# pairs.
STABLE, PARTLY_STABLE = 0.3, 0.1
# Dependence on the model: absolute rank correlation with the explanation of a model with shuffled
# weights.
INDEPENDENT, PARTLY_INDEPENDENT = 0.2, 0.5

RULES = (
    f"Relevance: green where expression accounts for {RELEVANT:.0%} or more of the modalities' "
    f"total absolute contribution, amber from {PARTLY_RELEVANT:.0%}, red below that and where "
    "expression lowers the score.",
    f"Completeness: green up to a gap of {COMPLETE:.0%}, amber up to {NEARLY_COMPLETE:.0%}, red "
    "beyond.",
    "Deletion: the genes are removed in the order of the explanation, of their |z|, and in "
    "random orders, once replaced by no change and once by the mean of the cell line. Green where "
    "the score falls faster than under |z| and under every random order with both replacements; "
    "amber where it beats most random orders with both, but not all of these; red otherwise.",
    f"Stability: green from a mean overlap of {STABLE:g} between two signatures' first genes, "
    f"amber from {PARTLY_STABLE:g}, red below; grey with a single signature.",
    f"Dependence on the model: green up to a rank correlation of {INDEPENDENT:g} with the "
    f"explanation of a model with shuffled weights, amber up to {PARTLY_INDEPENDENT:g}, red "
    "beyond.",
    "Overall: the worst of the checks that could be run.",
)


@dataclasses.dataclass(frozen=True)
class Check:
    """One check of one explanation.

    Attributes:
      name: the check, as a question.
      light: `green`, `amber`, `red`, or `grey` where it could not be run.
      word: its result in a few words.
      text: its result in a sentence.
      value: the number that the light depends on.
    """

    name: str
    light: str
    word: str
    text: str
    value: float


@dataclasses.dataclass(frozen=True)
class DeletionAreas:
    """Areas under deletion curves with one replacement, means over a compound's signatures.

    Attributes:
      replacement: name of the replacement.
      ours: area with the genes in the order of the explanation.
      absolute_z: area in the order of |z|.
      random: areas in random orders.
    """

    replacement: str
    ours: float
    absolute_z: float
    random: Float[np.ndarray, " order"]

    @property
    def share_beaten(self) -> float:
        """Share of the random orders under which the score falls more slowly."""
        return float((self.ours < self.random).mean())

    @property
    def beats_all(self) -> bool:
        """Whether the score falls faster than under |z| and every random order."""
        return self.share_beaten == 1 and self.ours < self.absolute_z


def deletion_areas(
    replacement: str, ours: Curves, absolute_z: Curves, random: Curves
) -> DeletionAreas:
    """Areas from the curves of a compound's signatures.

    Args:
      replacement: name of the replacement.
      ours: curves of the explanation, with one score.
      absolute_z: curves of the control by |z|, with one score.
      random: curves with one score per random order.
    """
    return DeletionAreas(
        replacement=replacement,
        ours=float(ours.deletion_auc[:, 0].mean()),
        absolute_z=float(absolute_z.deletion_auc[:, 0].mean()),
        random=random.deletion_auc.mean(axis=0).astype(np.float64),
    )


def relevance_check(modalities: Mapping[str, float]) -> Check:
    """Whether the answer rests on expression, so that an explanation by genes is relevant.

    Args:
      modalities: modality -> its Shapley value, `expression` among them.
    """
    added = modalities["expression"]
    total = sum(map(abs, modalities.values()))
    share = added / total if total else 0.0
    light = GREEN if share >= RELEVANT else AMBER if share >= PARTLY_RELEVANT else RED
    word = {GREEN: "they do", AMBER: "only a little", RED: "hardly"}[light]
    text = f"Expression accounts for {share:.0%} of the modalities' total absolute contribution."
    if added < 0:
        word = "they count against it"
        text = (
            f"Expression lowers the score by {-added:.2f}: the answer comes from the other "
            "modalities."
        )
    return Check("Does the answer rest on genes?", light, word, text, share)


def completeness_check(gaps: Float[np.ndarray, " signature"]) -> Check:
    """Whether the contributions add up to the change of the score."""
    gap = float(np.median(gaps))
    light = GREEN if gap <= COMPLETE else AMBER if gap <= NEARLY_COMPLETE else RED
    word = {GREEN: "adds up", AMBER: "nearly adds up", RED: "does not add up"}[light]
    text = (
        "The genes' contributions sum to the change of the score from the baseline to the "
        f"signature, up to {_percent(gap)} of it (median over {_count(len(gaps), 'signature')})."
    )
    return Check("Do the contributions add up?", light, word, text, gap)


def deletion_check(areas: Sequence[DeletionAreas]) -> Check:
    """Whether the score falls faster than under controls when the first genes are deleted."""
    if all(own.beats_all for own in areas):
        light, word = GREEN, "faithful to the model"
    elif all(own.share_beaten > 0.5 for own in areas):
        light, word = AMBER, "partly faithful to the model"
    else:
        light, word = RED, "not faithful to the model"
    found = " ".join(
        f"Replaced by {own.replacement}: {own.ours:.2f}; by |z| {own.absolute_z:.2f}; at random "
        f"{float(own.random.mean()):.2f} ({round(own.share_beaten * len(own.random))} of "
        f"{len(own.random)} beaten)."
        for own in areas
    )
    text = (
        "Removing the genes that the explanation ranks first should lower the score faster than "
        f"removing others. Mean score while genes are removed, lower is better. {found}"
    )
    share = min(own.share_beaten for own in areas)
    return Check("Do the top genes drive the score?", light, word, text, share)


def stability_check(
    overlap: Float[np.ndarray, " pair"],
    *,
    k: int,
    num_genes: int,
    of_signatures: Float[np.ndarray, " pair"],
) -> Check:
    """Whether explanations of two signatures of the compound rank the same genes first.

    Args:
      overlap: Jaccard index of the first k genes, for each pair.
      k: number of first genes.
      num_genes: number of genes that are ranked.
      of_signatures: Jaccard index of the k genes with the largest |z|.
    """
    name = "Do other signatures agree?"
    if not len(overlap):
        text = "This compound has only one signature, so this cannot be checked."
        return Check(name, GREY, "not known", text, math.nan)
    mean = float(overlap.mean())
    light = GREEN if mean >= STABLE else AMBER if mean >= PARTLY_STABLE else RED
    word = {GREEN: "stable", AMBER: "partly stable", RED: "unstable"}[light]
    by_chance = k / (2 * num_genes - k)
    text = (
        f"Two signatures of the compound share {mean:.0%} of their {k} first genes (Jaccard, mean "
        f"over {_count(len(overlap), 'pair')}; chance is {by_chance:.0%}). The {k} genes with the "
        f"largest |z| overlap by {float(of_signatures.mean()):.0%}."
    )
    return Check(name, light, word, text, mean)


def dependence_check(correlation: float) -> Check:
    """Whether another model gets another explanation.

    Args:
      correlation: rank correlation of the contributions with those for shuffled weights; NaN
        where either is constant.
    """
    size = abs(correlation)
    if math.isnan(size):
        light, word = GREY, "not known"
    else:
        light = GREEN if size <= INDEPENDENT else AMBER if size <= PARTLY_INDEPENDENT else RED
        word = {GREEN: "about the model", AMBER: "partly about the model", RED: "about the input"}[
            light
        ]
    text = (
        "A model with shuffled weights should get a different explanation. The rank correlation "
        f"of the two is {correlation:.2f}."
    )
    return Check("Does it depend on the model?", light, word, text, correlation)


def no_genes_check() -> Check:
    """The only check of a compound without signatures."""
    text = (
        "The compound has no signature: its answer is from the structure alone, and the checks, "
        "which are about explanations by genes, cannot be run."
    )
    return Check("Does the answer rest on genes?", GREY, "there are none", text, math.nan)


def overall(checks: Sequence[Check]) -> str:
    """The worst light; grey where no check could be run."""
    given = [_ORDER.index(check.light) for check in checks if check.light != GREY]
    return _ORDER[max(given)] if given else GREY


def _percent(share: float) -> str:
    return "less than 0.01%" if share < 5e-5 else f"{share:.2%}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}" + ("" if number == 1 else "s")
