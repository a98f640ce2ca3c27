"""What is known of the profiles of a user's matrix: the rows of siginfo, or the file's own."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from moa_jax.data.expression.level_and_scale import Scale, check_level, find_level
from moa_jax.data.expression.option_names import OptionNames
from moa_jax.lincs.metadata.field_names import fold_name
from moa_jax.lincs.metadata.fields import Fields, clean
from moa_jax.lincs.metadata.pert_types import VEHICLE_PERT_TYPE, is_vehicle_id
from moa_jax.lincs.metadata.profile_ids import identity_columns, match_ids
from moa_jax.lincs.metadata.releases import (
    describe_profiles,
    harmonise_instinfo,
    harmonise_siginfo,
    read_table,
)
from moa_jax.schemas import InputError, require_columns

# Ids that are shown of a longer list.
_NUM_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class ProfileMetadata:
    """Metadata of the profiles that are in a matrix and, where it is given, in siginfo.

    Attributes:
      raw: the rows, in the order of the matrix, as their file has them.
      ids: id of each row's profile, as the matrix writes it.
      named_by: the field that holds the ids (`inst_id` or `sig_id`); empty where none does.
      source: what to call the table in messages.
      num_unlisted: profiles of the matrix that siginfo does not list.
      num_absent: rows of siginfo that the matrix has no profile of.
    """

    raw: pd.DataFrame
    ids: pd.Series
    named_by: str
    source: str
    num_unlisted: int
    num_absent: int

    @classmethod
    def of(
        cls,
        siginfo: pathlib.Path | None,
        profile_table: pd.DataFrame,
        path: pathlib.Path,
        *,
        names_stand_in: bool = False,
    ) -> ProfileMetadata:
        """Reads siginfo, or takes the matrix's own metadata.

        Args:
          siginfo: table of signatures or wells; None: there is none.
          profile_table: the matrix's own metadata, indexed by its profiles' ids.
          path: the matrix.
          names_stand_in: without a pert_id the compound's name is taken for it, and where the
            matrix's own metadata have neither each profile is a compound of its own; else both
            are refused.

        Raises:
          InputError: siginfo cannot be read, does not name profiles, lacks an id in a row, or
            has no row whose profile the matrix has.
        """
        profiles = profile_table.index
        if not len(profiles):
            raise InputError(f"{path} has no profile; expected at least one.")
        if siginfo is None:
            raw = profile_table.reset_index(drop=True)
            ids = pd.Series(profiles.astype(object))
            named_by = _own_identity(raw)
            raw = _with_kinds(raw, ids)
            raw = _with_pert_id(raw, str(path), names_stand_in=names_stand_in, ids=ids)
            return cls(raw, ids, named_by, str(path), 0, 0)
        raw, source = read_table(siginfo), str(siginfo)
        if not len(raw):
            raise InputError(f"{source} has no row; expected one per profile of {path}.")
        column, named_by = _identity(raw, profiles, source)
        named = clean(raw[column])
        if named.isna().any():
            row = int(np.argmax(named.isna())) + 1
            raise InputError(f"row {row} of {source} has no {column}.")
        places = match_ids(named, profiles)
        present = np.flatnonzero(places >= 0)
        if not len(present):
            raise InputError(
                f"{source} names none of the profiles of {path}: its {column} are such as "
                f"{_some(named)}, the ids of the matrix such as {_some(profiles)}."
            )
        rows = present[np.argsort(places[present], kind="stable")]
        ids = pd.Series(profiles[places[rows]].astype(object))
        if ids.duplicated().any():
            raise InputError(f"{source} repeats the {column} {ids[ids.duplicated()].iloc[0]}.")
        raw = raw.iloc[rows].reset_index(drop=True)
        raw = _with_pert_id(raw, source, names_stand_in=names_stand_in)
        raw = _with_kinds(raw, ids)
        num_absent = len(named) - len(rows)
        return cls(raw, ids, named_by, source, len(profiles) - len(rows), num_absent)

    def level(
        self, asked: int | None, scale: Scale, options: OptionNames | None = None
    ) -> tuple[int, str]:
        """Level of the matrix and why it is taken for it.

        Args:
          asked: the level that the user says it has; it counts.
          scale: of the matrix's values.
          options: what to call the options that decide.

        Raises:
          InputError: the level does not fit the scale, or two levels fit.
        """
        if asked is not None:
            check_level(asked, scale, self.source, options)
            return asked, "it was asked for"
        profiles = describe_profiles(self.raw, self.source)
        return find_level(
            profiles,
            self.ids,
            named_by=self.named_by,
            scale=scale,
            source=self.source,
            options=options,
        )

    def rows(self, level: int) -> pd.DataFrame:
        """Harmonised metadata, one row per profile.

        A profile without pert_id has the name of its compound for one, where that is told.
        """
        if level == 5:
            table = harmonise_siginfo(_identified(self.raw, "sig_id", self.ids), self.source)
        else:
            raw = self.raw
            if self.named_by == "sig_id":
                # A well is no group of wells.
                raw = _without(raw, "sig_id")
            table = harmonise_instinfo(_identified(raw, "inst_id", self.ids), self.source)
        return table.assign(pert_id=table["pert_id"].combine_first(table["compound"]))


def amounts_not_converted(table: pd.DataFrame) -> dict[str, list[str]]:
    """Texts of doses and times without value in micromolar or hours, as JSON values."""
    texts = {name: table[f"{name}_text"].dropna().unique().tolist() for name in ("dose", "time")}
    return {name: found for name, found in texts.items() if found}


def _own_identity(raw: pd.DataFrame) -> str:
    """What a matrix's own metadata call the profiles."""
    names = {fold_name(str(column)): column for column in raw.columns}
    for field, aliases in (("inst_id", ("inst_id", "sample_id")), ("sig_id", ("sig_id",))):
        for name in (alias for alias in aliases if alias in names):
            told = clean(raw[names[name]])
            if told.notna().all() and not told.duplicated().any():
                return field
    return ""


def _identity(raw: pd.DataFrame, profiles: pd.Index, source: str) -> tuple[str, str]:
    """The column of a table that names most profiles, and the field that it is."""
    columns = identity_columns(raw) or [(column, "") for column in raw.columns]
    found = [int((match_ids(clean(raw[column]), profiles) >= 0).sum()) for column, _ in columns]
    best = int(np.argmax(found))
    if not found[best] and not identity_columns(raw):
        require_columns(raw, ("sig_id",), source)
    return columns[best]


def _with_pert_id(
    raw: pd.DataFrame,
    source: str,
    *,
    names_stand_in: bool,
    ids: pd.Series | None = None,
) -> pd.DataFrame:
    """A table with `pert_id`: where it has none, the compounds' names, or else the ids."""
    fields = Fields(raw, source, None)
    if names_stand_in and not fields.has("pert_id"):
        if fields.has("compound"):
            return raw.assign(pert_id=fields.text("compound"))
        if ids is not None:
            return raw.assign(pert_id=ids)
    fields.require("pert_id")
    return raw


def _with_kinds(raw: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    """A table with canonical `pert_type`; the id tells a vehicle of which nothing else is known."""
    fields = Fields(raw, "", None)
    kinds = fields.pert_type()
    nameless = fields.text("pert_id").isna() & fields.text("compound").isna() & kinds.isna()
    by_id = nameless & ids.astype(str).map(is_vehicle_id)
    return _without(raw, "pert_type").assign(pert_type=kinds.where(~by_id, VEHICLE_PERT_TYPE))


def _without(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table without the columns that are called like the field."""
    return raw[[column for column in raw.columns if fold_name(str(column)) != name]]


def _identified(raw: pd.DataFrame, name: str, ids: pd.Series) -> pd.DataFrame:
    return _without(raw, name).assign(**{name: ids})


def _some(ids: pd.Series | pd.Index) -> str:
    shown = list(ids[:_NUM_SHOWN])
    return ", ".join(map(str, shown))
