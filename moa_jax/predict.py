r"""Predicts mechanisms of action for new signatures with a trained model.

    python -m moa_jax.predict --workdir=RUN --signatures=F.gctx \
        [--siginfo=SIGINFO.txt] [--compoundinfo=COMPOUNDINFO.txt] --out=DIR

writes into DIR, whole or not at all:

    signature_predictions.csv  sig_id, pert_id, one column of probability per mechanism
    compound_predictions.csv   pert_id, n_signatures, modalities_used, the mean probabilities
    prediction_manifest.json   which model and files, what was missing, what was not used

Signatures come as GCTX or GCT, z-scores by gene (Entrez ids or symbols of any age, in any
order). Without siginfo the matrix file's own metadata are read, and a profile without a pert_id
is a compound of its own. Structures, doses, times, cell lines and genes may be missing.
"""

from __future__ import annotations

import collections
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

import moa_jax
from moa_jax import command_line
from moa_jax.data.examples import Examples
from moa_jax.data.new_signatures import SignatureFiles, read_new_signatures
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.evaluation.tables import CSV_FLOAT_FORMAT
from moa_jax.files import atomic_path, check_output_folder, sha256_of, write_json
from moa_jax.progress import say
from moa_jax.schemas import InputError
from moa_jax.training.run_folder import open_run, run_identity

SIGNATURE_FILE = "signature_predictions.csv"
COMPOUND_FILE = "compound_predictions.csv"
MANIFEST_FILE = "prediction_manifest.json"

# Beyond this many training standard deviations in the median, values are not z-scores of the
# kind that the model knows. Level 3 (log2 intensities) has about 5.
MAX_TYPICAL_MAGNITUDE = 3.0
# Names that are printed of a longer list.
_NUM_NAMED = 5

OPTIONS = (
    command_line.Option("workdir", "folder of the trained run", required=True),
    command_line.Option("signatures", "GCTX or GCT file of signatures", required=True),
    command_line.Option("siginfo", "table of the signatures"),
    command_line.Option("compoundinfo", "table with the compounds' structures"),
    command_line.Option("out", "folder to write", required=True),
)


def main(workdir: str, signatures: str, siginfo: str, compoundinfo: str, out: str) -> None:
    """Predicts, writes and prints.

    Raises:
      InputError: the run, a file or the output folder cannot be used.
    """
    folder = pathlib.Path(out)
    check_output_folder(folder, (SIGNATURE_FILE, COMPOUND_FILE, MANIFEST_FILE), "prediction")
    model = open_run(pathlib.Path(workdir))
    files = SignatureFiles(
        signatures=pathlib.Path(signatures),
        siginfo=pathlib.Path(siginfo) if siginfo else None,
        compoundinfo=pathlib.Path(compoundinfo) if compoundinfo else None,
    )
    new = read_new_signatures(files, model.genes, model.predictor.features)
    say(f"predicting {new.examples.num_examples} signatures")
    probs = model.predictor.predict(new.examples)["fusion"]
    _check_answers(new.examples, probs)
    manifest = {
        "moa_jax": moa_jax.__version__,
        "run": run_identity(pathlib.Path(workdir), model),
        "inputs": {
            name: {"file": path.name, "sha256": sha256_of(path)}
            for name, path in vars(files).items()
            if path is not None
        },
        **new.report,
    }
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        _write_csv(temporary / SIGNATURE_FILE, signature_table(new.examples, probs))
        _write_csv(temporary / COMPOUND_FILE, compound_table(new.examples, probs))
        write_json(temporary / MANIFEST_FILE, manifest)
    print("\n".join(_summary(manifest)))
    print(f"written to {folder}: {SIGNATURE_FILE}, {COMPOUND_FILE}, {MANIFEST_FILE}")


def signature_table(examples: Examples, probs: Float[np.ndarray, "example moa"]) -> pd.DataFrame:
    """`sig_id`, `pert_id` and one column per MoA; one row per signature."""
    table = pd.DataFrame(probs, columns=list(examples.moas))
    table.insert(0, "sig_id", examples.table["sig_id"])
    table.insert(1, "pert_id", examples.table["pert_id"])
    return table


def compound_table(examples: Examples, probs: Float[np.ndarray, "example moa"]) -> pd.DataFrame:
    """`pert_id`, `n_signatures`, `modalities_used` and the mean probability of each MoA."""
    pooled, _, pert_ids = pool_by_compound(probs, examples.labels, examples.groups)
    counts = collections.Counter(examples.groups)
    used = collections.defaultdict(set)
    for name in ("expression", "structure"):
        for row in np.flatnonzero(getattr(examples, f"has_{name}")):
            used[examples.groups[row]].add(name)
    table = pd.DataFrame(pooled, columns=list(examples.moas))
    table.insert(0, "pert_id", list(pert_ids))
    table.insert(1, "n_signatures", [counts[pert_id] for pert_id in pert_ids])
    table.insert(2, "modalities_used", ["+".join(sorted(used[pert_id])) for pert_id in pert_ids])
    return table


def _write_csv(path: pathlib.Path, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False, float_format=CSV_FLOAT_FORMAT, lineterminator="\n")


def _check_answers(examples: Examples, probs: Float[np.ndarray, "example moa"]) -> None:
    """Refuses values so large that the model's arithmetic overflows."""
    wrong = np.flatnonzero(~np.isfinite(probs).all(axis=1))
    if len(wrong):
        raise InputError(
            f"the model has no finite answer for the signature "
            f"{examples.table['sig_id'].iloc[wrong[0]]}, one of {len(wrong)}; its values reach "
            f"{np.abs(examples.expression[wrong[0]]).max():.3g} where z-scores are expected."
        )


def _summary(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What went into the predictions, in a few lines."""
    run, signatures, compounds = (manifest[name] for name in ("run", "signatures", "compounds"))
    genes, context = manifest["genes"], manifest["context"]
    yield f"model: {run['num_moas']} mechanisms, trained on {run['release']}"
    yield f"signatures: {signatures['predicted']:,} of {compounds['predicted']:,} compounds"
    if signatures["left_out_because_siginfo_lacks_them"]:
        count = signatures["left_out_because_siginfo_lacks_them"]
        yield f"  {count:,} left out: the matrix has them but siginfo does not"
    if signatures["without_pert_id"]:
        yield f"  {signatures['without_pert_id']:,} without pert_id, named by their sig_id"
    yield (
        f"genes: {genes['measured']} of {genes['expected']} measured "
        f"({genes['found_by_name']} found by name), {genes['others_not_used']:,} others not used"
    )
    if genes["missing"]:
        yield f"  {len(genes['missing'])} missing, taken as unchanged: {_named(genes['missing'])}"
    yield f"structures: {compounds['with_structure']:,} of {compounds['predicted']:,} compounds"
    yield from (
        f"  {count:,} without: {why}" for why, count in compounds["without_structure"].items()
    )
    lines = context["unknown_cell_lines"]
    if lines:
        yield (
            f"cell lines unknown to the model: {_named(list(lines))} "
            f"({sum(lines.values()):,} signatures)"
        )
    for name in ("cell_line", "dose", "time"):
        if context[f"without_{name}"]:
            yield f"signatures without {name.replace('_', ' ')}: {context[f'without_{name}']:,}"
    yield from _warnings(manifest)


def _named(names: Sequence[str]) -> str:
    """The first few names, and how many follow."""
    more = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def _warnings(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What makes these predictions doubtful."""
    magnitude, genes = manifest["median_standardised_magnitude"], manifest["genes"]
    if magnitude > MAX_TYPICAL_MAGNITUDE:
        yield (
            f"warning: the values lie {magnitude:.1f} training standard deviations from the "
            "training mean in the median (0.7 is usual); the model expects z-scores like those "
            "it was trained on, so these predictions mean little"
        )
    if 2 * genes["measured"] < genes["expected"]:
        yield "warning: less than half of the model's genes are measured"


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(
        main, description=__doc__, options=OPTIONS, takes_config=False, argv=argv
    )


if __name__ == "__main__":
    sys.exit(run())
