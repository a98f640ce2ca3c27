"""The configuration that every release starts from: all keys, their meaning and defaults."""

from __future__ import annotations

import dataclasses

import ml_collections

from moa_jax.data.expression.plate_zscores import POPULATION
from moa_jax.data.preparation.settings import SourceFiles
from moa_jax.knowledge.graph import GraphSettings


def release_config(release: str, out: str) -> ml_collections.ConfigDict:
    """A configuration whose files are still to be named.

    Args:
      release: name of the release in tables and plots.
      out: the prepared folder.
    """
    config = ml_collections.ConfigDict()
    config.release = release
    # Folder of the files; empty means the environment variable MOA_JAX_REAL_DATA.
    config.raw_dir = ""
    config.out = out
    # Relative to raw_dir, or absolute; empty where a release has none. See `SourceFiles`.
    config.files = ml_collections.ConfigDict(
        {field.name: "" for field in dataclasses.fields(SourceFiles)}
    )

    # 5: signatures as they are; 4: from z-scores (MODZ); 3: from normalised expression; 0: told
    # by the files.
    config.level = 5
    # How the matrix names its genes: entrez, symbol or a column; empty to find out.
    config.gene_ids = ""
    # What the numbers are: log2, linear or zscore; empty takes it from them.
    config.scale = ""
    # Wells that level 3 is compared with: population or vehicle.
    config.zscore_reference = POPULATION
    # Signatures are clipped to +- this; 0 leaves them.
    config.clip = 0.0
    # Leave out and count profiles with NaN or infinite values; false refuses the file.
    config.drop_nonfinite = False
    # Make signatures of those of their profiles that the files have; false refuses the file.
    config.allow_missing_signatures = False

    config.filters = ml_collections.ConfigDict()
    config.filters.pert_types = ("trt_cp",)
    config.filters.min_tas = 0.0
    config.filters.min_cc_q75 = 0.0
    config.filters.min_replicates = 1
    config.filters.require_hiq = False
    config.filters.require_qc_pass = False
    # Whether to keep signatures for which the release does not tell what a filter asks.
    config.filters.keep_missing = True

    # See `GraphSettings`.
    config.graph = ml_collections.ConfigDict(dataclasses.asdict(GraphSettings()))
    return config
