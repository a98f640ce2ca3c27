"""One small matrix in every container and dialect: the same numbers, or a refusal; never others."""

import pathlib
import tempfile

import numpy as np
import pandas as pd
from hypothesis import example, given, settings

from moa_jax.data.gene_matrix import open_gene_matrix
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from tests import dialects
from tests.dialects import Cells, Matrix, Text

# Some landmarks whose Entrez ids are as small as row numbers.
GENES = pd.DataFrame(
    [
        ("16", "AARS1", "ENSG00000090861"),
        ("23", "ABCF1", "ENSG00000204574"),
        ("25", "ABL1", "ENSG00000097007"),
        ("30", "ACAA1", "ENSG00000060971"),
        ("5", "MADE5", "ENSG00000000005"),
        ("780", "DDR1", "ENSG00000204580"),
        ("7157", "TP53", "ENSG00000141510"),
        ("90861", "JPT2", "ENSG00000206053"),
    ],
    columns=["entrez_id", "symbol", "ensembl"],
)
LANDMARKS = GENES.assign(aliases=["AARS", "", "", "", "", "", "", "HN1L"], bead="").assign(
    aliases=lambda table: table["aliases"] + "|" + table["ensembl"]
)
LANDMARKS = LANDMARKS.drop(columns="ensembl")
# Genes that no model has, so that numbered rows reach the Entrez ids of those it has.
OTHERS = pd.DataFrame(
    {
        "entrez_id": [str(100000 + row) for row in range(30)],
        "symbol": [f"OTHER{row}" for row in range(30)],
        "ensembl": [f"ENSG{70000000000 + row}" for row in range(30)],
    }
)
ALL = pd.concat([GENES, OTHERS], ignore_index=True)
PROFILES = ("P1:A375:24", "second one", "3")
VALUES = np.round(np.random.default_rng(3).normal(size=(3, len(ALL)), scale=3), 3)
IDENTIFIERS = GeneIdentifiers.from_table(LANDMARKS)


def read(path, gene_ids=""):
    """Values in the order of `GENES`, NaN where one is missing, and the landmarks found."""
    matrix = open_gene_matrix(path, LANDMARKS, IDENTIFIERS, gene_ids)
    found = matrix.read(profile_ids=PROFILES).values
    values = pd.DataFrame(found.T, index=matrix.columns.genes["entrez_id"])
    return values.reindex(GENES["entrez_id"]).to_numpy().T, matrix.columns


def write(layout, values=VALUES):
    """The bytes go through a file, whose name tells nothing."""
    folder = pathlib.Path(tempfile.mkdtemp())
    return dialects.write_matrix(folder, ALL, PROFILES, values, layout)


@settings(deadline=None, max_examples=250)
@given(layout=dialects.matrices(len(ALL)))
@example(layout=Matrix(naming="numbers beside symbols", cells=Cells(separator=";", decimal=",")))
@example(
    layout=Matrix("h5ad", "numbers beside symbols", first_number=1, text=Text(is_gzipped=True))
)
def test_every_dialect_gives_the_same_values(layout):
    values, columns = read(write(layout))
    np.testing.assert_array_equal(values, VALUES[:, : len(GENES)].astype(np.float32))
    assert columns.num_others == len(OTHERS)
