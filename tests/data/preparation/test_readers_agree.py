"""`prepare` and `predict` read one file alike: the same genes, the same numbers, or both refuse."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.examples.features import fit_features
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.schemas import InputError
from tests import dialects
from tests.dialects import Cells, Matrix, Text
from tests.matrices import read_matrix
from tests.synthetic import make_gene_table, make_raw_examples
from tests.tiny_release import SIGINFO, config_of, read_tsv


@pytest.fixture
def genes(release):
    """All genes of the release, by the columns of its matrix."""
    table = read_tsv(release / "geneinfo.txt").rename(
        columns={"gene_id": "entrez_id", "gene_symbol": "symbol"}
    )
    ids = read_matrix(release / "level5.gctx").gene_ids
    table = table.set_index("entrez_id", drop=False).loc[list(ids)].reset_index(drop=True)
    return table.assign(ensembl=[f"ENSG{row:011d}" for row in range(len(table))])


def predicted(path, siginfo, landmarks, gene_ids=""):
    """Expression as `predict` reads it, by sig_id, and the report."""
    num_genes = len(landmarks)
    features = dataclasses.replace(
        fit_features(make_raw_examples(), make_gene_table()),
        genes=tuple(landmarks["entrez_id"]),
        mean=np.zeros(num_genes, np.float32),
        scale=np.ones(num_genes, np.float32),
    )
    files = SignatureFiles(path, siginfo)
    new = read_new_signatures(files, landmarks, features, gene_ids=gene_ids)
    return pd.DataFrame(new.examples.expression, index=new.examples.table["sig_id"]), new.report


def check_alike(raw, level5, path, siginfo=SIGINFO, gene_ids=""):
    """Both programs give the release's own expression of a file."""
    signatures = level5.signatures
    config = config_of(raw, files_expression=path.name, files_siginfo=siginfo, gene_ids=gene_ids)
    prepared = prepare(config)
    ids = prepared.signatures.table["sig_id"].tolist()
    assert ids == signatures.table["sig_id"].tolist()
    np.testing.assert_array_equal(prepared.signatures.expression, signatures.expression)
    values, report = predicted(path, raw / siginfo, signatures.genes, gene_ids)
    np.testing.assert_array_equal(values.loc[ids].to_numpy(), signatures.expression)
    genes = prepared.manifest["genes"]
    for name in ("measured", "read_from", "repeated_alike", "dates_not_understood"):
        assert report["genes"][name] == genes[name]


@pytest.mark.parametrize(
    "layout",
    [
        Matrix("gctx", "float entrez", text=Text(is_gzipped=True)),
        Matrix("h5ad", "numbers beside symbols", first_number=1, text=Text(is_gzipped=True)),
        Matrix("gct 1.2", "probes beside symbols", text=Text("utf-8", True, "\r\n")),
        Matrix("gct 1.3", "numbers beside symbols", cells=Cells(quotes="all", trailing=1)),
        Matrix("table", "numbers beside symbols", "approved", cells=Cells(separator=",")),
        Matrix("table", "symbol", genes_in_columns=True, cells=Cells(";", ",", padding=" ")),
        Matrix("table", "numbers beside entrez", text=Text("utf-16-le", True, "\r")),
    ],
    ids=lambda layout: f"{layout.container} {layout.naming}",
)
def test_both_read_every_container_alike(raw, level5, genes, layout):
    matrix = read_matrix(raw / "level5.gctx")
    path = dialects.write_matrix(raw, genes, matrix.profile_ids, matrix.values, layout)
    check_alike(raw, level5, path)


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (Cells(separator=",", quotes="all"), Text("utf-8", True, "\r\n", True)),
        (Cells(separator=";", padding=" ", trailing=1), Text("utf-16-le", True)),
        (Cells(comments=("# of the tiny release",)), Text(line_end="\r")),
    ],
)
def test_both_read_siginfo_in_every_dialect_alike(raw, level5, cells, text):
    table = read_tsv(raw / SIGINFO)
    rows = [table.columns.tolist(), *table.to_numpy().tolist()]
    (raw / "own.txt").write_bytes(dialects.encode(dialects.format_rows(rows, cells), text))
    check_alike(raw, level5, raw / "level5.gctx", "own.txt")


def test_both_refuse_alike_and_follow_the_option(raw, level5, genes):
    """Two columns that name genes and disagree: what --gene_ids names is what both take."""
    matrix = read_matrix(raw / "level5.gctx")
    rows = [["gene_id", "symbol", *matrix.profile_ids]]
    wrong = np.roll(genes["symbol"], 1)
    for entrez_id, symbol, numbers in zip(
        genes["entrez_id"], wrong, matrix.values.T.tolist(), strict=True
    ):
        rows.append([entrez_id, symbol, *numbers])
    path = raw / "m.tsv"
    path.write_bytes(dialects.encode(dialects.format_rows(rows)))
    options = "--config.gene_ids=gene_id or --config.gene_ids=symbol"
    with pytest.raises(InputError, match=options):
        prepare(config_of(raw, files_expression="m.tsv"))
    with pytest.raises(InputError, match="--gene_ids=gene_id or --gene_ids=symbol"):
        predicted(path, raw / SIGINFO, level5.signatures.genes)
    check_alike(raw, level5, path, gene_ids="entrez")
    check_alike(raw, level5, path, gene_ids="gene_id")


def test_an_older_release_tells_older_symbols(raw, level5, genes):
    """An alias that two genes share names neither; an older release's symbol names one."""
    landmark = level5.signatures.genes.iloc[0]
    names = raw / "Homo_sapiens.gene_info.gz"
    table = pd.read_csv(names, sep="\t", dtype=str)
    is_it = table["GeneID"] == landmark["entrez_id"]
    other = table.index[~table["GeneID"].isin(genes["entrez_id"])][0]
    table.loc[is_it, "Synonyms"] = "OLDNAME"
    table.loc[other, "Synonyms"] = "OLDNAME"
    table.to_csv(names, sep="\t", index=False)
    shared = prepare(config_of(raw)).signatures.genes.iloc[0]
    assert "OLDNAME" not in shared["aliases"]
    (raw / "older.txt").write_text(
        f"pr_gene_id\tpr_gene_symbol\n{landmark['entrez_id']}\tOLDNAME\n"
    )
    told = prepare(config_of(raw, files_older_geneinfo="older.txt")).signatures.genes.iloc[0]
    assert "OLDNAME" in told["aliases"].split("|")
