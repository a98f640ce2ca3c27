"""The model card of a run: data, split, scores, calibration, failures and intended use.

The sections follow Mitchell 2019. Equal runs have equal cards.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

import moa_jax
from moa_jax.calibration.calibration_store import (
    CALIBRATION_FILE,
    HELD_OUT_FILE,
    read_calibration_store,
)
from moa_jax.calibration.calibrator import ERROR_RATE, MIN_ACCURACY, fit_calibrator
from moa_jax.calibration.conformal_sets import set_quality
from moa_jax.calibration.probability_calibration import top_label_ece
from moa_jax.data.splits.manifest import scored_part
from moa_jax.evaluation.bootstrap import CONFIDENCE, bootstrap_scores, interval
from moa_jax.evaluation.metrics import top_k_hits
from moa_jax.files import read_json, write_text
from moa_jax.kernels.references import REFERENCES_FILE, read_references
from moa_jax.model_card.moa_failures import Failure, failures
from moa_jax.model_card.targets import target_sections
from moa_jax.predictions.result_tables import Results, markdown_table
from moa_jax.predictions.target_results import TargetResults
from moa_jax.schemas import Examples, Split

CARD_FILE = "model_card.md"
# The model among the methods of a table of results.
_METHOD = "fusion"

_METRICS = {
    "macro_auprc": "macro AUPRC",
    "micro_auprc": "micro AUPRC",
    "macro_auroc": "macro AUROC",
    "top1": "top-1",
    "top5": "top-5",
}
# Fewer resamples than in the benchmark: a card is written after every run.
_NUM_RESAMPLES = 500
_VOCABULARIES = {
    "open": "the open vocabulary: every mechanism of a training compound, some with a single "
    "compound",
    "frequent": "the frequent vocabulary: mechanisms of enough measured compounds; compounds of "
    "other mechanisms have no right answer among them",
}
# Role of a file in data_manifest.json -> its source and licence.
_LICENCES = {
    "expression": ("LINCS L1000", "terms of its provider (GEO or CLUE)"),
    "siginfo": ("LINCS L1000", "terms of its provider (GEO or CLUE)"),
    "instinfo": ("LINCS L1000", "terms of its provider (GEO or CLUE)"),
    "geneinfo": ("LINCS L1000", "terms of its provider (GEO or CLUE)"),
    "cellinfo": ("LINCS L1000", "terms of its provider (GEO or CLUE)"),
    "bead_map": ("CMap", "terms of its provider (CLUE)"),
    "compounds": ("labels and structures", "terms of its provider"),
    "compound_samples": ("Drug Repurposing Hub", "non-commercial use"),
    "structure_only_compounds": ("labels and structures (Hub)", "non-commercial use"),
    "structure_only_compound_samples": ("Drug Repurposing Hub", "non-commercial use"),
    "excluded_compounds": ("list of excluded compounds", "own"),
    "gene_ids": ("NCBI Gene, HGNC or org.Hs.eg.db", "terms of its provider"),
    "string_links": ("STRING", "CC BY 4.0"),
    "string_info": ("STRING", "CC BY 4.0"),
    "ontology": ("Gene Ontology", "CC BY 4.0"),
    "annotations": ("Gene Ontology annotations", "CC BY 4.0"),
    "hallmark": ("MSigDB hallmark sets", "CC BY 4.0"),
    "reactome": ("Reactome", "CC0 (data files)"),
}
_PACKAGES = ("flax", "jax", "jaxlib", "numpy", "optax", "pandas", "rdkit", "scikit-learn")

_USES = """\
## Intended use

To rank mechanisms of action for compounds from their L1000-like signatures, with or without
structure, as a lead for experiments. Signatures are level 5 z-scores like the training data;
`moa_jax.predict` makes them from wells, answers "cannot tell" if a signature is poor or the
confidence is low, and gives reasons. Where no mechanism is sure, it also states the narrowest class
of mechanisms that is, such as "kinase inhibitor", with its probability (`broader_mechanism`). Each
answer says what stands behind it (`basis`): how many training compounds have the mechanism, or, for
mechanisms that a user describes by their targets, these targets alone.

Not for: decisions about patients; claims that a compound has, or lacks, a mechanism without an
experiment; mechanisms outside the list (`none_of_these` is the probability of that); other assays
or scales than that of the training data; uses in which wrong labels do harm and are not checked."""


def write_model_card(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    split: Split,
    parts: Mapping[str, Examples],
    results: Results,
    *,
    targets: TargetResults | None = None,
) -> None:
    """Writes the card into the folder of a finished run.

    Args:
      workdir: folder of the run.
      config: the run's configuration.
      split: the split of the compounds.
      parts: part -> its examples; `train` includes structure-only compounds, if any.
      results: pooled predictions for the part that the model is scored on (`scored_part`).
      targets: predicted targets of the test part, if the model predicts any.

    Raises:
      InputError: a file of the run is missing or damaged, or the card cannot be written.
    """
    manifest = read_json(workdir / "data_manifest.json")
    scored = scored_part(parts)
    sections = [
        f"# Model card: {results.release}",
        _summary(config, results),
        _data(manifest, parts),
        _split(config, split, parts),
        _metrics(scored, results),
        _calibration(workdir, parts["test"], results),
        *target_sections(targets),
        _failures(scored, parts, results),
        _USES,
        _contents(workdir),
        _versions(manifest),
    ]
    write_text(workdir / results.file_name(CARD_FILE), "\n\n".join(sections) + "\n")


def _summary(config: ml_collections.ConfigDict, results: Results) -> str:
    kind = (
        "The release is simulated: nothing below is about real compounds or cells.\n\n"
        if "simulated" in results.release.lower()
        else ""
    )
    return (
        f"{kind}A fusion model of the experts {', '.join(config.model.experts)}, which ranks "
        f"{len(results.moas)} mechanisms of action ({_VOCABULARIES[config.vocabulary]}). Trained "
        f"with seed {config.seed}."
    )


def _data(manifest: Mapping[str, Any], parts: Mapping[str, Examples]) -> str:
    rows = []
    for role, entry in sorted(manifest.get("inputs", {}).items()):
        source, terms = _source_and_licence(role, entry["file"], manifest)
        name = pathlib.PurePosixPath(entry["file"]).name
        digest = entry["sha256"][:16]
        rows.append({"file": name, "source": source, "licence": terms, "SHA-256 begins": digest})
    counts = [
        {
            "part": name,
            "compounds": len(set(part.groups)),
            "with signatures": len(_groups(part, part.has_expression)),
            "signatures": int(part.has_expression.sum()),
            "with structure": len(_groups(part, part.has_structure)),
            "cell lines": part.table["cell_line"].nunique(),
        }
        for name, part in parts.items()
        if part.num_examples
    ]
    sources = markdown_table(rows) or "The run's manifest lists no files."
    return (
        f"## Data\n\nRelease: {manifest['release']}.\n\n{markdown_table(counts)}\n\n### Sources\n\n"
        f"{sources}\n\nThe model inherits the licences of its sources."
    )


def _source_and_licence(role: str, file: str, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Source and licence of an input; a ligand table's are those of its format."""
    tables = manifest.get("ligands", {}).get("tables", {})
    if role.startswith("ligands ") and file in tables:
        return f"{tables[file]['format']} (ligands)", tables[file]["licence"]
    return _LICENCES.get(role, (role, "terms of its provider"))


def _groups(part: Examples, has: np.ndarray) -> set[str]:
    return {part.groups[row] for row in np.flatnonzero(has)}


def _split(config: ml_collections.ConfigDict, split: Split, parts: Mapping[str, Examples]) -> str:
    lines = [f"Rule `{split.rule}`, fold {split.fold} of {split.num_folds}, seed {split.seed}."]
    if split.held_out:
        lines.append(f"Held out as well: {', '.join(split.held_out)}.")
    shared = len(set(parts["train"].groups) & set(parts["test"].groups))
    if not parts["test"].num_examples:
        lines.append("There is no test part: the model was trained on every compound.")
    elif shared:
        lines.append(
            f"{shared} compounds of the test part are also training compounds, as the rule allows."
        )
    else:
        lines.append("No compound of the test part was used in training.")
    pretraining = config.get("pretraining")
    if pretraining and pretraining.transductive:
        lines.append("Pretraining saw signatures of the test part, without labels (transductive).")
    lines.append(
        "Scales, confidence and thresholds were fitted to out-of-fold answers for training and "
        "validation compounds; the final model was trained on both parts."
        if parts["validation"].num_examples
        else "There was no validation part."
    )
    return "## Split\n\n" + " ".join(lines)


def _metrics(scored: str, results: Results) -> str:
    # The model's three views.
    views = {name: probs for name, probs in results.probs.items() if name.startswith(_METHOD)}
    scores = bootstrap_scores(views, results.labels, num_resamples=_NUM_RESAMPLES)
    rows = []
    for name, score in scores.items():
        row: dict[str, Any] = {"": name}
        for metric, title in _METRICS.items():
            low, high = interval(score.samples[metric])
            row[title] = f"{score.estimate[metric]:.3f} ({low:.3f} to {high:.3f})"
        rows.append(row)
    note = "This is one fold of one split; other folds differ."
    if scored == "validation":
        note += (
            " Predictions are by a model that was not trained on these compounds, but the scales "
            "were fitted to them, so the scores are slightly optimistic."
        )
    return (
        f"## Performance on the {scored} part\n\n{len(results.compounds)} compounds, one "
        f"prediction each; {CONFIDENCE:.0%} bootstrap intervals over compounds. {note}\n\n"
        f"{markdown_table(rows)}"
    )


def _calibration(workdir: pathlib.Path, test: Examples, results: Results) -> str:
    """Calibration and abstention: fitted to out-of-fold answers, checked on the test part."""
    if not (workdir / CALIBRATION_FILE).exists():
        return "## Calibration\n\nNot calibrated: the run has no validation part."
    kept = read_calibration_store(workdir, results.moas)["fusion"]
    calibrator = fit_calibrator(kept.probs, kept.labels, kept.is_learnable)
    intro = (
        f"## Calibration and abstention\n\nFitted to out-of-fold answers for "
        f"{calibrator.num_compounds} compounds, {calibrator.num_unlearnable} of them with "
        "mechanisms that were not trained on: temperature, confidence, and the threshold that "
        f'gives {MIN_ACCURACY:.0%} accuracy, below which the answer is "cannot tell".\n\n'
    )
    if not test.num_examples:
        fitted = {"coverage": calibrator.coverage, "accuracy": calibrator.accuracy}
        return intro + markdown_table(
            [{"": name, "out of fold": value} for name, value in fitted.items()]
        )
    probs, labels = results.probs[_METHOD], results.labels
    calibrated = calibrator.calibrate(probs)
    correct = top_k_hits(probs, labels, 1) > 0
    sets = set_quality(calibrated.in_set, labels)
    answered = calibrated.is_answered
    rows = [
        {
            "": "calibration error of the first answer (ECE)",
            "test": top_label_ece(calibrated.probs, labels),
        },
        {"": "coverage", "out of fold": calibrator.coverage, "test": float(answered.mean())},
        {
            "": "accuracy",
            "out of fold": calibrator.accuracy,
            "test": float(correct[answered].mean()) if answered.any() else float("nan"),
        },
        {"": f"label sets at {1 - ERROR_RATE:.0%}: coverage", "test": sets["coverage"]},
        {"": "label sets: median size", "test": sets["median_size"]},
    ]
    return intro + markdown_table([_ordered(row) for row in rows])


def _ordered(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"": row[""], "out of fold": row.get("out of fold"), "test": row["test"]}


def _failures(scored: str, parts: Mapping[str, Examples], results: Results) -> str:
    failed = failures(
        results.probs[_METHOD], results.labels, results.moas, parts["train"], parts[scored]
    )
    intro = (
        f"## Known failures\n\nMechanisms that the model ranks no better than chance in the "
        f"{scored} part (permutation p above 0.05, not corrected), with the numbers of test, "
        "training and measured training compounds and possible reasons. With few test compounds "
        "this is no proof of failure, but no proof of success either.\n\n"
    )
    if not failed:
        return intro + "None."
    rows = [_failure_row(failure) for failure in failed]
    return f"{intro}{markdown_table(rows)}"


def _failure_row(failure: Failure) -> dict[str, Any]:
    return {
        "mechanism": failure.moa,
        "tested": failure.num_test,
        "train": failure.num_train,
        "measured": failure.num_measured,
        "AUPRC": failure.auprc,
        "at random": failure.chance,
        "p": failure.p_value,
        "why": "; ".join(failure.reasons) or "not known",
    }


def _contents(workdir: pathlib.Path) -> str:
    lines = [
        "Parameters, names of mechanisms, genes and cell lines, means and deviations of genes."
    ]
    if (workdir / REFERENCES_FILE).exists():
        counts = read_references(workdir)["expert"].value_counts().sort_index()
        kept = ", ".join(f"{count:,} in {expert}" for expert, count in counts.items())
        if kept:
            lines.append(
                f"Training data: signatures, or substructure counts, of training compounds "
                f"({kept}), and their names, structures and mechanisms in `{REFERENCES_FILE}`. Do "
                "not publish the run if they are confidential."
            )
    kept = [f"`{name}`" for name in (CALIBRATION_FILE, HELD_OUT_FILE) if (workdir / name).exists()]
    if kept:
        lines.append(
            f"In the run's folder, {' and '.join(kept)}: out-of-fold answers, and signatures, "
            "structures and labels of held-out compounds."
        )
    return "## Contents of the checkpoint\n\n" + "\n".join(f"- {line}" for line in lines)


def _versions(manifest: Mapping[str, Any]) -> str:
    rows = [{"package": "moa_jax", "version": moa_jax.__version__}]
    rows += [{"package": name, "version": importlib.metadata.version(name)} for name in _PACKAGES]
    prepared = ", ".join(
        f"{name} {text}" for name, text in sorted(manifest.get("versions", {}).items())
    )
    tail = f"\n\nThe data were prepared with {prepared}." if prepared else ""
    return f"## Versions\n\n{markdown_table(rows)}{tail}"
