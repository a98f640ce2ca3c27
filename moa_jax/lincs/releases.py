"""Tables of the L1000 releases under one set of names, types and units.

GEO 2017 (phase I and II), LINCS 2020 beta and CLUE name the same things differently, and each
lacks some. `ALIASES` holds every name, and `is_missing` every sentinel, once for the project.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from moa_jax.lincs.text_files import unquote
from moa_jax.lincs.text_tables import read_cells
from moa_jax.lincs.units import parse_dose_um, parse_time_h
from moa_jax.schemas import InputError, require_columns

# Canonical name -> the names releases use, our own first; the first that a table has counts.
ALIASES: dict[str, tuple[str, ...]] = {
    "sig_id": ("sig_id",),
    "inst_id": ("inst_id", "sample_id", "distil_id"),
    "distil_ids": ("distil_ids", "distil_id"),
    "pert_id": ("pert_id",),
    "compound": ("compound", "cmap_name", "pert_iname", "pert_desc"),
    "pert_type": ("pert_type",),
    "cell_line": ("cell_line", "cell_iname", "cell_id", "cell_mfc_name"),
    "dose_um": ("dose_um",),
    "pert_dose": ("pert_dose",),
    "pert_dose_unit": ("pert_dose_unit",),
    "pert_idose": ("pert_idose",),
    "time_h": ("time_h",),
    "pert_time": ("pert_time",),
    "pert_time_unit": ("pert_time_unit",),
    "pert_itime": ("pert_itime",),
    "n_replicates": ("n_replicates", "nsample", "distil_nsample"),
    "cc_q75": ("cc_q75", "distil_cc_q75"),
    "tas": ("tas", "distil_tas"),
    "is_hiq": ("is_hiq",),
    "qc_pass": ("qc_pass",),
    "plate": ("plate", "det_plates", "det_plate", "rna_plate", "brew_prefix"),
    "well": ("well", "det_well", "rna_well", "det_wells"),
    "entrez_id": ("entrez_id", "gene_id", "pr_gene_id"),
    "symbol": ("symbol", "gene_symbol", "pr_gene_symbol"),
    "is_landmark": ("is_landmark", "pr_is_lm", "pr_is_lmark", "is_lm"),
    "feature_space": ("feature_space",),
    "primary_site": ("primary_site", "cell_lineage", "primary_disease"),
    "subtype": ("subtype",),
    "cell_type": ("cell_type",),
}

# In a matrix file the rows' identity is its id; `ExpressionMatrix` names the index so.
MATRIX_ID = "id"

# What consensus files write for a signature pooled over cell lines: it belongs to none.
CONSENSUS_CELL_LINE = "CONSENSUS"

# pert_type of the wells that got the vehicle (DMSO) alone, in every release.
VEHICLE_PERT_TYPE = "ctl_vehicle"

_MISSING = re.compile(r"(?:-666(?:\.0*)?|nan|na)?", re.IGNORECASE)
_TRUE, _FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")


def is_missing(text: str) -> bool:
    """Whether a cell says that nothing is known: `-666`, `-666.0`, empty, `nan` or `NA`."""
    return _MISSING.fullmatch(text.strip()) is not None


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads a table in any dialect, past the lines above it that start with `!` or `#`.

    Returns:
      The table as strings, surrounding quotes removed, NaN where `is_missing`.

    Raises:
      InputError: the file is missing or empty, a column has no name or the name of another, or
        a row has another number of fields than the header.
    """
    table = read_cells(path)
    return pd.DataFrame({name: _clean(table[name], np.nan) for name in table.columns})


def _clean(column: pd.Series, missing: float | None = None) -> pd.Series:
    """Strings without quotes and outer blanks; `missing` where the cell tells nothing."""
    codes, values = pd.factorize(column.to_numpy(dtype=object))
    texts = [unquote(str(value).strip()).strip() for value in values]
    # What pandas takes for missing has code -1 and so takes the last one.
    cleaned = np.array(
        [missing if is_missing(text) else text for text in texts] + [missing], dtype=object
    )
    return pd.Series(cleaned[codes], index=column.index, dtype=object)


class _Fields:
    """A release's table, asked for by canonical names; what it lacks is missing."""

    def __init__(self, table: pd.DataFrame, source: str, identity: str) -> None:
        if table.index.name == MATRIX_ID and MATRIX_ID not in table.columns:
            table = table.reset_index()
        self.table, self.source = table.reset_index(drop=True), source
        names = (*ALIASES[identity], MATRIX_ID)
        if not any(name in table.columns for name in names):
            require_columns(table, (identity,), source)
        self.ids = self._first(names)
        if self.ids.isna().any():
            row = int(np.argmax(self.ids.isna())) + 1
            raise InputError(f"row {row} of {source} has no {identity}.")
        if self.ids.duplicated().any():
            repeated = self.ids[self.ids.duplicated()].iloc[0]
            raise InputError(f"{source} repeats the {identity} {repeated}.")

    def _first(self, names: tuple[str, ...]) -> pd.Series:
        for name in names:
            if name in self.table.columns:
                return _clean(self.table[name])
        return pd.Series(np.full(len(self.table), None, dtype=object), index=self.table.index)

    def text(self, name: str) -> pd.Series:
        return self._first(ALIASES[name])

    def _refuse(self, name: str, row: int, found: str, expected: str) -> InputError:
        return InputError(
            f"{self.source} has {found!r} as {name} of {self.ids[row]}; {expected} was expected."
        )

    def number(self, name: str) -> pd.Series:
        text = self.text(name)
        number = pd.to_numeric(text, errors="coerce").astype(float)
        wrong = text.notna() & ~np.isfinite(number)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self._refuse(name, row, text[row], "a number")
        return number

    def flag(self, name: str) -> pd.Series:
        text = self.text(name).str.lower()
        wrong = text.notna() & ~text.isin(_TRUE + _FALSE)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self._refuse(name, row, text[row], "0 or 1")
        return text.isin(_TRUE).astype("boolean").where(text.notna(), pd.NA)

    def amount(self, own: str, numeric: str, text: str, parse: Callable[[str], float]) -> pd.Series:
        """Dose or time: our own column, else number and unit, else the text with both."""
        unit = self.text(f"{numeric}_unit")
        joined = self.text(numeric)
        if unit.notna().any():
            # Where others have a unit, a number without one could be anything.
            joined = (joined + " " + unit).where(joined.notna() & unit.notna(), None)
        amounts = [
            self._parsed(name, column, parse)
            for name, column in ((own, self.text(own)), (numeric, joined), (text, self.text(text)))
        ]
        return amounts[0].fillna(amounts[1]).fillna(amounts[2])

    def _parsed(self, name: str, text: pd.Series, parse: Callable[[str], float]) -> pd.Series:
        codes, values = pd.factorize(text.to_numpy(dtype=object))
        parsed = np.full(len(values) + 1, np.nan)
        for index, value in enumerate(values):
            try:
                parsed[index] = parse(value)
            except ValueError:
                row = int(np.argmax(codes == index))
                raise self._refuse(name, row, value, "an amount such as 10 or 24 h") from None
        return pd.Series(parsed[codes], index=text.index)

    def perturbation(self) -> dict[str, pd.Series]:
        """What was put on which cells, how much of it and for how long."""
        cell_line = self.text("cell_line")
        return {
            "pert_id": self.text("pert_id"),
            "compound": self.text("compound"),
            "cell_line": cell_line.where(cell_line != CONSENSUS_CELL_LINE, None),
            "dose_um": self.amount("dose_um", "pert_dose", "pert_idose", parse_dose_um),
            "time_h": self.amount("time_h", "pert_time", "pert_itime", parse_time_h),
        }


def harmonise_siginfo(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Signature metadata of any release under canonical names.

    Args:
      table: a release's siginfo (2017: `sig_info`, `sig_metrics` or both joined), or the
        `profile_table` of a level 5 matrix.
      source: what to call the table in messages.

    Returns:
      `SIGNATURE_COLUMNS`, `pert_type`, `is_hiq` and `qc_pass`, one row per row of `table`. Texts
      are strings or None; numbers are floats, NaN where missing; flags are nullable booleans.
      `plate` joins the plates of the replicates by `|`, as the release does.

    Raises:
      InputError: `sig_id` or `pert_id` is not among the columns, a sig_id is missing or
        repeated, or a cell that should hold a number or a flag does not.
    """
    fields = _Fields(table, source, "sig_id")
    require_columns(table, ALIASES["pert_id"], source)
    listed_replicates = fields.text("distil_ids").str.count(r"\|").astype(float) + 1
    return pd.DataFrame(
        {
            "sig_id": fields.ids,
            **fields.perturbation(),
            "n_replicates": fields.number("n_replicates").fillna(listed_replicates),
            "cc_q75": fields.number("cc_q75"),
            "tas": fields.number("tas"),
            "plate": fields.text("plate"),
            "pert_type": fields.text("pert_type"),
            "is_hiq": fields.flag("is_hiq"),
            "qc_pass": fields.flag("qc_pass"),
        }
    )


def signature_instances(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Which level 4 profiles each signature was made of, from a release's siginfo.

    Returns:
      `sig_id` and `inst_id`, one row per pair, in the order of `table`; no rows where the
      release does not list them.

    Raises:
      InputError: a sig_id is missing or repeated.
    """
    fields = _Fields(table, source, "sig_id")
    pairs = pd.DataFrame({"sig_id": fields.ids, "inst_id": fields.text("distil_ids")}).dropna()
    pairs["inst_id"] = [text.split("|") for text in pairs["inst_id"]]
    return pairs.explode("inst_id").reset_index(drop=True)


def harmonise_instinfo(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Profile (well) metadata of any release under canonical names.

    Returns:
      `inst_id pert_id compound cell_line dose_um time_h pert_type plate well sig_id qc_pass`,
      typed as `harmonise_siginfo` types them. `plate` is the plate that the scanner read.

    Raises:
      InputError: the inst_id or `pert_id` is not among the columns, an inst_id is missing or
        repeated, or a cell that should hold an amount or a flag does not.
    """
    fields = _Fields(table, source, "inst_id")
    require_columns(table, ALIASES["pert_id"], source)
    texts = {name: fields.text(name) for name in ("pert_type", "plate", "well", "sig_id")}
    passed = fields.flag("qc_pass")
    return pd.DataFrame(
        {"inst_id": fields.ids, **fields.perturbation(), **texts, "qc_pass": passed}
    )


def harmonise_geneinfo(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Gene metadata of any release: `entrez_id`, `symbol`, `is_landmark` (nullable boolean).

    Raises:
      InputError: there is no gene id, or one is missing or repeated.
    """
    fields = _Fields(table, source, "entrez_id")
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
    fields = _Fields(table, source, "cell_line")
    columns = ("primary_site", "subtype", "cell_type")
    return pd.DataFrame({"cell_line": fields.ids, **{name: fields.text(name) for name in columns}})
