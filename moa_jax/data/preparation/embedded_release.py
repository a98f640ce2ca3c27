"""The embedded default dataset: a simulated release, generated and prepared on first use.

Folders are named by a digest of settings and versions, so that other settings or another version
of the program create new folders.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import ml_collections

import moa_jax
from moa_jax.data.expression.plate_zscores import VEHICLE
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.preparation.release_config import release_config
from moa_jax.data.preparation.settings import build_settings
from moa_jax.data.simulated import SimulationSettings, write_simulated_release
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared, write_prepared
from moa_jax.files import read_json
from moa_jax.progress import say
from moa_jax.schemas import PREPARED_FORMAT_VERSION, InputError

# Relative to the current folder.
SIMULATED_FOLDER = pathlib.Path("data/simulated")


def simulated_config() -> ml_collections.ConfigDict:
    """The complete config that prepares the simulated release from level 3."""
    # The name "simulated" marks all tables and plots about it.
    config = release_config("simulated", out="data/simulated/prepared")
    # An empty raw_dir means a folder under data/simulated, named by a digest of the settings and
    # generated on first use. Sizes, effects, noise and errors: see `SimulationSettings`.
    config.simulation = ml_collections.ConfigDict(dataclasses.asdict(SimulationSettings()))
    config.files.expression = "level3.gctx"
    config.files.siginfo = "siginfo.txt"
    config.files.instinfo = "instinfo.txt"
    config.files.geneinfo = "geneinfo.txt"
    config.files.gene_ids = "Homo_sapiens.gene_info.gz"
    config.files.bead_map = "barcode_to_gene_map.txt"
    config.files.cellinfo = "cellinfo.txt"
    config.files.compounds = "compoundinfo.txt"
    config.files.structure_only_compounds = "structure_only_compounds.txt"
    config.files.string_links = "9606.protein.links.v12.0.txt.gz"
    config.files.string_info = "9606.protein.info.v12.0.txt.gz"
    config.files.ontology = "go-basic.obo"
    config.files.annotations = "goa_human.gaf.gz"
    config.level = 3
    config.zscore_reference = VEHICLE
    config.filters.require_qc_pass = True
    config.graph.min_term_genes = 5
    config.graph.max_term_genes = 200
    return config


def open_dataset(folder: str) -> PreparedDataset:
    """The prepared dataset in `folder`, or the embedded simulated one if that is "".

    Raises:
      InputError: `folder` has no dataset that this version can read.
    """
    return read_prepared(folder) if folder else embedded_dataset()


def embedded_dataset() -> PreparedDataset:
    """The prepared simulated release, generated in a few seconds on first use.

    Raises:
      InputError: the folder cannot be written.
    """
    config = simulated_config()
    prepared = SIMULATED_FOLDER / f"prepared-{_digest(config.to_dict())}"
    if not prepared.is_dir():
        say(f"generating the embedded simulated dataset in {SIMULATED_FOLDER} (first use)")
        config.raw_dir = str(ensure_release(config))
        write_prepared(prepared, prepare(config))
    return read_prepared(prepared)


def ensure_release(config: ml_collections.ConfigDict) -> pathlib.Path:
    """Folder of the release with the settings `config.simulation`, generated if absent.

    Args:
      config: its `raw_dir` is the folder of the release; if empty, a folder under
        `SIMULATED_FOLDER` is used.

    Raises:
      InputError: the settings contradict each other, or `raw_dir` contains something else.
    """
    settings = build_settings(SimulationSettings, config.simulation.to_dict(), "config.simulation")
    values = dataclasses.asdict(settings)
    name = f"release-{_digest(values)}"
    release = pathlib.Path(config.raw_dir) if config.raw_dir else SIMULATED_FOLDER / name
    if not release.exists():
        write_simulated_release(release, settings)
        return release
    found = release / "truth" / "settings.json"
    stored = read_json(found) if found.is_file() else None
    if stored != {"simulated": True, **json.loads(json.dumps(values))}:
        raise InputError(
            f"{release} exists and is not a simulated release with these settings; "
            "choose another config.raw_dir."
        )
    return release


def _digest(values: dict[str, Any]) -> str:
    inputs = [values, PREPARED_FORMAT_VERSION, moa_jax.__version__]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
