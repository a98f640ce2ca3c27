"""A tiny simulated release in the real formats, and ways to change its files."""

import gzip
import pathlib
import shutil

import pandas as pd

from moa_jax.data.preparation.embedded_release import simulated_config
from moa_jax.data.simulated import SimulationSettings, write_simulated_release
from moa_jax.lincs.files.gctx_writer import write_gctx
from tests.matrices import read_matrix

SIGINFO = "siginfo.txt"
LINKS, GAF = "9606.protein.links.v12.0.txt.gz", "goa_human.gaf.gz"

# A user's own release: a config with other files and without the simulation's settings.
CONFIG_FILE = """
import tests.tiny_release

def get_config():
    return tests.tiny_release.config_of()
"""


def make_release(folder):
    write_simulated_release(folder, SimulationSettings.tiny())
    return folder


def copy_release(source, folder):
    return pathlib.Path(shutil.copytree(source, folder))


def config_of(raw_dir="", level=5, **changes):
    """The config of the tiny release; `files_x=...` and `filters_x=...` change parts of it."""
    config = simulated_config()
    del config.simulation
    config.raw_dir = str(raw_dir)
    config.level = level
    config.files.expression = f"level{level}.gctx"
    config.zscore_reference = "population"
    config.filters.require_qc_pass = False
    for name, value in changes.items():
        part, _, key = name.partition("_")
        if part in ("files", "filters", "graph"):
            config[part][key] = value
        else:
            config[name] = value
    return config


def read_tsv(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def compounds_of(folder):
    """The rows of the release's siginfo that hold compounds."""
    return read_tsv(folder / SIGINFO).query("pert_type == 'trt_cp'")


def edit_tsv(path, edit):
    """Replaces a table by what `edit` makes of it."""
    edit(read_tsv(path)).to_csv(path, sep="\t", index=False)


def edit_text(path, edit):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(edit(gzip.decompress(path.read_bytes()).decode()).encode()))
    else:
        path.write_text(edit(path.read_text()))


def edit_gctx(path, *, values=None, gene_ids=None, genes=None, profile_table=None):
    """Rewrites a matrix with other values, gene ids, some of its genes, or own metadata."""
    matrix = read_matrix(path, gene_ids=genes)
    profiles = pd.DataFrame(index=pd.Index(matrix.profile_ids, name="id"))
    ids = list(matrix.gene_ids) if gene_ids is None else gene_ids(list(matrix.gene_ids))
    write_gctx(
        path,
        profile_table=profiles if profile_table is None else profile_table,
        gene_table=pd.DataFrame(index=pd.Index(ids, name="id")),
        blocks=[matrix.values if values is None else values(matrix.values.copy())],
    )
