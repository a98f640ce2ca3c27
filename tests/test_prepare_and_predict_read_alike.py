"""`prepare` and `predict` read the same files alike: one plate, in many containers and dialects.

Two compounds at two doses in two cell lines with two wells each, and vehicles, as levels 3, 4 and
5. Each fixture is a matrix, its metadata and a compound table, written in some way; both programs
make the same signatures of it, or both refuse it for the same reason.
"""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.examples.features import fit_features
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.lincs.plates import robust_zscore
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError
from tests import dialects
from tests.dialects import Cells, Matrix, Text
from tests.matrices import read_matrix
from tests.synthetic import make_gene_table, make_raw_examples
from tests.tiny_release import config_of, read_tsv

pytestmark = pytest.mark.slow

LINES, DOSES_UM, TIME_H = ("A375", "MCF7"), (0.1, 10), 24
SMILES = {"BRD-A": "CC(=O)Oc1ccccc1C(=O)O", "BRD-B": "CC(=O)Nc1ccc(O)cc1"}
VEHICLE = "DMSO"
GCTX, TABS, PLAIN = Matrix("gctx"), Cells(), Text()


@pytest.fixture(scope="module")
def raw(tiny_folder):
    return tiny_folder / "raw"


@pytest.fixture(scope="module")
def landmarks(raw):
    """The release's landmark genes by which `prepare` names the columns."""
    return prepare(config_of(raw)).signatures.genes


@pytest.fixture(scope="module")
def genes(raw):
    """All genes of the release's matrix."""
    table = read_tsv(raw / "geneinfo.txt").rename(
        columns={"gene_id": "entrez_id", "gene_symbol": "symbol"}
    )
    ids = read_matrix(raw / "level5.gctx").gene_ids
    table = table.set_index("entrez_id", drop=False).loc[list(ids)].reset_index(drop=True)
    return table.assign(ensembl=[f"ENSG{row:011d}" for row in range(len(table))])


def profiles_of(level, num_genes):
    """Values [profile, gene] of a level and its metadata; the ids are the index."""
    rng = np.random.default_rng(7)
    conditions = list(itertools.product(SMILES, DOSES_UM))
    effect = {condition: rng.normal(0, 2, num_genes) for condition in conditions}
    rows, values = [], []
    for line in LINES:
        base = rng.normal(9, 1.2, num_genes)
        for pert_id, dose in [(VEHICLE, None)] * 4 + conditions * 2:
            shift = 0 if pert_id == VEHICLE else effect[pert_id, dose]
            values.append(base + shift + rng.normal(0, 0.4, num_genes))
            rows.append((pert_id, line, dose))
    table = pd.DataFrame(rows, columns=["pert_id", "line", "dose"])
    expression = np.clip(values, 3, 15).astype(np.float32).round(3)
    wells = [f"{row}{column:02d}" for row in "AB" for column in range(1, 13)]
    table.index = pd.Index([f"P1:{well}" for well in wells])
    table["well"] = wells
    if level == 3:
        return expression, table
    is_vehicle = (table["pert_id"] == VEHICLE).to_numpy()
    scores = robust_zscore(
        expression, plate=["P1"] * len(table), cell_line=table["line"], control=is_vehicle
    ).round(4)
    if level == 4:
        return scores, table
    first = ~table.duplicated(["pert_id", "line", "dose"]).to_numpy()
    table = table[first].drop(columns="well")
    texts = table["dose"].map(lambda dose: "-666" if np.isnan(dose) else f"{dose:g}")
    table.index = pd.Index("CPC_" + table["line"] + "_24H:" + table["pert_id"] + ":" + texts)
    return scores[first], table


@dataclasses.dataclass(frozen=True)
class Fixture:
    """How one plate is written.

    Attributes:
      level: of the matrix.
      layout: of the matrix.
      scale: `log2` or `linear`, at level 3.
      dialect: of the metadata's cells.
      text: of the metadata's file.
      unit: of the doses.
      apart: whether the doses are numbers beside a column of units.
      case: of the compounds' ids in the metadata.
      kinds: `pert_type` of compounds and vehicles; None where it is not told.
      plate: columns that tell the plate.
      id_column: name of the ids in the metadata.
      inside: whether the metadata stand in the matrix file.
      pad: put around the ids of the metadata.
      extra: rows of profiles that the matrix lacks.
      compounds: dialect of the compound table.
      vehicle_dose: of the vehicles, as it is written.
      lost: profiles whose first value is NaN, by compound.
      treated: which wells of the plate there are: all, or those of compounds.
      bare: whether ids and metadata of wells tell no plate and no well.
      shift: added to all values.
      symbols: whether the column of symbols holds any.
      as_siginfo: whether `prepare` is given the wells as siginfo.
      refusal: what both say; empty where both read.
    """

    level: int = 5
    layout: Matrix = GCTX
    scale: str = "log2"
    dialect: Cells = TABS
    text: Text = PLAIN
    unit: str = "uM"
    apart: bool = False
    case: Callable[[str], str] = str
    kinds: tuple[str, str] | None = ("trt_cp", "ctl_vehicle")
    plate: tuple[str, ...] = ("det_plate",)
    id_column: str = ""
    inside: bool = False
    pad: str = ""
    extra: int = 0
    compounds: Cells = TABS
    vehicle_dose: str = "-666"
    lost: str = ""
    treated: bool = False
    bare: bool = False
    shift: float = 0
    symbols: bool = True
    as_siginfo: bool = False
    refusal: str = ""


def metadata_of(table, fixture):
    """The metadata as a table of texts without the ids."""
    told = table["dose"].notna()
    factor = {"uM": 1, "nM": 1000}.get(fixture.unit, 1)
    found = pd.DataFrame(index=table.index)
    found["pert_id"] = table["pert_id"].map(fixture.case)
    found["cell_iname"] = table["line"]
    doses = [
        f"{dose * factor:g} {fixture.unit}" if known else fixture.vehicle_dose
        for dose, known in zip(table["dose"], told, strict=True)
    ]
    if fixture.apart:
        parts = [dose.partition(" ") for dose in doses]
        found["exp_pert_dose"] = [number for number, _, _ in parts]
        found["exp_pert_dose_unit"] = fixture.unit
    else:
        found["pert_idose"] = doses
    found["pert_itime"] = f"{TIME_H} h"
    if fixture.kinds is not None:
        found["pert_type"] = [fixture.kinds[0 if known else 1] for known in told]
    if fixture.level == 5:
        found["nsample"] = "2"
    elif not fixture.bare:
        for name in fixture.plate:
            found[name] = "P1"
        found["det_well"] = table["well"]
    return found


def write_fixture(folder, genes, fixture):
    """Writes a fixture; returns the matrix, the metadata or None, and the compound table."""
    folder.mkdir(parents=True, exist_ok=True)
    values, table = profiles_of(fixture.level, len(genes))
    values = values + np.float32(fixture.shift)
    if not fixture.symbols:
        genes = genes.assign(symbol="na")
    if fixture.bare:
        table.index = [f"w{row}" for row in range(len(table))]
    if fixture.treated:
        kept = (table["pert_id"] != VEHICLE).to_numpy()
        values, table = values[kept], table[kept]
    if fixture.lost:
        values[(table["pert_id"] == fixture.lost).to_numpy(), 0] = np.nan
    if fixture.scale == "linear":
        values = np.exp2(values).astype(np.float32).round(1)
    metadata = metadata_of(table, fixture)
    if fixture.inside:
        path = write_inside(folder, genes, values, metadata, fixture.layout)
        siginfo = None
    else:
        path = dialects.write_matrix(folder, genes, list(table.index), values, fixture.layout)
        siginfo = folder / "metadata.txt"
        name = fixture.id_column or ("sig_id" if fixture.level == 5 else "inst_id")
        ids = [f"{fixture.pad}{own}{fixture.pad}" for own in table.index]
        rows = [[own, *cells] for own, cells in zip(ids, metadata.to_numpy(str), strict=True)]
        rows += [[f"elsewhere {row}", *rows[-1][1:]] for row in range(fixture.extra)]
        text = dialects.format_rows([[name, *metadata.columns], *rows], fixture.dialect)
        siginfo.write_bytes(dialects.encode(text, fixture.text))
    compounds = folder / "compounds.txt"
    rows = [["pert_id", "SMILES"], *SMILES.items()]
    compounds.write_bytes(dialects.encode(dialects.format_rows(rows, fixture.compounds)))
    return path, siginfo, compounds


def write_inside(folder, genes, values, metadata, layout):
    """A matrix whose file has the metadata of its profiles."""
    path, ids = folder / "m", genes["entrez_id"].tolist()
    if layout.container in ("gctx", "h5ad"):
        write = write_gctx if layout.container == "gctx" else dialects.write_h5ad
        gene_table = pd.DataFrame(index=ids)
        write(path, profile_table=metadata, gene_table=gene_table, blocks=[values])
        return path
    numbers = [[float(str(value)) for value in row] for row in values]
    names, cells = list(metadata.columns), metadata.to_numpy(str).tolist()
    if layout.container == "table":
        rows = [["sample", *names, *ids]]
        rows += [[own, *a, *b] for own, a, b in zip(metadata.index, cells, numbers, strict=True)]
    else:
        rows = [["#1.3"], [len(ids), len(metadata), 0, len(names)], ["id", *metadata.index]]
        rows += [[name, *row] for name, row in zip(names, zip(*cells, strict=True), strict=True)]
        rows += [[own, *row] for own, row in zip(ids, zip(*numbers, strict=True), strict=True)]
    path.write_bytes(dialects.encode(dialects.format_rows(rows, layout.cells), layout.text))
    return path


def prepared_of(raw, fixture, path, siginfo, compounds):
    is_siginfo = fixture.level == 5 or fixture.as_siginfo
    files = {
        "files_expression": str(path),
        "files_compounds": str(compounds),
        "files_structure_only_compounds": "",
        "files_siginfo": str(siginfo) if siginfo and is_siginfo else "",
        "files_instinfo": str(siginfo) if siginfo and not is_siginfo else "",
    }
    return prepare(config_of(raw, 0, zscore_reference="vehicle", **files))


def predicted_of(landmarks, path, siginfo, compounds):
    features = dataclasses.replace(
        fit_features(make_raw_examples(), make_gene_table()),
        genes=tuple(landmarks["entrez_id"]),
        mean=np.zeros(len(landmarks), np.float32),
        scale=np.ones(len(landmarks), np.float32),
    )
    return read_new_signatures(SignatureFiles(path, siginfo, compounds), landmarks, features)


def answer(read):
    """What a program reads, or the refusal without what tells its options from the other's."""
    try:
        return read(), ""
    except InputError as error:
        return None, str(error).replace("--config.", "--")


def check_alike(raw, landmarks, genes, folder, fixture):
    files = write_fixture(folder, genes, fixture)
    prepared, first = answer(lambda: prepared_of(raw, fixture, *files))
    new, second = answer(lambda: predicted_of(landmarks, *files))
    assert first == second
    assert fixture.refusal in first
    assert bool(first) == bool(fixture.refusal)
    if prepared is None:
        return
    examples, signatures = new.examples, prepared.signatures
    assert landmarks["entrez_id"][examples.gene_mask].tolist() == list(
        signatures.genes["entrez_id"]
    )
    np.testing.assert_array_equal(examples.expression[:, examples.gene_mask], signatures.expression)
    # `prepare` spells ids as the compound table does, `predict` as the signatures do.
    table = examples.table[list(SIGNATURE_COLUMNS)].copy()
    assert set(table["pert_id"]) == set(map(fixture.case, SMILES))
    for own in SMILES:
        for name in ("sig_id", "pert_id"):
            table[name] = table[name].str.replace(fixture.case(own), own)
    pd.testing.assert_frame_equal(table, signatures.table, check_dtype=False)
    said = prepared.manifest["level"]
    for name in ("level", "because", "scale", "scale_because", "amounts_not_converted"):
        assert new.level[name] == said[name], name
    assert said["level"] == fixture.level
    assert len(signatures.table) == 8
    doses = signatures.table["dose_um"]
    if said["amounts_not_converted"]:
        assert doses.isna().all()
        assert sorted(said["amounts_not_converted"]["dose"]) == [
            f"{dose:g} {fixture.unit}" for dose in DOSES_UM
        ]
    else:
        np.testing.assert_allclose(sorted(set(doses)), DOSES_UM)
    smiles = prepared.compounds.table.set_index("pert_id")["smiles"]
    assert examples.smiles == tuple(smiles[signatures.table["pert_id"]])


FIXTURES = {
    "GCTX": Fixture(),
    "GCTX of wells": Fixture(4),
    "GCTX of log2 expression": Fixture(3),
    "GCTX of fluorescence": Fixture(3, scale="linear"),
    "GCTX, gzipped, Entrez 16.0": Fixture(
        layout=Matrix("gctx", "float entrez", text=Text(is_gzipped=True))
    ),
    "GCTX with its own metadata": Fixture(inside=True),
    "GCTX of wells with their own metadata": Fixture(4, inside=True),
    "h5ad of log2 expression with its own metadata": Fixture(3, layout=Matrix("h5ad"), inside=True),
    "CSV, genes in columns, with metadata": Fixture(
        3, Matrix("table", cells=Cells(",")), inside=True, unit="nM", apart=True
    ),
    "CSV of signatures, genes in columns, with metadata": Fixture(
        layout=Matrix("table", cells=Cells(";", ",", padding=" ")), inside=True, apart=True
    ),
    "GCT 1.3 with metadata": Fixture(4, Matrix("gct 1.3"), inside=True, apart=True),
    "ids of compounds in another case": Fixture(case=str.lower),
    "wells with ids of compounds in another case": Fixture(4, case=str.lower),
    "GCT 1.2 with symbols as Description": Fixture(
        4, Matrix("gct 1.2", "probes beside symbols"), unit="ng/mL"
    ),
    "GCT 1.3, quoted, with a byte-order mark": Fixture(
        3,
        Matrix("gct 1.3", "symbols beside entrez", text=Text("utf-8", True, "\r\n")),
        dialect=Cells(",", quotes="all"),
    ),
    "h5ad of numbered genes": Fixture(
        layout=Matrix("h5ad", "numbers beside symbols", "gene_symbol"), unit="nM"
    ),
    "CSV, genes in rows": Fixture(
        4, Matrix("table", "symbol", cells=Cells(",")), compounds=Cells(",", quotes="all")
    ),
    "CSV, genes in columns": Fixture(
        3, Matrix("table", genes_in_columns=True, cells=Cells(",")), scale="linear"
    ),
    "semicolons and decimal commas": Fixture(
        layout=Matrix("table", "float entrez", cells=Cells(";", ",")),
        dialect=Cells(";", trailing=2, comments=("# by hand",)),
        compounds=Cells(";"),
    ),
    "wells by det_well, no plate but in the id": Fixture(4, plate=(), id_column="id", kinds=None),
    "kinds in capitals, ids padded": Fixture(
        3,
        kinds=("TRT_CP", "CTL_VEHICLE"),
        pad="  ",
        dialect=Cells(","),
        text=Text("utf-16-le", True),
    ),
    "doses of unknown unit": Fixture(unit="ng/mL"),
    "a vehicle in percent": Fixture(vehicle_dose="0.1 %"),
    "vehicle wells in percent": Fixture(3, vehicle_dose="0.1 %"),
    "wells with doses of unknown unit": Fixture(3, unit="ng/mL", inside=True),
    "metadata of more profiles than the matrix": Fixture(extra=3),
    "metadata of more wells than the matrix": Fixture(4, extra=3, pad=" "),
    "wells that are called siginfo": Fixture(4, as_siginfo=True),
    "a plate without vehicles": Fixture(
        3,
        treated=True,
        refusal="marks no vehicle well (ctl_vehicle as pert_type, or a name such as DMSO); "
        "--zscore_reference=population uses all wells of the plate instead",
    ),
    "genes that are numbered": Fixture(
        layout=Matrix("h5ad", "numbers beside symbols", "approved name"),
    ),
    "wells or signatures": Fixture(
        4,
        bare=True,
        treated=True,
        id_column="id",
        refusal="could be about wells or signatures: 2 profiles of BRD-A at 0.1 uM, and no plate, "
        "well or number of replicates is given; use --level=4",
    ),
    "genes that nothing names": Fixture(
        layout=Matrix("gctx", "numbers beside symbols", "symbol"),
        symbols=False,
        refusal="and have no other names; give --gene_ids=entrez",
    ),
    "values of no scale": Fixture(shift=25, refusal="give --scale=log2, linear or zscore"),
    "a vehicle that was not measured": Fixture(lost=VEHICLE),
    "a vehicle well that was not measured": Fixture(4, lost=VEHICLE),
    "a compound that was not measured": Fixture(lost="BRD-A", refusal="has nan for profile"),
    "a reference that was not measured": Fixture(3, lost=VEHICLE, refusal="has nan for profile"),
}


@pytest.mark.parametrize("name", FIXTURES)
def test_both_read_alike(raw, landmarks, genes, tmp_path, name):
    check_alike(raw, landmarks, genes, tmp_path / "files", FIXTURES[name])
