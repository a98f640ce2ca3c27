"""Case studies: predictions for held-out compounds of some mechanisms, and their explanations.

    python -m experiments.case_studies.run --data=data/lincs2020 --runs=runs/audit/runs

trains the shipped model on the five folds of the compound split, with the frequent vocabulary and
with the open one (kept in RUNS and OPEN_RUNS and not trained again; those of
`experiments.explanation_audit` and `experiments.main_result.open_vocabulary` can be used), explains
the former and writes README.md, figures/, genes.csv and compounds.csv into this folder, or into
`--out`. Interpretations in readings.tsv were written by hand; all numbers are computed here.
"""

from __future__ import annotations

import argparse
import pathlib

import pandas as pd

from experiments.case_studies.cases import explain_fold, read_answers, study
from experiments.case_studies.page import draw_case, gene_tables, write_page
from experiments.explanation_audit.folds import signatures_of_run, trained_run
from moa_jax.command_line import load_config
from moa_jax.data.storage.graph_folder import read_gene_sets
from moa_jax.explanation.evidence.gene_sets import listed_sets
from moa_jax.predictions.result_tables import write_csv
from moa_jax.progress import say

HERE = pathlib.Path(__file__).parent
NUM_FOLDS = 5
MIN_SET, MAX_SET = 5, 200
# The last five are hard: three with little signal in expression, and the two with the lowest
# average precision of all.
MOAS = (
    "Proteasome inhibitor",
    "HDAC inhibitor",
    "HSP inhibitor",
    "MTOR inhibitor",
    "PI3K inhibitor",
    "MEK inhibitor",
    "Glucocorticoid receptor agonist",
    "Topoisomerase inhibitor",
    "Tubulin polymerization inhibitor",
    "Dopamine receptor antagonist",
    "Adrenergic receptor antagonist",
    "Cyclooxygenase inhibitor",
    "IKK inhibitor",
    "Potassium channel blocker",
)


def main() -> None:
    """Trains where needed, explains and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--config", default="configs/frequent.py")
    parser.add_argument("--runs", default="runs/case_studies", help="folder of the folds' runs")
    parser.add_argument("--open-config", default="configs/kernels.py")
    parser.add_argument("--open-runs", default="runs/open/open", help="runs over all mechanisms")
    parser.add_argument("--out", default=str(HERE))
    parser.add_argument("--per-compound", type=int, default=4, help="signatures of a compound")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    runs, open_runs = (
        _runs(config, settings.data, folder)
        for config, folder in (
            (settings.config, settings.runs),
            (settings.open_config, settings.open_runs),
        )
    )
    folds = [signatures_of_run(folder) for folder in runs]
    answers = read_answers(folds, runs)
    in_open = read_answers([signatures_of_run(folder) for folder in open_runs], open_runs)
    explained = []
    for fold, folder in zip(folds, runs, strict=True):
        explained.append(
            explain_fold(fold, folder, MOAS, per_compound=settings.per_compound, seed=settings.seed)
        )
        say(f"explained the test compounds of {folder.name}")
    graph = folds[0].graph
    genes = list(graph.genes["entrez_id"].iloc[: graph.num_landmarks])
    sets = listed_sets(read_gene_sets(runs[0]), genes).of_size(MIN_SET, MAX_SET)
    cases = [study(moa, answers, explained, graph, sets, seed=settings.seed) for moa in MOAS]
    out = pathlib.Path(settings.out)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for case in cases:
        draw_case(case, graph, out / "figures")
    write_csv(out / "genes.csv", gene_tables(cases))
    write_csv(
        out / "compounds.csv",
        pd.concat([case.compounds.assign(moa=case.moa) for case in cases], ignore_index=True),
    )
    expected = pd.read_csv(HERE / "expected_genes.tsv", sep="\t", dtype=str)
    readings = pd.read_csv(HERE / "readings.tsv", sep="\t", dtype=str).set_index("moa")["reading"]
    introduction = (HERE / "introduction.md").read_text(encoding="utf-8").rstrip()
    write_page(
        out / "README.md",
        cases,
        expected,
        readings.to_dict(),
        introduction=introduction,
        average_precisions=answers.average_precisions(),
        in_open=in_open.average_precisions()["fusion"],
    )


def _runs(config_file: str, data: str, folder: str) -> list[pathlib.Path]:
    """The runs of the five folds, which are trained if they do not exist."""
    config = load_config(config_file)
    config.data = data
    return [
        trained_run(config, pathlib.Path(folder), fold=fold, seed=0) for fold in range(NUM_FOLDS)
    ]


if __name__ == "__main__":
    main()
