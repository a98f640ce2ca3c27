"""Whether explanations are faithful to the model, stable, and recover known or planted biology.

    python -m experiments.explanation_audit.run --data=data/lincs2020 --out=runs/audit
    python -m experiments.explanation_audit.run --mechanism=default --out=runs/audit_simulated
    python -m experiments.explanation_audit.run --mechanism=network \
        --config=configs/network_kernel.py --out=runs/audit_network
    python -m experiments.explanation_audit.run --runs runs/fusion --expert=protein_network \
        --audits faithfulness --out=runs/audit_fusion

trains the model on folds of the compound split (kept in OUT/runs and not trained again) and audits
explanations of its answers for the test compounds. The first command uses a prepared folder and
compares explanations with known targets and pathways; the next two make a simulated release and
compare them with the planted truth; the last audits runs that are finished, with the graph that is
stored in them. `--rewired` gives the model and the explanations a graph with rewired interactions.
`--expert` audits what one expert adds to the logit instead of the logit; `--centred` subtracts the
mean logit of all mechanisms, which no probability depends on. Writes tables.md and CSV files into
OUT; the names of those of a simulated release begin with `simulated_`.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Sequence

import ml_collections

from configs.data import simulated_network
from experiments.explanation_audit import audits, faithful, flat
from experiments.explanation_audit.folds import (
    ScoredSignatures,
    signatures_of_run,
    trained_run,
)
from experiments.explanation_audit.ground_truth import PlantedTruth, read_truth
from moa_jax.command_line import load_config
from moa_jax.data.preparation.embedded_release import ensure_release, simulated_config
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.storage.prepared_folder import read_prepared, write_prepared
from moa_jax.files import read_json
from moa_jax.knowledge.controls import rewire_interactions
from moa_jax.schemas import InputError

# What is audited: the first with known or, in a simulated release, with planted biology.
AUDITS = ("biology", "stability", "flat", "faithfulness")
MECHANISMS = {"default": simulated_config, "network": simulated_network.get_config}


def prepared_folder(
    settings: argparse.Namespace, out: pathlib.Path
) -> tuple[pathlib.Path, PlantedTruth | None]:
    """The prepared folder and the truth of a simulated release, which are made if missing."""
    truth = None
    folder = pathlib.Path(settings.data)
    if not settings.data:
        config = MECHANISMS[settings.mechanism]()
        release = ensure_release(config, out / "simulated")
        truth, folder = read_truth(release / "truth"), out / "simulated" / "prepared"
        if not folder.is_dir():
            config.raw_dir = str(release)
            write_prepared(folder, prepare(config))
    if settings.rewired:
        right, folder = folder, out / "rewired"
        if not folder.is_dir():
            dataset = read_prepared(right)
            graph = rewire_interactions(dataset.graph, seed=settings.seed)
            write_prepared(folder, dataclasses.replace(dataset, graph=graph))
    return folder, truth


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="prepared folder; empty for a simulated release")
    parser.add_argument("--mechanism", choices=sorted(MECHANISMS), default="default")
    parser.add_argument("--config", default="configs/frequent.py")
    parser.add_argument("--rewired", action="store_true", help="rewire the graph beforehand")
    parser.add_argument("--out", required=True)
    parser.add_argument("--num-folds", type=int, default=5, help="folds that are tested, of 5")
    parser.add_argument("--other-splits", type=int, default=1, help="other split seeds, fold 0")
    parser.add_argument(
        "--per-compound", type=int, default=2, help="signatures that every method explains"
    )
    parser.add_argument("--num-draws", type=int, default=500)
    parser.add_argument("--no-occlusion", action="store_true")
    parser.add_argument(
        "--only-integrated", action="store_true", help="no other method than integrated gradients"
    )
    parser.add_argument(
        "--runs", type=pathlib.Path, nargs="+", default=(), help="finished runs, one a fold"
    )
    parser.add_argument("--audits", nargs="+", choices=AUDITS, default=AUDITS)
    parser.add_argument(
        "--max-compounds", type=int, help="test compounds of each fold; default all"
    )
    parser.add_argument("--expert", default="", help="audit what this expert adds to the logit")
    parser.add_argument(
        "--centred", action="store_true", help="subtract the mean logit of all mechanisms"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def runs_of(
    settings: argparse.Namespace,
) -> tuple[list[pathlib.Path], list[pathlib.Path], ml_collections.ConfigDict, PlantedTruth | None]:
    """The runs, those of other splits, their configuration, and the truth of a simulated release.

    Runs are trained if they do not exist.
    """
    if settings.runs:
        config = ml_collections.ConfigDict(read_json(settings.runs[0] / "config.json"))
        return list(settings.runs), [], config, None
    out = pathlib.Path(settings.out)
    folder, truth = prepared_folder(settings, out)
    config = load_config(settings.config)
    config.data = str(folder)
    wanted = [(fold, 0) for fold in range(settings.num_folds)]
    wanted += [(0, 1 + seed) for seed in range(settings.other_splits)]
    runs = [trained_run(config, out / "runs", fold=fold, seed=seed) for fold, seed in wanted]
    return runs[: settings.num_folds], runs[settings.num_folds :], config, truth


def scored_folds(
    runs: Sequence[pathlib.Path], settings: argparse.Namespace
) -> list[ScoredSignatures]:
    """The test signatures of the runs, with what is explained."""
    folds = []
    for run in runs:
        scored = dataclasses.replace(
            signatures_of_run(run), expert=settings.expert, centred=settings.centred
        )
        if settings.max_compounds:
            scored = scored.of_compounds(settings.max_compounds, settings.seed)
        folds.append(scored)
    return folds


def main() -> None:
    """Trains, audits and writes."""
    settings = parse()
    start = time.perf_counter(), time.process_time()
    runs, others, config, truth = runs_of(settings)
    if settings.expert and settings.expert not in config.model.experts:
        raise InputError(
            f"--expert={settings.expert} is no expert of the model, which has "
            f"{', '.join(config.model.experts)}."
        )
    folds = scored_folds(runs, settings)
    manifest = read_json(runs[0] / "data_manifest.json")
    out = pathlib.Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    report = audits.Report(out, manifest["release"])
    report.add("Answers that are explained", audits.answers(folds))
    found = [faithful.integrated(fold) for fold in folds]
    gaps = [one.completeness_gap for one in found]
    values = [one.values for one in found]
    groups = [group for fold in folds for group in fold.examples.groups]
    report.add("Completeness gap at 64 steps, over compounds", faithful.completeness(gaps, groups))
    some = [fold.some_of_each(settings.per_compound, settings.seed) for fold in folds]
    rankings = []
    if truth is not None or "faithfulness" in settings.audits:
        rankings = [
            faithful.gene_rankings(
                one,
                seed=settings.seed,
                occlusion=not settings.no_occlusion,
                others=not settings.only_integrated,
            )
            for one in some
        ]
    if "biology" in settings.audits:
        if truth is not None:
            audits.audit_planted(report, some, rankings, truth, config=config, seed=settings.seed)
        else:
            audits.audit_known(report, folds, values, runs, settings)
    if "stability" in settings.audits:
        audits.audit_stability(report, folds, values, scored_folds(others, settings), settings)
    if "flat" in settings.audits:
        report.add(
            "Are explanations of signatures without effect flat?",
            flat.flat_rows(flat.flat_maps_of_folds(folds, values, seed=settings.seed)),
        )
    if "faithfulness" in settings.audits:
        audits.audit_faithfulness(report, some, rankings, settings, config)
    report.write([heading(settings, config, num_folds=len(runs), start=start)])
    print("\n".join(report.text))


def heading(
    settings: argparse.Namespace,
    config: ml_collections.ConfigDict,
    *,
    num_folds: int,
    start: tuple[float, float],
) -> str:
    """What was audited, and how long it took since a wall-clock and a CPU time."""
    taken = time.perf_counter() - start[0], time.process_time() - start[1]
    simulated_release = not (settings.data or settings.runs)
    return (
        (f"Mechanism of the simulation: {settings.mechanism}. " if simulated_release else "")
        + ("Finished runs" if settings.runs else f"Config {settings.config}")
        + f", experts {', '.join(config.model.experts)}"
        + (", rewired interactions" if settings.rewired else "")
        + (f", explained: what {settings.expert} adds" if settings.expert else "")
        + (", minus the mean logit of all mechanisms" if settings.centred else "")
        + f"; {num_folds} of 5 folds"
        + (f", {settings.max_compounds} compounds of each" if settings.max_compounds else "")
        + f", at most {settings.per_compound} signatures per compound for comparisons of methods; "
        f"seed {settings.seed}; {taken[0]:.0f} s of wall-clock time, {taken[1]:.0f} s of CPU time."
    )


if __name__ == "__main__":
    main()
