r"""Prepares a release: reads public files and writes one prepared folder.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py \
        --config.raw_dir=DIR --config.out=OUT

reads the expression, metadata, compound, STRING and Gene Ontology files named in the config, keeps
the signatures that pass its filters, and writes the folder for `moa_jax.train --config.data=OUT`.
Its `manifest.json` records the SHA-256 of every input, versions, counts of rows kept and dropped
(by reason), and how many landmarks STRING and Gene Ontology cover.

Paths are relative to config.raw_dir, or to the folder in the environment variable
MOA_JAX_REAL_DATA. A folder already prepared from the same files, config and versions is kept; one
prepared from others is replaced; any other folder is refused.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from moa_jax import command_line
from moa_jax.compounds.tables import contradictions
from moa_jax.data.expression.landmark_columns import gene_lines
from moa_jax.data.preparation.embedded_release import ensure_release
from moa_jax.data.preparation.pipeline import describe_sources, prepare
from moa_jax.data.storage.prepared_folder import read_prepared, write_prepared
from moa_jax.data.user_input.signatures import level_lines
from moa_jax.files import read_json
from moa_jax.schemas import InputError

RAW_DIR_VARIABLE = "MOA_JAX_REAL_DATA"


def main(config: ml_collections.ConfigDict) -> None:
    """Prepares the release described by the config, unless that is done already.

    Raises:
      InputError: the config, a file or the output folder cannot be used.
    """
    if not config.get("out"):
        raise InputError("config.out is empty; it must name the folder to write.")
    out = pathlib.Path(config.out)
    before = _manifest_of(out)
    config.raw_dir = _raw_dir(config)
    description = describe_sources(config)
    if before is not None and _is_current(out, before, description):
        print(f"{out} is up to date: same files, config and versions.")
    else:
        write_prepared(out, prepare(config, description))
    print("\n".join(_summary(read_json(out / "manifest.json"))))
    print(f"prepared folder: {out}")


def _raw_dir(config: ml_collections.ConfigDict) -> str:
    if "simulation" in config:
        return str(ensure_release(config))
    raw_dir = config.get("raw_dir") or os.environ.get(RAW_DIR_VARIABLE, "")
    if not raw_dir:
        raise InputError(
            "the folder of the public files is not given; use --config.raw_dir=FOLDER or set the "
            f"environment variable {RAW_DIR_VARIABLE}."
        )
    return raw_dir


def _manifest_of(out: pathlib.Path) -> dict[str, Any] | None:
    """The manifest of a prepared folder; None if there is no folder or it is empty.

    Raises:
      InputError: the path is something else, which writing would delete.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    manifest = read_json(out / "manifest.json") if (out / "manifest.json").is_file() else {}
    if not isinstance(manifest, dict) or "format_version" not in manifest:
        raise InputError(f"{out} exists and is not a prepared folder; choose another config.out.")
    return manifest


def _is_current(
    out: pathlib.Path, manifest: Mapping[str, Any], description: Mapping[str, Any]
) -> bool:
    if any(manifest.get(key) != value for key, value in description.items()):
        return False
    try:
        read_prepared(out)
    except InputError:
        # Damaged, or of another format version.
        return False
    return True


def _summary(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Counts of what was kept and dropped, and coverage of the sources."""
    yield f"release: {manifest['release']}"
    # Folders of earlier versions lack it.
    if "level" in manifest:
        yield from level_lines(manifest["level"])
    stages = ("profiles", "signatures", "compounds", "structure_only_compounds", "ligands")
    for stage in stages:
        if manifest.get(stage, {}).get("found"):
            counts = manifest[stage]
            yield f"{stage.replace('_', ' ')}: {counts['kept']:,} of {counts['found']:,} kept"
            yield from (f"  {count:,} dropped: {why}" for why, count in counts["dropped"].items())
            for why, count in counts.get("without_structure", {}).items():
                yield f"  {count:,} kept without structure: {why}"
            yield from _reading_lines(counts)
            yield from _pair_lines(counts)
    if actions := manifest["actions"]:
        counts = ", ".join(f"{count:,} {origin}" for origin, count in actions.items())
        yield f"what compounds do to their targets: {counts}"
    joined, genes, coverage = manifest["joined"], manifest["genes"], manifest["coverage"]
    yield (
        f"labelled: {joined['signatures_with_moa']:,} signatures of "
        f"{joined['compounds_with_signature_and_moa']:,} compounds; "
        f"{joined['signatures_without_compound_row']:,} without a row in the compound table"
    )
    landmarks = coverage["landmarks"]
    yield (
        f"landmarks: {genes['measured']} of {genes['landmarks']} measured; of these "
        f"{landmarks['in_string']} in STRING ({landmarks['with_interaction']} with a link), "
        f"{landmarks['annotated']} in GO ({landmarks['with_term']} with a kept term); "
        f"read from {genes['read_from']}"
    )
    yield from gene_lines(genes)
    nodes, edges = coverage["nodes"], coverage["edges"]
    yield f"graph: {nodes['genes']:,} genes, {nodes['terms']:,} terms; edges: " + ", ".join(
        f"{name} {count:,}" for name, count in edges.items()
    )
    for name, sets in manifest["gene_sets"].items():
        unknown = sum(sets["not_understood"].values())
        yield (
            f"gene sets: {sets['kept']:,} of {sets['found']:,} of {name} kept; "
            f"{unknown:,} of {sets['names']:,} names not understood"
        )


def _reading_lines(counts: Mapping[str, Any]) -> Iterator[str]:
    """Which columns of a compound table were read; nothing for other files."""
    if (table := counts.get("table")) is None:
        return
    how = f", recognised by {table['told_by']}" if "told_by" in table else ""
    yield f"  structures from {table['structures']}{how}, ids from {table['ids'] or 'names'}"
    if counts.get("labelled") == 0:
        yield "  none of them has a mechanism of action"
    if table["contradicting"]:
        yield f"  {contradictions(table['contradicting'])}"


def _pair_lines(counts: Mapping[str, Any]) -> Iterator[str]:
    """Pairs of ligand and target by source; nothing for other files."""
    if (pairs := counts.get("pairs")) is None:
        return
    yield f"  {pairs['kept']:,} pairs with {pairs['targets']:,} targets"
    for source, found in pairs["by_source"].items():
        yield f"  {source}: {found['ligands']:,} ligands of {found['targets']:,} targets"
    yield from (f"  {count:,} pairs dropped: {why}" for why, count in pairs["dropped"].items())
    actions = ", ".join(f"{count:,} {action}" for action, count in pairs["actions"].items())
    yield (
        f"  actions: {actions} ({pairs['actions_inferred_from_ec50']:,} of them inferred from EC50 "
        "on receptors)"
    )


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
