"""A new release is a configuration, and the names of columns that no release had before."""

import shutil

import numpy as np
import pytest

from moa_jax.data.storage.prepared_folder import read_prepared
from tests.recipes.checkout import Checkout, files_of_recipe
from tests.tiny_release import edit_tsv

pytestmark = pytest.mark.slow

FILES = {
    "level5.gctx": "profiles.gctx",
    "siginfo.txt": "Profiles of our screen.txt",
    "compoundinfo.txt": "library.tsv",
}
CONFIG = '''"""Our screen, level 5: 96 signatures of 48 compounds.

    python -m moa_jax.prepare --config=configs/data/ours.py --config.raw_dir=FOLDER

Seconds on one core.
"""

from moa_jax.data.preparation.release_config import release_config


def get_config():
    config = release_config("our screen", out="data/ours")
    config.files.expression = "profiles.gctx"
    config.files.siginfo = "Profiles of our screen.txt"
    config.files.compounds = "library.tsv"
    config.files.geneinfo = "geneinfo.txt"
    config.files.gene_ids = "Homo_sapiens.gene_info.gz"
    config.files.bead_map = "barcode_to_gene_map.txt"
    config.files.string_links = "9606.protein.links.v12.0.txt.gz"
    config.files.string_info = "9606.protein.info.v12.0.txt.gz"
    config.files.ontology = "go-basic.obo"
    config.files.annotations = "goa_human.gaf.gz"
    # A small graph.
    config.graph.min_term_genes = 5
    config.graph.max_term_genes = 200
    return config
'''
PROGRAM = """
from moa_jax import prepare

assert prepare.run(["--config=configs/data/ours.py", "--config.raw_dir={raw}"]) == 0
"""


def test_a_new_release(tmp_path, tiny_folder):
    """Under other names of files and columns it is prepared to the same signatures."""
    raw, copy = tmp_path / "raw", tmp_path / "program"
    shutil.copytree(tiny_folder / "raw", raw)
    for old, new in FILES.items():
        (raw / old).rename(raw / new)
    renamed = {"cell_iname": "Cell model", "pert_id": "Pert ID", "sig_id": "SIG.ID"}
    edit_tsv(raw / FILES["siginfo.txt"], lambda table: table.rename(columns=renamed))
    copy.mkdir()
    checkout = Checkout(copy)
    checkout.add("configs/data/ours.py", CONFIG)
    checkout.insert(
        "moa_jax/lincs/metadata/field_names.py",
        '        "cell_model",\n',
        before='        "cell",\n',
    )
    assert checkout.touched == files_of_recipe("A new data release", "ours")

    checkout.run(PROGRAM.format(raw=raw))
    found, expected = read_prepared(copy / "data/ours"), read_prepared(tiny_folder / "prepared")
    assert found.manifest["release"] == "our screen"
    np.testing.assert_array_equal(found.signatures.expression, expected.signatures.expression)
    same = ["sig_id", "pert_id", "cell_line", "dose_um", "time_h"]
    assert found.signatures.table[same].equals(expected.signatures.table[same])
    assert expected.signatures.table["cell_line"].notna().sum() == 94
    labelled = [
        compounds.table["moas"].map(len).gt(0).sum()
        for compounds in (found.compounds, expected.compounds)
    ]
    assert labelled[0] == labelled[1] > 40
