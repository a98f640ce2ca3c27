"""Tables of the L1000 releases under one set of names, types and units; see `field_names`."""

from __future__ import annotations

import functools
import os

import numpy as np
import pandas as pd

from moa_jax.lincs.metadata.field_names import ALIASES, MATRIX_ID, is_field_name, is_missing
from moa_jax.lincs.metadata.fields import AMOUNT_TEXTS, CONSENSUS_CELL_LINE, Fields, clean
from moa_jax.lincs.metadata.pert_types import VEHICLE_PERT_TYPE
from moa_jax.lincs.metadata.profile_ids import PLATE_AND_WELL, is_well_id
from moa_jax.text.dialects import open_text_table
from moa_jax.text.tables import read_cells

__all__ = [
    "ALIASES",
    "AMOUNT_TEXTS",
    "CONSENSUS_CELL_LINE",
    "MATRIX_ID",
    "VEHICLE_PERT_TYPE",
    "describe_profiles",
    "harmonise_cellinfo",
    "harmonise_geneinfo",
    "harmonise_instinfo",
    "harmonise_siginfo",
    "is_missing",
    "read_table",
    "signature_instances",
]


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads a table in any dialect, skipping lines above it that start with `!` or `#`.

    Returns:
      The table as strings without quotes, NaN where `is_missing`.

    Raises:
      InputError: the file is missing or empty, a column has no name or a repeated one, or a row
        has another number of fields than the header.
    """
    opened = open_text_table(path, is_known=is_field_name, row_names=MATRIX_ID)
    table = read_cells(opened)
    return pd.DataFrame({name: clean(table[name], np.nan) for name in table.columns})


def harmonise_siginfo(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Signature metadata of any release under canonical names.

    Args:
      table: a release's siginfo (2017: `sig_info`, `sig_metrics` or both joined), or the
        `profile_table` of a level 5 matrix.
      source: name of the table in messages.

    Returns:
      `SIGNATURE_COLUMNS`, `pert_type`, `is_hiq`, `qc_pass` and `AMOUNT_TEXTS`, one row per row of
      `table`. Texts are strings or None; numbers are floats, NaN where missing; flags are nullable
      booleans. `plate` joins the plates of the replicates by `|`, as the release does. Texts that
      differ only in case are spelled alike; `pert_type` is canonical (`pert_types`).

    Raises:
      InputError: `sig_id` or `pert_id` is not among the columns, a sig_id is missing or
        repeated, or a cell that should hold a number or a flag does not.
    """
    fields = Fields(table, source, "sig_id")
    fields.require("pert_id")
    perturbation = fields.perturbation()
    texts = {name: perturbation.pop(name) for name in AMOUNT_TEXTS}
    listed_replicates = fields.text("distil_ids").str.count(r"\|").astype(float) + 1
    return pd.DataFrame(
        {
            "sig_id": fields.ids,
            **perturbation,
            "n_replicates": fields.number("n_replicates").fillna(listed_replicates),
            "cc_q75": fields.number("cc_q75"),
            "tas": fields.number("tas"),
            "plate": fields.plate(),
            "pert_type": fields.pert_type(),
            "is_hiq": fields.flag("is_hiq"),
            "qc_pass": fields.flag("qc_pass"),
            **texts,
        }
    )


def signature_instances(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """The level 4 profiles of each signature, from a release's siginfo.

    Returns:
      `sig_id` and `inst_id`, one row per pair, in the order of `table`; no rows if the release
      does not list them.

    Raises:
      InputError: a sig_id is missing or repeated.
    """
    fields = Fields(table, source, "sig_id")
    pairs = pd.DataFrame({"sig_id": fields.ids, "inst_id": fields.text("distil_ids")}).dropna()
    pairs["inst_id"] = [[part.strip() for part in text.split("|")] for text in pairs["inst_id"]]
    return pairs.explode("inst_id").reset_index(drop=True)


def harmonise_instinfo(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Profile (well) metadata of any release under canonical names.

    Returns:
      `inst_id pert_id compound cell_line dose_um time_h pert_type plate well sig_id qc_pass` and
      `AMOUNT_TEXTS`, with the types of `harmonise_siginfo`. `plate` is the scanned plate; without
      columns, plate and well are taken from inst_ids such as `PLATE:A03`.

    Raises:
      InputError: the inst_id or `pert_id` is not among the columns, an inst_id is missing or
        repeated, or a cell that should hold an amount or a flag does not.
    """
    fields = Fields(table, source, "inst_id")
    fields.require("pert_id")
    perturbation = fields.perturbation()
    texts = {name: perturbation.pop(name) for name in AMOUNT_TEXTS}
    of_id = fields.ids.where(fields.ids.map(is_well_id)).str.extract(f"^{PLATE_AND_WELL.pattern}$")
    plate = fields.plate()
    return pd.DataFrame(
        {
            "inst_id": fields.ids,
            **perturbation,
            "pert_type": fields.pert_type(),
            # Names from ids must not mix with those of a column.
            "plate": _text(of_id["plate"]) if plate.isna().all() else plate,
            "well": fields.text("well").combine_first(_text(of_id["well"])),
            "sig_id": fields.text("sig_id"),
            "qc_pass": fields.flag("qc_pass"),
            **texts,
        }
    )


def describe_profiles(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Metadata of profiles that may be wells or signatures.

    Returns:
      Texts or None, one row per row of `table`: the fields that distinguish wells from signatures,
      with canonical `pert_type`, and `dose` and `time` as written.
    """
    fields = Fields(table, source, None)
    named = {name: fields.named(name) for name in ("pert_id", "compound", "cell_line")}
    others = ("sig_id", "inst_id", "distil_ids", "well", "n_replicates", "cc_q75", "tas")
    amounts = {}
    for name, columns in {
        "dose": ("dose_um", "pert_dose", "pert_idose"),
        "time": ("time_h", "pert_time", "pert_itime"),
    }.items():
        texts = [column for _, column in fields.amount_columns(*columns)]
        amounts[name] = functools.reduce(
            lambda first, text: first.where(first.notna(), text), texts
        )
    return pd.DataFrame(
        {
            **named,
            **{name: fields.text(name) for name in others},
            **amounts,
            "plate": fields.plate(),
            "pert_type": fields.pert_type(),
        }
    )


def _text(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), None)


def harmonise_geneinfo(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Gene metadata of any release: `entrez_id`, `symbol`, `is_landmark` (nullable boolean).

    Raises:
      InputError: there is no gene id, or one is missing or repeated.
    """
    fields = Fields(table, source, "entrez_id")
    landmark, space = fields.flag("is_landmark"), fields.text("feature_space")
    in_space = (space == "landmark").astype("boolean").where(space.notna(), pd.NA)
    return pd.DataFrame(
        {
            # Matrix files store the ids as floats.
            "entrez_id": fields.ids.str.replace(r"^(\d+)\.0$", r"\1", regex=True),
            "symbol": fields.text("symbol"),
            "is_landmark": landmark.fillna(in_space),
        }
    )


def harmonise_cellinfo(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Cell-line metadata of any release: `cell_line`, `primary_site`, `subtype`, `cell_type`.

    Raises:
      InputError: there is no cell-line name, or one is missing or repeated.
    """
    fields = Fields(table, source, "cell_line")
    columns = ("primary_site", "subtype", "cell_type")
    return pd.DataFrame({"cell_line": fields.ids, **{name: fields.text(name) for name in columns}})
