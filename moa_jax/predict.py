r"""Predicts mechanisms of action for new signatures with a trained model, or says "cannot tell".

    python -m moa_jax.predict --workdir=RUN --signatures=F.gctx \
        [--siginfo=SIGINFO.txt] [--compoundinfo=COMPOUNDINFO.txt] --out=DIR \
        [--level=3|4|5] [--scale=log2|linear|zscore] [--zscore_reference=vehicle|population] \
        [--gene_ids=entrez|symbol|COLUMN] [--mechanisms=TABLE.csv] [--explain=N] [--overwrite]
    python -m moa_jax.predict --workdir=RUN --compoundinfo=COMPOUNDS.csv --out=DIR [--explain=N]

writes into DIR, whole or not at all:

    answers.csv                one answer per compound with confidence and label set, or
                               "cannot tell" with reasons and advice; whether the compound is in
                               the training data
    signature_quality.csv      the gates that each signature passed or failed
    signature_predictions.csv  sig_id, pert_id, conditions, weight in the compound's answer, one
                               column of probability per mechanism
    compound_predictions.csv   pert_id, n_signatures, modalities_used, the pooled probabilities
    mechanisms.csv             number of training compounds of each mechanism
    targets.csv                the proteins that each compound probably acts on, with calibrated
                               probability, action and evidence; not for a model without experts
                               through proteins
    described_mechanisms.csv   with --mechanisms: compound, mechanism, score, calibrated
                               probability and what stands behind it
    prediction_manifest.json   model, input files, missing and unused data
    explanations/              with --explain: reports on the most confident answers, new compounds
                               first

Expression is GCTX, GCT, h5ad, CSV or TSV by gene (Entrez ids, or current or previous symbols, in
any order): signatures (level 5, z-scores), z-scores of wells (level 4) or log2 expression of wells
(level 3; raw fluorescence is log-transformed). Wells become signatures by comparison with the
vehicle wells of their plate and cell line, or with all wells, and by collapsing replicates. Without
--siginfo the matrix file's own metadata are used, and a profile without a pert_id is a compound of
its own. Structures, doses, times, cell lines and genes may be missing. Ids that share a structure
or a name are one drug and get one answer.

The compound table needs ids and SMILES (or InChIs) under any usual column names, separated by tabs,
commas or semicolons; a list of SMILES and names is enough. Without --signatures its compounds are
answered from structure alone.

--mechanisms is a table of mechanisms that the model need not have seen, with columns name, genes
(separated by `|`) and action (inhibits, activates, or a word such as antagonist). Without genes or
action they are read from the name: `PIM kinase inhibitor`. Each compound is scored for each by what
the model says that it does to these proteins.

An earlier prediction is replaced only with --overwrite.
"""

from __future__ import annotations

import collections
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import moa_jax
from moa_jax import command_line
from moa_jax.calibration.quality_gates import MAX_MAGNITUDE, MIN_GENES
from moa_jax.data.expression.landmark_columns import gene_lines
from moa_jax.data.expression.plate_zscores import VEHICLE
from moa_jax.data.user_input.compound_groups import ID_SEPARATOR, one_group_per_drug
from moa_jax.data.user_input.described_mechanisms import (
    described_lines,
    read_described_mechanisms,
)
from moa_jax.data.user_input.plate_signatures import PlateSettings
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import level_lines, read_new_signatures
from moa_jax.data.user_input.structures import structure_lines
from moa_jax.explanation.compound_page.explained_run import read_explained_run
from moa_jax.explanation.compound_page.explanation import explain_compounds
from moa_jax.explanation.compound_page.files import write_explanations
from moa_jax.files import atomic_path, check_output_folder, write_json
from moa_jax.predictions.answered_examples import AnsweredExamples, answer_examples
from moa_jax.predictions.compound_answers import Answers
from moa_jax.predictions.described_answers import described_answers
from moa_jax.predictions.known_compounds import ANALOGUE, KNOWN, NEW
from moa_jax.predictions.prediction_tables import (
    DIGITS,
    compound_table,
    quality_table,
    signature_table,
)
from moa_jax.predictions.result_tables import write_csv
from moa_jax.predictions.target_model import read_target_model
from moa_jax.predictions.target_table import target_counts, target_table
from moa_jax.progress import say
from moa_jax.schemas import InputError
from moa_jax.training.runs.run_folder import FinishedRun, open_run, run_identity

ANSWER_FILE = "answers.csv"
QUALITY_FILE = "signature_quality.csv"
SIGNATURE_FILE = "signature_predictions.csv"
COMPOUND_FILE = "compound_predictions.csv"
MECHANISM_FILE = "mechanisms.csv"
TARGET_FILE = "targets.csv"
MANIFEST_FILE = "prediction_manifest.json"
DESCRIBED_FILE = "described_mechanisms.csv"
EXPLANATIONS = "explanations"
_FILES = (
    ANSWER_FILE,
    QUALITY_FILE,
    SIGNATURE_FILE,
    COMPOUND_FILE,
    MECHANISM_FILE,
    TARGET_FILE,
    MANIFEST_FILE,
)

_KNOWN_WORDS = {
    NEW: "new compounds",
    ANALOGUE: "analogues of training compounds",
    KNOWN: "training compounds",
}
# Number of names that are printed of a list.
_NUM_NAMED = 5

OPTIONS = (
    command_line.Option("workdir", "folder of the trained run", required=True),
    command_line.Option("signatures", "GCTX, GCT, h5ad, CSV or TSV file"),
    command_line.Option("siginfo", "table of the signatures or wells"),
    command_line.Option("compoundinfo", "table with the compounds' structures"),
    command_line.Option("out", "folder to write", required=True),
    command_line.Option("level", "3, 4 or 5 (default: recognised from the file)"),
    command_line.Option("scale", "log2, linear or zscore (default: recognised from the values)"),
    command_line.Option(
        "zscore_reference", "reference wells for level 3: vehicle or population", VEHICLE
    ),
    command_line.Option(
        "gene_ids", "names of genes: entrez, symbol or a column (default: recognised)"
    ),
    command_line.Option("mechanisms", "table of mechanisms described by genes and an action"),
    command_line.Option("explain", "number of answers to explain, new compounds first", "0"),
    command_line.Option("overwrite", "replace an earlier prediction", is_switch=True),
)


def main(
    *,
    workdir: str,
    signatures: str,
    siginfo: str,
    compoundinfo: str,
    out: str,
    level: str,
    scale: str,
    zscore_reference: str,
    gene_ids: str,
    mechanisms: str,
    explain: str,
    overwrite: bool,
) -> None:
    """Predicts, writes and prints.

    Raises:
      InputError: the run, a file or the output folder cannot be used.
    """
    folder, place = pathlib.Path(out), pathlib.Path(workdir)
    check_output_folder(
        folder, (*_FILES, DESCRIBED_FILE, EXPLANATIONS), "prediction", overwrite=overwrite
    )
    settings = PlateSettings.of_options(level, zscore_reference, scale)
    if not explain.isdecimal():
        raise InputError(f"--explain={explain} is not a whole number.")
    files = SignatureFiles.of_options(
        signatures, siginfo, compoundinfo, level=level, scale=scale, gene_ids=gene_ids
    )
    run = open_run(place)
    # A run that cannot be explained is refused before anything is computed.
    explained = read_explained_run(place, run) if int(explain) else None
    described = read_described_mechanisms(mechanisms, run.gene_names) if mechanisms else None
    new = read_new_signatures(files, run.genes, run.predictor.features, settings, gene_ids)
    examples = one_group_per_drug(new.examples)
    what = "signature" if signatures else "structure"
    say(f"predicting {examples.num_examples} {what}{'s' * (examples.num_examples != 1)}")
    answered = answer_examples(place, run.predictor, examples)
    targets = _targets(place, run, answered)
    chosen = answered.answers.to_explain(int(explain))
    manifest = {
        "moa_jax": moa_jax.__version__,
        "run": run_identity(place, run),
        "inputs": files.fingerprints(),
        "level": new.level,
        "answers": _counts(answered),
        "targets": None if targets is None else targets[1],
        **new.report,
    }
    tables = _tables(answered) | ({} if targets is None else {TARGET_FILE: targets[0]})
    if described is not None:
        manifest["described"] = described.report()
        tables[DESCRIBED_FILE] = described_answers(place, run, answered, described)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, table in tables.items():
            write_csv(temporary / name, table, digits=DIGITS)
        write_json(temporary / MANIFEST_FILE, manifest)
        if explained is not None and chosen:
            explanations = explain_compounds(
                explained, answered.of_compounds(chosen), tables.get(DESCRIBED_FILE)
            )
            write_explanations(temporary / EXPLANATIONS, explanations, run.graph, manifest)
    print("\n".join(_summary(manifest)))
    if described is not None:
        print("\n".join(described_lines(described)))
    if explained is not None:
        print(f"explained: {len(chosen)} answers, new compounds first, in {EXPLANATIONS}/")
    print(f"written to {folder}: {', '.join((*tables, MANIFEST_FILE))}")


def _tables(answered: AnsweredExamples) -> dict[str, pd.DataFrame]:
    """File name -> table."""
    examples, basis = answered.examples, answered.answers.basis
    return {
        ANSWER_FILE: answered.answers.table,
        QUALITY_FILE: quality_table(examples, answered.quality, basis),
        SIGNATURE_FILE: signature_table(examples, answered.views["fusion"], basis),
        COMPOUND_FILE: compound_table(examples, basis),
        MECHANISM_FILE: answered.mechanisms,
    }


def _targets(
    workdir: pathlib.Path, run: FinishedRun, answered: AnsweredExamples
) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """The table of targets and its counts; None for a run that does not answer for proteins."""
    model = read_target_model(workdir, run.predictor, run.graph)
    if model is None:
        return None
    table = target_table(model, answered)
    return table, target_counts(model, table)


def _counts(answered: AnsweredExamples) -> dict[str, Any]:
    """Numbers of answers and failed gates, and the expected coverage and accuracy."""
    examples, answers, quality = answered.examples, answered.answers, answered.quality
    failed = collections.Counter(
        reason.partition(":")[0]
        for row in np.flatnonzero(examples.has_expression)
        for reason in quality.reasons[row]
    )
    return {
        "compounds": len(answers.table),
        "answered": int(answers.is_answered.sum()),
        "learned_from": _by_known(answers),
        "ids_of_one_drug": [name for name in answers.table["pert_id"] if ID_SEPARATOR in str(name)],
        "signatures_that_failed_gates": dict(sorted(failed.items())),
        "signatures_used": int((quality.passes & examples.has_expression).sum()),
        "validation": {
            view: {
                "compounds": calibrator.num_compounds,
                "threshold": calibrator.threshold if calibrator.coverage else None,
                "share_answered": calibrator.coverage,
                "share_right_of_answered": calibrator.accuracy if calibrator.coverage else None,
            }
            for view, calibrator in sorted(answered.calibrators.items())
        },
    }


def _by_known(answers: Answers) -> dict[str, dict[str, int]]:
    """Numbers of compounds and answers by whether the compound is in the training data."""
    known = answers.table["known"].fillna("not known")
    return {
        kind: {"compounds": int(own.sum()), "answered": int((own & answers.is_answered).sum())}
        for kind in sorted(set(known))
        if (own := (known == kind).to_numpy(bool)).any()
    }


def _summary(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Lines about the inputs and the answers."""
    run = manifest["run"]
    yield f"model: {run['num_moas']} mechanisms, trained on {run['release']}"
    yield from level_lines(manifest["level"])
    if manifest["level"] is not None:
        yield from _signature_lines(manifest)
    yield from structure_lines(manifest["compounds"])
    if manifest["level"] is not None:
        yield from _context_lines(manifest["context"])
    yield from _answer_lines(manifest["answers"])
    yield from _target_lines(manifest["targets"])
    yield from _warnings(manifest)


def _signature_lines(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Lines about signatures and genes."""
    signatures, compounds, genes = (manifest[name] for name in ("signatures", "compounds", "genes"))
    yield f"signatures: {signatures['predicted']:,} of {compounds['predicted']:,} compounds"
    if signatures["left_out_because_siginfo_lacks_them"]:
        count = signatures["left_out_because_siginfo_lacks_them"]
        yield f"  {count:,} left out: they are in the matrix but not in siginfo"
    if signatures["without_pert_id"]:
        yield f"  {signatures['without_pert_id']:,} without pert_id, named by their sig_id"
    yield (
        f"genes: {genes['measured']} of {genes['expected']} measured "
        f"({genes['found_by_name']} matched by name), {genes['others_not_used']:,} others not "
        f"used; read from {genes['read_from']}"
    )
    yield from gene_lines(genes)
    if genes["missing"]:
        yield f"  {len(genes['missing'])} missing, assumed unchanged: {_named(genes['missing'])}"


def _context_lines(context: Mapping[str, Any]) -> Iterator[str]:
    """Lines about missing metadata of signatures."""
    lines = context["unknown_cell_lines"]
    if lines:
        yield (
            f"cell lines unknown to the model: {_named(list(lines))} "
            f"({sum(lines.values()):,} signatures)"
        )
    for name in ("cell_line", "dose", "time"):
        if context[f"without_{name}"]:
            yield f"signatures without {name.replace('_', ' ')}: {context[f'without_{name}']:,}"


def _answer_lines(answers: Mapping[str, Any]) -> Iterator[str]:
    yield f"answered: {answers['answered']:,} of {answers['compounds']:,} compounds"
    for kind, words in _KNOWN_WORDS.items():
        if counts := answers["learned_from"].get(kind):
            yield f"  {counts['answered']:,} of {counts['compounds']:,} {words}"
    if joined := answers["ids_of_one_drug"]:
        yield f"  one answer for ids of one drug: {_named(joined)}"
    for reason, count in answers["signatures_that_failed_gates"].items():
        yield f"  {count:,} signatures not used: {reason}"


def _target_lines(targets: Mapping[str, Any] | None) -> Iterator[str]:
    if targets is not None:
        yield (
            f"targets: {targets['listed']:,} proteins with a probability of "
            f"{targets['least_probability']:g} or more for {targets['compounds']:,} compounds, "
            f"{targets['by_graph_alone']:,} of them by the graph alone"
        )


def _named(names: Sequence[str]) -> str:
    """The first few names, and how many follow."""
    more = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def _warnings(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Warnings that these predictions are unreliable."""
    magnitude, genes = manifest["median_standardised_magnitude"], manifest["genes"]
    if magnitude is None:
        return
    if magnitude > MAX_MAGNITUDE:
        yield (
            "warning: the median distance of the values from the training mean is "
            f"{magnitude:.1f} training standard deviations (usually 0.7); the model expects "
            "z-scores like those it was trained on, so these predictions are unreliable"
        )
    if genes["measured"] < MIN_GENES * genes["expected"]:
        yield "warning: less than half of the model's genes are measured"


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(
        main, description=__doc__, options=OPTIONS, takes_config=False, argv=argv
    )


if __name__ == "__main__":
    sys.exit(run())
