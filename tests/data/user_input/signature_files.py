"""Four signatures of five genes as a user hands them in, and how they are read."""

import numpy as np
import pandas as pd

from moa_jax.data.examples.features import fit_features
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.lincs.files.gctx_writer import write_gctx
from tests.synthetic import make_gene_table, make_raw_examples

GENES = make_gene_table()
ENTREZ = list(GENES["entrez_id"])
FEATURES = fit_features(make_raw_examples(), GENES)
SIG_IDS = ["S1", "S2", "S3", "S4"]
VALUES = np.random.default_rng(7).normal(size=(4, 5)).astype(np.float32)
SIGINFO = pd.DataFrame(
    {
        "sig_id": SIG_IDS,
        "pert_id": ["A", "B", "A", "C"],
        "cmap_name": ["aspirin", "b", "aspirin", "c"],
        "cell_iname": ["A375", "MCF7", "HELA", "-666"],
        "pert_idose": ["10 uM", "100 nM", "", "-666"],
        "pert_itime": ["24 h", "6 h", "24 h", ""],
    }
)
COMPOUNDS = [
    ("A", "CC(=O)Oc1ccccc1C(O)=O"),
    ("B", "not a molecule"),
    ("UNUSED", "CCO"),
]


def write_matrix(path, values=VALUES, gene_ids=ENTREZ, **profile_fields):
    """A GCTX file of the signatures `SIG_IDS`."""
    profiles = pd.DataFrame(profile_fields, index=SIG_IDS[: len(values)])
    genes = pd.DataFrame(index=pd.Index(gene_ids))
    write_gctx(path, profile_table=profiles, gene_table=genes, blocks=[values])
    return path


def write_table(path, table):
    table.to_csv(path, sep="\t", index=False)
    return path


def write_compoundinfo(path, compounds=COMPOUNDS):
    rows = [(pert_id, pert_id.lower(), "", "", smiles, "") for pert_id, smiles in compounds]
    columns = ["pert_id", "cmap_name", "target", "moa", "canonical_smiles", "inchi_key"]
    return write_table(path, pd.DataFrame(rows, columns=columns))


def read(matrix, siginfo=None, compoundinfo=None):
    return read_new_signatures(SignatureFiles(matrix, siginfo, compoundinfo), GENES, FEATURES)
