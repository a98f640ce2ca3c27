"""One set of runs against another on the same held-out compounds: ranks of mechanisms, paired.

    python -m experiments.main_result.paired runs/kernels/open runs/open/open

takes the folds of both folders (`open_vocabulary` makes them), which must hold out the same
compounds, and prints for each view the ranks of both and their difference; the intervals are 95 %,
over compounds.

    python -m experiments.main_result.paired runs/fusion/open --without=protein_network

compares the models of one folder without and with an expert.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from experiments.explanation_audit.folds import fold_folders
from experiments.main_result.confidence_tables import NUM_RESAMPLES, Row, mean_with_interval
from experiments.main_result.held_out_answers import UnseenCompounds, held_out_answers, joined
from experiments.main_result.open_vocabulary import by_split, rank_scores
from moa_jax.evaluation.bootstrap import bootstrap_scores, paired_difference
from moa_jax.evaluation.risk_coverage import accuracy_at_coverage
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.schemas import InputError

# Share of the answers, the surest, whose accuracy is compared.
COVERAGE = 0.5


def paired_rows(
    first: Mapping[str, UnseenCompounds], second: Mapping[str, UnseenCompounds]
) -> list[Row]:
    """One row for each view and score: both means, and the difference with its interval.

    Ranks are those among the mechanisms of the compounds, before calibration.

    Args:
      first: view -> answers.
      second: the same of other models.

    Raises:
      InputError: they are not for the same compounds and mechanisms, in the same order.
    """
    rows = []
    for view in VIEWS:
        one, other = first[view], second[view]
        if one.groups != other.groups or one.moas != other.moas:
            raise InputError(
                "the runs do not hold out the same compounds with the same mechanisms."
            )
        columns = one.labels.any(axis=0)
        labels = one.labels[:, columns]
        ours, theirs = (rank_scores(own.probs[:, columns], labels) for own in (one, other))
        for score in ours:
            rows.append(
                {
                    "view": view,
                    "score": score,
                    "compounds": len(set(one.groups)),
                    "first": float(ours[score].mean()),
                    "second": float(theirs[score].mean()),
                    "second minus first": mean_with_interval(
                        theirs[score] - ours[score], one.groups
                    ),
                }
            )
        rows.append({"view": view, **macro_auprc_row(one, other, np.flatnonzero(columns))})
        rows.append(
            {
                "view": view,
                "score": f"accuracy at {100 * COVERAGE:.0f} % coverage",
                "compounds": len(set(one.groups)),
                "first": accuracy_of_surest(one),
                "second": accuracy_of_surest(other),
            }
        )
    return rows


def accuracy_of_surest(answers: UnseenCompounds) -> float:
    """Accuracy of the half of the answers whose first mechanism is the most probable."""
    first = answers.probs.argmax(axis=1)
    right = answers.labels[np.arange(len(first)), first]
    return accuracy_at_coverage(answers.probs.max(axis=1), right, COVERAGE)


def macro_auprc_row(
    first: UnseenCompounds, second: UnseenCompounds, columns: Int[np.ndarray, " column"]
) -> Row:
    """Mean over mechanisms of the area under the precision-recall curve, means over divisions."""
    probs, labels = by_split(first, columns)
    scores = bootstrap_scores(
        {"first": probs, "second": by_split(second, columns)[0]},
        labels,
        num_resamples=NUM_RESAMPLES,
    )
    found = paired_difference(scores["second"], scores["first"], "macro_auprc")
    return {
        "score": "macro AUPRC",
        "compounds": len(labels),
        **{name: own.estimate["macro_auprc"] for name, own in scores.items()},
        "second minus first": f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]",
    }


def answers_of(folder: pathlib.Path, *, without: str | None = None) -> dict[str, UnseenCompounds]:
    """View -> the answers of all folds in a folder for the compounds that they held out.

    Args:
      folder: of the folds.
      without: see `held_out_answers`.

    Raises:
      InputError: there is no fold, or it cannot be read.
    """
    runs = [held_out_answers(fold, without=without) for fold in fold_folders(folder)]
    return {view: joined([run[view] for run in runs]) for view in VIEWS}


def main(argv: Sequence[str] | None = None) -> None:
    """Reads both folders and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=pathlib.Path, help="folder of folds")
    second = parser.add_mutually_exclusive_group(required=True)
    second.add_argument(
        "second", type=pathlib.Path, nargs="?", help="folder of the same folds, other models"
    )
    second.add_argument("--without", help="an expert that the models of the folder have")
    settings = parser.parse_args(argv)
    try:
        if settings.without:
            first = answers_of(settings.first, without=settings.without)
            rows = paired_rows(first, answers_of(settings.first))
        else:
            rows = paired_rows(answers_of(settings.first), answers_of(settings.second))
    except InputError as error:
        parser.error(str(error))
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
