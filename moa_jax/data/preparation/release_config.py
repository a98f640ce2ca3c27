"""The base configuration of all releases: keys, meanings and defaults."""

from __future__ import annotations

import dataclasses

import ml_collections

from moa_jax.compounds.ligands.selection import LigandSettings
from moa_jax.data.expression.plate_zscores import POPULATION
from moa_jax.data.preparation.settings import SourceFiles
from moa_jax.knowledge.graph import GraphSettings


def release_config(release: str, out: str) -> ml_collections.ConfigDict:
    """A configuration without files.

    Args:
      release: name of the release in tables and plots.
      out: the prepared folder.
    """
    config = ml_collections.ConfigDict()
    config.release = release
    # Folder of the files; empty: from the environment variable MOA_JAX_REAL_DATA.
    config.raw_dir = ""
    config.out = out
    # Relative to raw_dir, or absolute; empty if a release has none. See `SourceFiles`.
    config.files = ml_collections.ConfigDict(
        {field.name: "" for field in dataclasses.fields(SourceFiles) if field.name != "ligands"}
    )
    # Any number of ligand tables: files, or the folders of KIBA, Davis and MoleculeACE.
    config.files.ligands = ()
    # Which of their ligands are taken; see `LigandSettings`.
    config.ligands = ml_collections.ConfigDict(dataclasses.asdict(LigandSettings()))

    # Level of the matrix: 5 (signatures), 4 (z-scores, collapsed by MODZ), 3 (normalised
    # expression); 0: automatic.
    config.level = 5
    # How the matrix names its genes: entrez, symbol or a column; empty: automatic.
    config.gene_ids = ""
    # Scale of the values: log2, linear or zscore; empty: automatic.
    config.scale = ""
    # Reference wells for level 3: population (all wells of the plate) or vehicle.
    config.zscore_reference = POPULATION
    # Signatures are clipped to +- this; 0: no clipping.
    config.clip = 0.0
    # Leave out and count profiles with NaN or infinite values; false refuses the file.
    config.drop_nonfinite = False
    # Ignore profiles of signatures that are not in the files; false refuses the file.
    config.allow_missing_signatures = False

    config.filters = ml_collections.ConfigDict()
    config.filters.pert_types = ("trt_cp",)
    config.filters.min_tas = 0.0
    config.filters.min_cc_q75 = 0.0
    config.filters.min_replicates = 1
    config.filters.require_hiq = False
    config.filters.require_qc_pass = False
    # Keep signatures without the values that a filter needs.
    config.filters.keep_missing = True

    # See `GraphSettings`.
    config.graph = ml_collections.ConfigDict(dataclasses.asdict(GraphSettings()))
    return config
