"""Six signatures as a user hands them to `predict`, and a look at what is written of them."""

import csv

import numpy as np
import pandas as pd

from moa_jax import predict
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.schemas import Examples
from tests.synthetic import make_gene_table, make_raw_examples

GENES = make_gene_table()
ENTREZ = list(GENES["entrez_id"])
# Six signatures of three compounds, one of them without structure.
RAW = make_raw_examples(6, seed=3)
COMPOUNDS = {
    "BRD-000": "CC(=O)Oc1ccccc1C(=O)O",
    "BRD-001": "CC(=O)Nc1ccc(O)cc1",
    "BRD-999": "c1ccncc1",
}
PROBS = ["moa 0", "moa 1", "moa 2"]
# What `predict` writes.
FILES = [
    "answers.csv",
    "compound_predictions.csv",
    "mechanisms.csv",
    "prediction_manifest.json",
    "signature_predictions.csv",
    "signature_quality.csv",
]
# Tables hold five significant digits.
ROUNDED = 5e-5


def write_matrix(folder, values=RAW.expression, gene_ids=ENTREZ):
    path = folder / "signatures.gctx"
    profiles = pd.DataFrame(index=list(RAW.table["sig_id"]))
    genes = pd.DataFrame(index=pd.Index(gene_ids))
    write_gctx(path, profile_table=profiles, gene_table=genes, blocks=[values])
    return path


def write_siginfo(folder, table=RAW.table):
    path = folder / "siginfo.txt"
    table.rename(columns={"compound": "cmap_name", "cell_line": "cell_iname"}).to_csv(
        path, sep="\t", index=False
    )
    return path


def write_compoundinfo(folder):
    path = folder / "compoundinfo.txt"
    columns = ["pert_id", "cmap_name", "target", "moa", "canonical_smiles", "inchi_key"]
    rows = [(pert_id, "", "", "", smiles, "") for pert_id, smiles in COMPOUNDS.items()]
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)
    return path


def arguments(folder, run, **others):
    files = {
        "workdir": run,
        "signatures": folder / "signatures.gctx",
        "siginfo": folder / "siginfo.txt",
        "compoundinfo": folder / "compoundinfo.txt",
        "out": folder / "out",
    } | others
    return [f"--{name}={value}" for name, value in files.items() if value is not None]


def write_inputs(folder):
    write_matrix(folder)
    write_siginfo(folder)
    write_compoundinfo(folder)


def write_plate(folder):
    """A plate of log2 expression: three vehicle wells, two replicates of each of two compounds."""
    values = np.random.default_rng(5).normal(8, 1, (7, 5)).astype(np.float32)
    names = [f"w{row}" for row in range(7)]
    treated = ["BRD-000"] * 2 + ["BRD-001"] * 2
    wells = pd.DataFrame({"inst_id": names, "pert_id": ["DMSO"] * 3 + treated})
    wells["pert_type"] = ["ctl_vehicle"] * 3 + ["trt_cp"] * 4
    wells["plate"], wells["cell_iname"], wells["dose_um"] = "P1", "A375", 10
    wells["time_h"] = 24
    table = pd.DataFrame(values.T, index=ENTREZ, columns=names)
    table.to_csv(folder / "plate.tsv", sep="\t", index_label="gene")
    wells.to_csv(folder / "wells.txt", sep="\t", index=False)
    return values


def examples_of(model, **changes) -> Examples:
    """What the files say, written down by hand."""
    values = {
        "expression": RAW.expression,
        "has_expression": np.ones(6, bool),
        "gene_mask": np.ones(5, bool),
        "table": RAW.table,
        "smiles": tuple(COMPOUNDS.get(pert_id) for pert_id in RAW.table["pert_id"]),
        "groups": tuple(RAW.table["pert_id"]),
        "targets": ((),) * 6,
        "moas": model.features.moas,
        "labels": np.zeros((6, 3), np.float32),
    }
    return Examples(**(values | changes))


def predicted(folder):
    names = ("signature_predictions.csv", "compound_predictions.csv")
    return tuple(pd.read_csv(folder / name) for name in names)


def refused(capsys, argv):
    """The one line that a refusal prints."""
    assert predict.run(argv) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def formulas(path):
    """Cells of a CSV file that a spreadsheet would run."""
    with open(path, newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    return [cell for cell in cells if cell.startswith(tuple("=+-@\t\r")) and not is_number(cell)]


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
