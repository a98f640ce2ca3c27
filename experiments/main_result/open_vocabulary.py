"""Performance of the shipped model with the open vocabulary.

    python -m experiments.main_result.open_vocabulary --data=data/lincs2020 --out=runs/open

trains the folds of the compound split with the open vocabulary (kept in OUT and not trained again),
pools their answers for test compounds, prints Markdown tables and writes them to OUT/tables.md.
`--vocabulary=frequent` does the same for the frequent one, and `--frequent` compares both;
`--everything=RUN` adds the leave-one-compound-out answers of a run that was trained on everything.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from experiments.explanation_audit.folds import trained_run
from experiments.main_result.confidence_tables import (
    NUM_RESAMPLES,
    Row,
    calibration_z,
    mean_with_interval,
    none_row,
    none_rows,
    reliability_rows,
    risk_row,
    set_row,
)
from experiments.main_result.held_out_answers import (
    UnseenCompounds,
    held_out_answers,
    joined,
    left_out_answers,
)
from moa_jax.command_line import load_config
from moa_jax.data.examples.labels import FREQUENT, OPEN
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.evaluation.bootstrap import bootstrap_scores, interval
from moa_jax.evaluation.metrics import average_precision, top_k_hits
from moa_jax.files import atomic_path
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.schemas import InputError

# Name of a stratum -> least and most training compounds of a compound's best-supported mechanism.
STRATA = {"0": (0, 0), "1-2": (1, 2), "3-9": (3, 9), "10+": (10, np.inf)}
TABLES_FILE = "tables.md"


def rank_scores(
    probs: Float[np.ndarray, "compound moa"], labels: Bool[np.ndarray, "compound moa"]
) -> dict[str, Float[np.ndarray, " compound"]]:
    """Score -> its value for each compound.

    Average precision is that of the mechanisms of one compound.
    """
    return {
        "mean AP": average_precision(probs.T, labels.T),
        **{f"top-{k}": (top_k_hits(probs, labels, k) > 0).astype(float) for k in (1, 5)},
    }


def ranking_rows(answers: UnseenCompounds, columns: Bool[np.ndarray, " moa"]) -> list[Row]:
    """Ranks of a compound's mechanisms among some MoAs, by number of training compounds."""
    best = answers.best_support
    scores = rank_scores(answers.calibrated.probs[:, columns], answers.labels[:, columns])
    strata = {"all": np.ones(len(best), bool)}
    strata |= {name: (best >= low) & (best <= high) for name, (low, high) in STRATA.items()}
    rows = []
    for name, inside in strata.items():
        groups = tuple(np.asarray(answers.groups, object)[inside])
        row = {"training compounds": name, "compounds": len(set(groups))}
        rows.append(
            row | {score: mean_with_interval(own[inside], groups) for score, own in scores.items()}
        )
    return rows


def ranking_section(by_view: Mapping[str, UnseenCompounds]) -> str:
    """Ranking tables of all views, among all mechanisms and among those of measured compounds."""
    some = by_view["fusion"]
    measured = some.labels.any(axis=0)
    among = {
        f"among all {len(some.moas)} mechanisms": np.ones(len(some.moas), bool),
        f"among the {measured.sum()} of measured compounds": measured,
    }
    tables = []
    for title, columns in among.items():
        rows = [
            {"view": view} | row for view in VIEWS for row in ranking_rows(by_view[view], columns)
        ]
        tables.append(f"### Mechanisms ranked {title}\n\n{markdown_table(rows)}")
    return "\n\n".join(tables)


def trust_section(by_view: Mapping[str, UnseenCompounds]) -> str:
    """Risk and coverage, reliability, "none of these" and label sets of all views."""
    risk = [{"view": view} | risk_row(by_view[view]) for view in VIEWS]
    tables = [f"### Risk and coverage\n\n{markdown_table(risk)}"]
    for view in VIEWS:
        own = by_view[view]
        confidence, right = own.calibrated.confidence, own.is_right
        z, p_value = calibration_z(confidence, right)
        tables.append(
            f"### Stated and right, {view}\n\n{markdown_table(reliability_rows(confidence, right))}"
            f"\n\nSpiegelhalter's z of all {len(right)}: {z:.2f} (p = {p_value:.3f}); "
            f"mean stated {confidence.mean():.3f}, right {right.mean():.3f}."
        )
    none = [{"view": view} | none_row(by_view[view]) for view in VIEWS]
    bins = [{"view": view} | row for view in VIEWS for row in none_rows(by_view[view])]
    sets = [{"view": view} | set_row(by_view[view]) for view in VIEWS]
    tables += [
        f"### None of these\n\n{markdown_table(none)}\n\n{markdown_table(bins)}",
        f"### Label sets\n\n{markdown_table(sets)}",
    ]
    return "\n\n".join(tables)


def frequent_rows(
    open_: UnseenCompounds, frequent: UnseenCompounds, *, num_resamples: int = NUM_RESAMPLES
) -> list[Row]:
    """Scores of both vocabularies on the compounds and mechanisms of the frequent one.

    Their folds differ. Probabilities of the open vocabulary are not renormalised.
    """
    columns = [open_.moas.index(moa) for moa in frequent.moas]
    common = open_.take(np.isin(np.asarray(open_.groups, str), np.asarray(frequent.groups, str)))
    probs, labels = by_split(frequent, list(range(len(frequent.moas))))
    scores = bootstrap_scores(
        {FREQUENT: probs, OPEN: by_split(common, columns)[0]},
        labels,
        num_resamples=num_resamples,
    )
    rows = []
    for vocabulary, own in scores.items():
        row = {"vocabulary": vocabulary, "compounds": len(labels)}
        for metric in ("macro_auprc", "top1"):
            low, high = interval(own.samples[metric])
            row[metric] = f"{own.estimate[metric]:.3f} [{low:.3f}, {high:.3f}]"
        rows.append(row)
    return rows


def by_split(
    answers: UnseenCompounds, columns: Sequence[int]
) -> tuple[Float[np.ndarray, "division compound moa"], Bool[np.ndarray, "compound moa"]]:
    """Probabilities of some mechanisms in each split, compounds sorted; and their labels."""
    groups = np.asarray(answers.groups, str)
    order = np.argsort(groups, kind="stable")
    count = len(np.unique(groups))
    probs = answers.probs[np.ix_(order, columns)].reshape(count, -1, len(columns))
    labels = answers.labels[np.ix_(order, columns)].reshape(probs.shape)
    return probs.transpose(1, 0, 2), labels[:, 0]


def frequent_section(
    open_: Mapping[str, UnseenCompounds],
    frequent: Mapping[str, UnseenCompounds],
    calibrated_on_own: Mapping[str, UnseenCompounds],
) -> str:
    """Tables of both vocabularies, each on its compounds and on those of the frequent one.

    Args:
      open_: view -> answers of the open vocabulary.
      frequent: view -> answers of the frequent one.
      calibrated_on_own: the same, calibrated on compounds of its mechanisms.
    """
    sources = {
        (FREQUENT, "compounds of its mechanisms"): calibrated_on_own,
        (FREQUENT, "compounds as they come"): frequent,
        (OPEN, "compounds as they come"): open_,
    }
    calibration = [
        {"view": view, "vocabulary": vocabulary, "calibrated on": by}
        | risk_row(own[view])
        | set_row(own[view])
        for view in VIEWS
        for (vocabulary, by), own in sources.items()
    ]
    ranking = [
        {"view": view} | row for view in VIEWS for row in frequent_rows(open_[view], frequent[view])
    ]
    return (
        f"### Both vocabularies, each on its own compounds\n\n{markdown_table(calibration)}\n\n"
        f"### Both on the compounds and mechanisms of the frequent one\n\n"
        f"{markdown_table(ranking)}"
    )


def runs_of(
    vocabulary: str,
    settings: argparse.Namespace,
    out: pathlib.Path,
    *,
    as_it_comes: bool = True,
) -> dict[str, UnseenCompounds]:
    """View -> answers for the held-out compounds of the folds of all seeds, trained if needed.

    Raises:
      InputError: the data or a run cannot be used.
    """
    runs = [
        held_out_answers(folder, as_it_comes=as_it_comes)
        for folder in trained_folds(vocabulary, settings, out)
    ]
    return {view: joined([run[view] for run in runs]) for view in VIEWS}


def trained_folds(
    vocabulary: str, settings: argparse.Namespace, out: pathlib.Path
) -> list[pathlib.Path]:
    """Folders of the runs of all folds of all seeds, trained if needed.

    Raises:
      InputError: the data or a run cannot be used.
    """
    config = load_config(settings.config)
    config.data, config.vocabulary = settings.data, vocabulary
    config.split.num_folds = settings.folds
    config.structure_only_compounds &= not settings.without_structure_only
    config.ligands = settings.ligands
    folder = out / "_".join([vocabulary, *_training_data(settings)])
    return [
        trained_run(config, folder, fold=fold, seed=seed)
        for seed in settings.seeds
        for fold in range(settings.folds)
    ]


def _training_data(settings: argparse.Namespace) -> list[str]:
    """What the names of folders and files say about the training data."""
    switches = {"alone": settings.without_structure_only, "ligands": settings.ligands}
    return [name for name, is_on in switches.items() if is_on]


def arguments(description: str) -> argparse.ArgumentParser:
    """The options of this command, and of others that read the same runs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--out", required=True, help="folder of the runs and tables")
    parser.add_argument("--config", default="configs/kernels.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the splits")
    parser.add_argument("--folds", type=int, default=5, help="folds of each split")
    parser.add_argument(
        "--without-structure-only", action="store_true", help="no structure-only compounds"
    )
    parser.add_argument("--ligands", action="store_true", help="train on ligand tables, too")
    parser.add_argument("--everything", help="folder of a run with config.split.rule=everything")
    return parser


def print_and_write(sections: Sequence[str], settings: argparse.Namespace, name: str) -> None:
    """Prints the sections and writes them into the folder of the tables.

    Args:
      sections: Markdown.
      settings: of `arguments`.
      name: of the file; prefixes say what the models were trained on.
    """
    text = "\n\n".join(sections)
    print(text)
    path = pathlib.Path(settings.out) / "_".join([*_training_data(settings), name])
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Trains where needed, calibrates, prints and writes."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", choices=(OPEN, FREQUENT), default=OPEN)
    parser.add_argument(
        "--frequent", action="store_true", help="compare with the frequent vocabulary"
    )
    settings = parser.parse_args(argv)
    out = pathlib.Path(settings.out)
    try:
        release = read_prepared(settings.data).manifest["release"]
        by_view = runs_of(settings.vocabulary, settings, out)
        sections = [f"Release: {release}", ranking_section(by_view), trust_section(by_view)]
        if settings.frequent:
            frequent = [
                runs_of(FREQUENT, settings, out, as_it_comes=as_it_comes)
                for as_it_comes in (True, False)
            ]
            sections.append(frequent_section(by_view, *frequent))
        if settings.everything:
            out_of_fold = left_out_answers(pathlib.Path(settings.everything))
            sections.append("## Leave-one-compound-out answers\n\n" + trust_section(out_of_fold))
        name = TABLES_FILE if settings.vocabulary == OPEN else f"{FREQUENT}_{TABLES_FILE}"
        print_and_write(sections, settings, name)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
