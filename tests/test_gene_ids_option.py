"""`--gene_ids` of `predict`: which of two columns names the genes, where they disagree."""

import csv
import json

import numpy as np

from moa_jax import predict
from tests.predict.files import GENES, RAW, arguments, write_inputs


def write_disagreeing(folder):
    """Entrez ids, and the symbols of other genes."""
    path = folder / "signatures.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gene_id", "Gene", *RAW.table["sig_id"]])
        wrong = np.roll(GENES["symbol"], 1)
        writer.writerows(zip(GENES["entrez_id"], wrong, *RAW.expression, strict=True))
    return path


def test_two_namings_are_refused_until_one_is_chosen(tmp_path, tiny_run, capsys):
    write_inputs(tmp_path)
    path = write_disagreeing(tmp_path)
    assert predict.run(arguments(tmp_path, tiny_run, signatures=path)) == 2
    assert "give --gene_ids=gene_id or --gene_ids=Gene" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    tables = {}
    for name, options in {
        "reference": {},
        "by id": {"signatures": path, "gene_ids": "entrez"},
        "by symbol": {"signatures": path, "gene_ids": "Gene"},
    }.items():
        out = tmp_path / name
        assert predict.run(arguments(tmp_path, tiny_run, out=out, **options)) == 0
        tables[name] = (out / "signature_predictions.csv").read_text()
        manifest = json.loads((out / "prediction_manifest.json").read_text())
        read_from = "column Gene" if name == "by symbol" else "row ids"
        assert manifest["genes"]["read_from"] == read_from
        assert f"others not used; read from {read_from}" in capsys.readouterr().out
    assert tables["by id"] == tables["reference"] != tables["by symbol"]
