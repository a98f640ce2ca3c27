"""Names of fields in the tables of releases and laboratories.

GEO 2017 (phase I and II), LINCS 2020 beta, CLUE and individual laboratories use different names,
case and blanks. `ALIASES` has every name, and `is_missing` every sentinel.
"""

from __future__ import annotations

import functools
import re

from moa_jax.lincs.metadata.units import HOURS, MICROMOLAR, plain_micro
from moa_jax.text.files import unquote

# Canonical name -> names in releases, ours first, in the form of `fold_name`. If a table has
# several, each row takes the first that has a value.
ALIASES: dict[str, tuple[str, ...]] = {
    "sig_id": ("sig_id", "signature_id"),
    "inst_id": ("inst_id", "sample_id", "distil_id", "profile_id", "instance_id"),
    "distil_ids": ("distil_ids", "distil_id"),
    "pert_id": ("pert_id", "perturbation_id", "compound_id", "brd_id", "broad_id"),
    "compound": (
        *("compound", "cmap_name", "pert_iname", "pert_desc", "pert_name", "compound_name"),
        *("drug_name", "drug", "treatment", "perturbagen", "perturbation"),
    ),
    "pert_type": ("pert_type", "perturbation_type", "well_type"),
    "cell_line": (
        *("cell_line", "cell_iname", "cell_id", "cell_mfc_name", "cell_name", "cell_line_name"),
        "cell",
    ),
    "dose_um": ("dose_um", "pert_dose_um", "concentration_um", "conc_um"),
    "pert_dose": (
        *("pert_dose", "pert_dose_value", "dose", "dose_value", "concentration", "conc"),
        *("pert_conc", "concentration_value", "nominal_dose"),
    ),
    "pert_dose_unit": (
        *("pert_dose_unit", "pert_dose_units", "dose_unit", "dose_units", "concentration_unit"),
        *("concentration_units", "conc_unit", "conc_units"),
    ),
    "pert_idose": ("pert_idose",),
    "time_h": ("time_h", "pert_time_h", "time_hr", "time_hrs", "time_hours", "hours"),
    "pert_time": (
        *("pert_time", "pert_time_value", "time", "time_value", "timepoint", "time_point"),
        *("exposure_time", "treatment_time", "duration"),
    ),
    "pert_time_unit": ("pert_time_unit", "pert_time_units", "time_unit", "time_units"),
    "pert_itime": ("pert_itime",),
    "dose_text": ("dose_text",),
    "time_text": ("time_text",),
    "n_replicates": ("n_replicates", "nsample", "distil_nsample", "num_replicates"),
    "cc_q75": ("cc_q75", "distil_cc_q75"),
    "tas": ("tas", "distil_tas"),
    "is_hiq": ("is_hiq",),
    "qc_pass": ("qc_pass", "pass_qc", "passed_qc", "qc_passed"),
    "plate": (
        *("plate", "det_plates", "det_plate", "rna_plate", "plate_id", "plate_name"),
        *("plate_barcode", "assay_plate_barcode", "brew_prefix"),
    ),
    "well": (
        *("well", "det_well", "rna_well", "det_wells", "well_id", "well_position", "pert_well"),
        "well_name",
    ),
    "entrez_id": ("entrez_id", "gene_id", "pr_gene_id"),
    "symbol": ("symbol", "gene_symbol", "pr_gene_symbol"),
    "is_landmark": ("is_landmark", "pr_is_lm", "pr_is_lmark", "is_lm"),
    "feature_space": ("feature_space",),
    "primary_site": ("primary_site", "cell_lineage", "primary_disease"),
    "subtype": ("subtype",),
    "cell_type": ("cell_type",),
}

# Index name of the tables of `ExpressionMatrix`.
MATRIX_ID = "id"
# Generic names of the id column.
ID_NAMES = (MATRIX_ID, "cid")

_MISSING = re.compile(r"(?:-666(?:\.0*)?|nan|na|n/a|#n/a|<na>|none|null)?", re.IGNORECASE)

# Prefixes of field names that describe an experiment.
_NAME_PREFIX = re.compile(r"(?:exp|metadata|meta)_")


def is_missing(text: str) -> bool:
    """Whether a cell means a missing value: `-666`, `-666.0`, empty, `nan`, `NA`, `none`."""
    return _MISSING.fullmatch(text.strip()) is not None


@functools.cache
def fold_name(name: str) -> str:
    """A column's name in the form of `ALIASES`, such as `pert_dose` for `Pert Dose`.

    Case, blanks, brackets, kinds of micro sign and the prefixes `exp_` and `metadata_` are
    ignored: `Concentration [uM]` is `concentration_um`.
    """
    folded = plain_micro(unquote(name.strip())).lower()
    folded = re.sub(r"[\s.\-_]+", "_", re.sub(r"[()\[\]]", " ", folded).strip()).strip("_")
    return _NAME_PREFIX.sub("", folded, count=1) if _NAME_PREFIX.match(folded) else folded


def is_field_name(name: str) -> bool:
    """Whether a column has the name of a field of a release's tables."""
    folded = fold_name(name)
    return folded in _FIELD_NAMES or unit_in_name(folded) is not None


_FIELD_NAMES = frozenset(name for names in ALIASES.values() for name in names)


def unit_in_name(folded: str) -> tuple[str, str] | None:
    """Field and unit of a column such as `dose_nm` or `time_days`, given its folded name."""
    base, _, unit = folded.rpartition("_")
    for field, units in (("pert_dose", MICROMOLAR), ("pert_time", HOURS)):
        if base in ALIASES[field] and unit in units:
            return field, unit
    return None
