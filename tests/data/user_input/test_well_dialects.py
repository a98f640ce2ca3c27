"""One plate told in many dialects: the same signatures, or a refusal, and never another answer.

Two compounds at two doses in two cell lines with two wells each, and vehicles. Names of columns,
their case, units, kinds and names of vehicles, ids, levels, scales and where the metadata stand
are drawn at random.
"""

import itertools
import pathlib
import tempfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moa_jax.data.examples.features import fit_features
from moa_jax.data.user_input.plate_signatures import PlateSettings
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.lincs.plates import robust_zscore
from moa_jax.schemas import InputError
from tests.synthetic import make_gene_table, make_raw_examples

GENES = make_gene_table()
ENTREZ = list(GENES["entrez_id"])
FEATURES = fit_features(make_raw_examples(), GENES)

LINES, COMPOUNDS, DOSES_UM, TIME_H = ("A375", "MCF7"), ("BRD-A", "BRD-B"), (0.1, 10), 24
VEHICLE = "vehicle"


def make_plate(seed=0):
    """Log2 expression of the wells of one plate, and what each well is."""
    rng = np.random.default_rng(seed)
    rows = []
    for line in LINES:
        rows += [(VEHICLE, None, line)] * 4
        rows += [(*row, line) for row in itertools.product(COMPOUNDS, DOSES_UM)] * 2
    wells = pd.DataFrame(rows, columns=["compound", "dose", "line"])
    effect = {key: rng.normal(0, 2, len(ENTREZ)) for key in itertools.product(COMPOUNDS, DOSES_UM)}
    base = {line: rng.normal(9, 1.5, len(ENTREZ)) for line in LINES}
    values = [
        base[well.line]
        + rng.normal(0, 0.4, len(ENTREZ))
        + (0 if well.compound == VEHICLE else effect[well.compound, well.dose])
        for well in wells.itertuples()
    ]
    return np.clip(values, 3, 15).astype(np.float32), wells


VALUES, WELLS = make_plate()
IS_VEHICLE = (WELLS["compound"] == VEHICLE).to_numpy()
ZSCORES = robust_zscore(
    VALUES, plate=["P1"] * len(WELLS), cell_line=WELLS["line"], control=IS_VEHICLE
)


def expected():
    """Each condition's signature: the two wells weigh the same, so it is their mean."""
    clipped = np.clip(ZSCORES.astype(float), -10, 10)
    rows = WELLS[~IS_VEHICLE].groupby(["compound", "dose", "line"]).indices
    treated = clipped[~IS_VEHICLE]
    return {key: treated[members].mean(axis=0) for key, members in rows.items()}


EXPECTED = expected()

# Written dose of a number of micromolar, and column(s) that hold it.
DOSES = {
    "pert_idose uM": lambda um: {"pert_idose": f"{um:g} uM"},
    "micro sign": lambda um: {"pert_idose": f"{um:g} \u00b5M"},
    "greek mu": lambda um: {"pert_idose": f"{um:g}\u03bcM"},
    "escaped": lambda um: {"pert_idose": f"{um:g} <b5>M"},
    "comma": lambda um: {"pert_idose": f"{um:.2f} uM".replace(".", ",")},
    "umol/L": lambda um: {"pert_idose": f"{um:g} \u00b5mol/L"},
    "nmol/l": lambda um: {"pert_idose": f"{um * 1000:g} nmol/l"},
    "mM": lambda um: {"pert_idose": f"{um / 1000:g} mM"},
    "M": lambda um: {"pert_idose": f"{um * 1e-6:.0e} M"},
    "exp_": lambda um: {"exp_pert_dose": f"{um:g}", "exp_pert_dose_unit": "uM"},
    "nanomolar": lambda um: {"pert_dose": f"{um * 1000:g}", "pert_dose_unit": "nM"},
    "value": lambda um: {"pert_dose_value": f"{um:g}", "pert_dose_units": "UM"},
    "conc": lambda um: {"concentration": f"{um:g}"},
    "dose_um": lambda um: {"dose_um": f"{um:.3f}"},
    "dose_nM": lambda um: {"dose_nM": f"{um * 1000:g}"},
    "in brackets": lambda um: {"Concentration (\u00b5M)": f"{um:g}"},
    "empty before": lambda um: {"pert_dose": "-666", "pert_idose": f"{um:g} um"},
}
TIMES = [
    {"pert_itime": "24 h"},
    {"pert_itime": "1 day"},
    {"pert_itime": "1440 min"},
    {"pert_time": "24", "pert_time_unit": "h"},
    {"exp_pert_time": "24.0", "exp_pert_time_unit": "hours"},
    {"time_h": "24"},
    {"Time (h)": "24,0"},
    {"timepoint": "24h"},
    {"pert_time": "nan", "pert_itime": "24 H"},
]
KINDS = [
    {"pert_type": ("trt_cp", "ctl_vehicle")},
    {"pert_type": ("TRT_CP", "CTL_VEHICLE")},
    {"PERT_TYPE": ("compound", "vehicle")},
    {"pert_type": (" trt_cp ", "negcon")},
    {"pert_type": ("treated", "Control")},
    {"pert_type": ("trt_cp", "trt_cp")},
    {"pert_type": ("-666", "-666")},
    {},
]
PLATES = [
    {"det_plate": "P1"},
    {"rna_plate": "P1"},
    {"det_plate": "nan", "rna_plate": "P1"},
    {"det_plate": "-666", "Plate": "p1 "},
    {"plate_barcode": "P1", "det_well": "well"},
    {},
]


@st.composite
def dialects(draw):
    vehicle = draw(st.sampled_from(["DMSO", "dmso", "0.1% DMSO", "water", "Vehicle", "PBS"]))
    compound = draw(st.sampled_from(["pert_id", "Pert_ID", "pert id"]))
    line = draw(st.sampled_from(["cell_id", "cell_iname", "Cell Line", "cell_mfc_name"]))
    dose, time = draw(st.sampled_from(sorted(DOSES))), draw(st.sampled_from(TIMES))
    kind, plate = draw(st.sampled_from(KINDS)), draw(st.sampled_from(PLATES))
    case = draw(st.lists(st.sampled_from([str.lower, str.upper, str]), min_size=3, max_size=3))
    wells = [f"{row}{column:02d}" for row in "ABC" for column in range(1, 9)][: len(WELLS)]
    plate_in_id = draw(st.booleans()) or not plate
    ids = (
        [f"P1:{well}" for well in wells]
        if plate_in_id
        else [f"w{row}" for row, _ in enumerate(wells)]
    )
    rows = []
    for row, well in enumerate(WELLS.itertuples()):
        fields = {compound: vehicle if well.compound == VEHICLE else case[row % 3](well.compound)}
        fields |= {line: case[row % 2](well.line) + " " * (row % 2)}
        told = DOSES[dose](1 if well.compound == VEHICLE else well.dose)
        fields |= dict.fromkeys(told, "-666") if well.compound == VEHICLE else told
        fields |= time | plate
        fields |= {name: texts[well.compound == VEHICLE] for name, texts in kind.items()}
        if "det_well" in fields:
            fields["det_well"] = wells[row]
        rows.append(fields)
    return {
        "metadata": pd.DataFrame(rows),
        "ids": ids,
        "id_column": draw(st.sampled_from(["inst_id", "sample_id", "Inst_ID", "id", "cid"])),
        "inside": draw(st.booleans()),
        "scale": draw(st.sampled_from(["log2", "linear", "zscore"])),
        "order": draw(st.permutations(range(len(WELLS)))),
        "told": draw(st.booleans()),
    }


def read(dialect):
    values = {"log2": VALUES, "linear": np.exp2(VALUES), "zscore": ZSCORES}[dialect["scale"]]
    order = list(dialect["order"])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        profiles = dialect["metadata"].set_axis(dialect["ids"], axis=0)
        siginfo = None
        if not dialect["inside"]:
            siginfo = folder / "wells.txt"
            table = profiles.rename_axis(dialect["id_column"]).reset_index()
            # A table of more wells than the matrix has.
            other = table.iloc[:1].assign(**{dialect["id_column"]: "elsewhere"})
            pd.concat([other, table]).to_csv(siginfo, sep="\t", index=False)
        write_gctx(
            folder / "m.gctx",
            profile_table=(profiles if dialect["inside"] else profiles[[]]).iloc[order],
            gene_table=pd.DataFrame(index=pd.Index(ENTREZ)),
            blocks=[values[order]],
        )
        level = None
        if dialect["told"]:
            level = 4 if dialect["scale"] == "zscore" else 3
        files = SignatureFiles(folder / "m.gctx", siginfo)
        return read_new_signatures(files, GENES, FEATURES, PlateSettings(level=level))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(dialects())
def test_one_plate_in_any_dialect(dialect):
    if dialect["told"]:
        check(read(dialect))
        return
    try:
        new = read(dialect)
    except InputError as error:
        refusal = str(error)
    else:
        check(new)
        return
    # Nothing of a dialect is unknown; only what kind of profiles these are may be.
    assert "give --level=" in refusal


def check(new):
    table = new.examples.table
    assert len(table) == len(EXPECTED)
    for row, found in zip(table.itertuples(), new.examples.expression, strict=True):
        dose = min(DOSES_UM, key=lambda dose: abs(dose - row.dose_um))
        assert row.dose_um == pytest.approx(dose)
        assert row.time_h == TIME_H
        key = (row.pert_id.upper(), dose, row.cell_line.strip().upper())
        np.testing.assert_allclose(found, EXPECTED[key], atol=2e-3)
    assert new.level["made_of"]["vehicle_wells"] == int(IS_VEHICLE.sum())
    assert new.level["made_of"]["wells_used"] == int((~IS_VEHICLE).sum())


@pytest.mark.parametrize("scale", ["log2", "linear", "zscore"])
@pytest.mark.parametrize("inside", [True, False])
def test_usual_dialects_are_understood(scale, inside):
    metadata = pd.DataFrame(
        {
            "pert_id": WELLS["compound"].replace(VEHICLE, "DMSO"),
            "cell_id": WELLS["line"],
            "exp_pert_dose": [f"{dose:g}" if dose > 0 else "-666" for dose in WELLS["dose"]],
            "pert_itime": "24 h",
            "det_plate": "nan",
            "rna_plate": "P1",
        }
    )
    dialect = {
        "metadata": metadata,
        "ids": [f"w{row}" for row in range(len(WELLS))],
        "id_column": "inst_id",
        "inside": inside,
        "scale": scale,
        "order": range(len(WELLS)),
        "told": False,
    }
    check(read(dialect))


def test_a_line_with_too_few_vehicles_on_its_plate_is_refused():
    wells = WELLS.assign(line=[*WELLS["line"].iloc[:-12], *["MCF7"] * 12])
    lost = (wells["line"] == "MCF7") & IS_VEHICLE & (wells.index < len(wells) - 9)
    metadata = pd.DataFrame(
        {
            "pert_id": WELLS["compound"].replace(VEHICLE, "DMSO").where(~lost, "BRD-C"),
            "cell_id": wells["line"],
            "det_plate": "P1",
            "pert_itime": "24 h",
        }
    )
    dialect = {
        "metadata": metadata,
        "ids": [f"P1:A{row:02d}" if row < 10 else f"P1:B{row:02d}" for row in range(1, 25)],
        "id_column": "inst_id",
        "inside": False,
        "scale": "log2",
        "order": range(len(WELLS)),
        "told": False,
    }
    with pytest.raises(InputError, match="plate P1 and cell line MCF7 has 1 vehicle wells"):
        read(dialect)
