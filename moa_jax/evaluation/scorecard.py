"""Every metric of one method that needs nothing but its probabilities."""

from __future__ import annotations

from moa_jax.evaluation.calibration import all_pairs_ece, top_answers, top_label_ece
from moa_jax.evaluation.metrics import (
    ExampleMask,
    Labels,
    Probs,
    brier,
    recall_at_k,
    score,
    top_k_accuracy,
)
from moa_jax.evaluation.risk_coverage import COVERAGES, accuracy_at_coverage, aurc, excess_aurc


def full_score(
    probs: Probs, labels: Labels, example_mask: ExampleMask | None = None
) -> dict[str, float | int]:
    """The metrics of `score`, then hit and recall at k, calibration and selective answering.

    Answers are given in the order of the probability of the most probable MoA, and
    `accuracy_<n>` is their accuracy where n % of the labelled compounds are answered. `ece` is
    that of these answers and `ece_pairs` that of all (compound, MoA) pairs, each in
    `calibration.NUM_BINS` bins of equal width.
    """
    answers = top_answers(probs, labels, example_mask)
    return {
        **score(probs, labels, example_mask),
        "top10": top_k_accuracy(probs, labels, 10, example_mask),
        "recall5": recall_at_k(probs, labels, 5, example_mask),
        "recall10": recall_at_k(probs, labels, 10, example_mask),
        "brier": brier(probs, labels, example_mask),
        "ece": top_label_ece(probs, labels, example_mask),
        "ece_pairs": all_pairs_ece(probs, labels, example_mask),
        "aurc": aurc(*answers),
        "e_aurc": excess_aurc(*answers),
        **{
            f"accuracy_{coverage * 100:g}": accuracy_at_coverage(*answers, coverage)
            for coverage in COVERAGES
        },
    }
