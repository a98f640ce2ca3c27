r"""Explains a trained model's answers: mechanism, confidence, reasons, and an audit of these.

    python -m moa_jax.explain --workdir=RUN --compounds=vorinostat,bortezomib --out=DIR
    python -m moa_jax.explain --workdir=RUN --signatures=F.gctx \
        [--siginfo=SIGINFO.txt] [--compoundinfo=COMPOUNDINFO.txt] [--compounds=...] --out=DIR \
        [--level=3|4|5] [--scale=log2|linear|zscore] [--zscore_reference=vehicle|population] \
        [--gene_ids=entrez|symbol|COLUMN] [--mechanisms=MECHANISMS.csv] [--overwrite]

The first explains compounds of the run's test part, which its folder keeps; the second explains a
user's signatures, wells or structures (see `moa_jax.predict`), all or those of the named
compounds. A compound is named by its name, pert_id or group. With --mechanisms, the pages also show
the probabilities of mechanisms that a table describes, as in `moa_jax.predict`. DIR is written as a
whole:

    index.html     links to reports/, one page per compound, readable offline
    tables/        mechanisms, experts, proteins, edges, genes, pathways, substructures, evidence,
                   audit, ... of all compounds, as parquet and CSV
    figures/       the pictures of the pages, as SVG and PNG
    explanation_manifest.json
"""

from __future__ import annotations

import difflib
import math
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import moa_jax
from moa_jax import command_line
from moa_jax.calibration.calibration_store import read_held_out
from moa_jax.calibration.calibrator import CANNOT_TELL
from moa_jax.compounds.identity import normalise_name
from moa_jax.data.expression.landmark_columns import gene_lines
from moa_jax.data.expression.plate_zscores import VEHICLE
from moa_jax.data.user_input.compound_groups import one_group_per_drug
from moa_jax.data.user_input.described_mechanisms import (
    described_lines,
    read_described_mechanisms,
)
from moa_jax.data.user_input.plate_signatures import PlateSettings
from moa_jax.data.user_input.signature_files import SignatureFiles, require_signatures
from moa_jax.data.user_input.signatures import level_lines, read_new_signatures
from moa_jax.data.user_input.structures import structure_lines
from moa_jax.explanation.audit.checks import overall
from moa_jax.explanation.compound_page.explained_run import read_explained_run
from moa_jax.explanation.compound_page.explanation import (
    CompoundExplanation,
    explain_compounds,
)
from moa_jax.explanation.compound_page.files import INDEX_FILE, NAMES, write_explanations
from moa_jax.files import check_output_folder
from moa_jax.predictions.answered_examples import answer_examples
from moa_jax.predictions.described_answers import described_answers
from moa_jax.schemas import Examples, InputError
from moa_jax.training.runs.run_folder import FinishedRun, open_run, run_identity

MAX_COMPOUNDS = 200

OPTIONS = (
    command_line.Option("workdir", "folder of the trained run", required=True),
    command_line.Option("compounds", "names or ids, separated by commas"),
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
    command_line.Option("overwrite", "replace an earlier explanation", is_switch=True),
)


def main(
    *,
    workdir: str,
    compounds: str,
    signatures: str,
    siginfo: str,
    compoundinfo: str,
    out: str,
    level: str,
    scale: str,
    zscore_reference: str,
    gene_ids: str,
    mechanisms: str,
    overwrite: bool,
) -> None:
    """Explains, writes and prints.

    Raises:
      InputError: the run, a file, a name or the output folder cannot be used.
    """
    folder, place = pathlib.Path(out), pathlib.Path(workdir)
    check_output_folder(folder, NAMES, "explanation", overwrite=overwrite)
    names = [name.strip() for name in compounds.split(",") if name.strip()]
    is_new = bool(signatures or compoundinfo)
    if not names and not is_new:
        raise InputError("--compounds, --signatures or --compoundinfo is needed.")
    require_signatures(signatures, siginfo=siginfo, level=level, scale=scale, gene_ids=gene_ids)
    settings = PlateSettings.of_options(level, zscore_reference, scale)
    run = open_run(place)
    explained = read_explained_run(place, run)
    described = read_described_mechanisms(mechanisms, run.gene_names) if mechanisms else None
    manifest: dict[str, Any] = {"moa_jax": moa_jax.__version__, "run": run_identity(place, run)}
    if is_new:
        files = SignatureFiles.of_options(signatures, siginfo, compoundinfo)
        examples, report = _new_examples(run, files, settings, gene_ids)
        manifest |= report
        if names:
            examples = chosen(examples, names, [])
        examples = _answerable(examples)
    else:
        held_out = read_held_out(place, run.predictor.features.moas)
        examples = chosen(held_out, names, list(explained.references["compound"]))
    count = len(set(examples.groups))
    if count > MAX_COMPOUNDS:
        raise InputError(
            f"{count} compounds are too many to explain at once; name up to {MAX_COMPOUNDS} of "
            "them with --compounds."
        )
    answered, table = answer_examples(place, run.predictor, examples), None
    if described is not None:
        manifest["described"] = described.report()
        table = described_answers(place, run, answered, described)
        print("\n".join(described_lines(described)))
    explanations = explain_compounds(explained, answered, table)
    write_explanations(folder, explanations, run.graph, manifest)
    print("\n".join(map(_line, explanations)))
    print(f"written to {folder}: open {INDEX_FILE}")


def _new_examples(
    run: FinishedRun, files: SignatureFiles, settings: PlateSettings, gene_ids: str
) -> tuple[Examples, dict[str, Any]]:
    """A user's signatures or structures and their entry in the manifest; prints a summary."""
    new = read_new_signatures(files, run.genes, run.predictor.features, settings, gene_ids)
    print("\n".join([*level_lines(new.level), *structure_lines(new.report["compounds"])]))
    if genes := new.report["genes"]:
        print("\n".join([f"genes: read from {genes['read_from']}", *gene_lines(genes)]))
    report = {"inputs": files.fingerprints(), "level": new.level, **new.report}
    return one_group_per_drug(new.examples), report


def _answerable(examples: Examples) -> Examples:
    """The examples that have a signature or a structure."""
    is_known = examples.has_expression | examples.has_structure
    names = sorted({examples.groups[row] for row in np.flatnonzero(~is_known)})
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"not explained, for want of a readable structure: {', '.join(names[:3])}{more}")
    return examples.take(np.flatnonzero(is_known))


def chosen(examples: Examples, names: Sequence[str], trained: Sequence[str]) -> Examples:
    """The examples of the named compounds, with all of their signatures.

    Args:
      examples: what can be explained.
      names: names, pert_ids or groups; case, blanks and hyphens are ignored.
      trained: names of compounds that the model was trained on.

    Raises:
      InputError: no example belongs to a compound of that name.
    """
    keys = pd.DataFrame(
        {
            "compound": list(map(_key, examples.table["compound"])),
            "pert_id": list(map(_key, examples.table["pert_id"])),
            "group": list(map(_key, examples.groups)),
        }
    )
    groups: set[str] = set()
    for name in names:
        rows = np.flatnonzero((keys == _key(name)).any(axis=1))
        if not len(rows):
            raise InputError(_not_found(name, examples, trained))
        groups |= {examples.groups[row] for row in rows}
    return examples.take(np.flatnonzero([group in groups for group in examples.groups]))


def _key(name: Any) -> str:
    return "" if pd.isna(name) else normalise_name(str(name))


def _not_found(name: str, examples: Examples, trained: Sequence[str]) -> str:
    """Why a compound cannot be explained."""
    if _key(name) in set(map(_key, trained)):
        return (
            f"the model was trained on {name!r}, so its answer would not be a prediction; give "
            "--signatures to explain it anyway."
        )
    known = sorted({str(known) for known in examples.table["compound"].dropna()})
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ", such as " + ", ".join(known[:3]) + "."
    return f"there is no compound {name!r} among the {len(set(examples.groups))} to explain{hint}"


def _line(found: CompoundExplanation) -> str:
    """One compound in one line."""
    audit = f"audit {overall(found.checks)}; {found.known_sentence}"
    if math.isnan(found.confidence):
        return f"{found.name}: {CANNOT_TELL}, {found.reasons}; {audit}"
    answer = found.moa if found.is_answered else f"{found.answer} ({found.moa}?)"
    return f"{found.name}: {answer}, confidence {found.confidence:.2f}; {audit}"


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(
        main, description=__doc__, options=OPTIONS, takes_config=False, argv=argv
    )


if __name__ == "__main__":
    sys.exit(run())
