"""Metadata of the profiles in a matrix, from siginfo or from the matrix file."""

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

# Ids shown of a longer list.
_NUM_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class ProfileMetadata:
    """Metadata of the profiles that are in a matrix and, if given, in siginfo.

    Attributes:
      raw: the rows as in their file, in the order of the matrix.
      ids: id of each row's profile, as in the matrix.
      named_by: the field of the ids (`inst_id` or `sig_id`); empty if unknown.
      source: name of the table in messages.
      num_unlisted: number of profiles in the matrix without a row in siginfo.
      num_absent: number of rows in siginfo without a profile in the matrix.
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
        allow_missing_pert_id: bool = False,
    ) -> ProfileMetadata:
        """Reads siginfo, or uses the matrix's own metadata.

        Args:
          siginfo: table of signatures or wells, if any.
          profile_table: the matrix's own metadata, indexed by its profiles' ids.
          path: the matrix.
          allow_missing_pert_id: use the compound's name as pert_id if that is missing, and treat
            each profile as a separate compound if the matrix's own metadata have neither; else
            refuse such tables.

        Raises:
          InputError: siginfo cannot be read, has no column of ids, lacks an id in a row, or has no
            profile of the matrix.
        """
        profiles = profile_table.index
        if not len(profiles):
            raise InputError(f"{path} has no profile; expected at least one.")
        if siginfo is None:
            raw = profile_table.reset_index(drop=True)
            ids = pd.Series(profiles.astype(object))
            named_by = _own_identity(raw)
            raw = _with_kinds(raw, ids)
            raw = _with_pert_id(raw, str(path), allow_missing_pert_id, ids)
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
                f"{source} has none of the profiles of {path}: its {column} are like "
                f"{_some(named)}, the ids of the matrix like {_some(profiles)}."
            )
        rows = present[np.argsort(places[present], kind="stable")]
        ids = pd.Series(profiles[places[rows]].astype(object))
        if ids.duplicated().any():
            raise InputError(f"{source} repeats the {column} {ids[ids.duplicated()].iloc[0]}.")
        raw = raw.iloc[rows].reset_index(drop=True)
        raw = _with_pert_id(raw, source, allow_missing_pert_id)
        raw = _with_kinds(raw, ids)
        num_absent = len(named) - len(rows)
        return cls(raw, ids, named_by, source, len(profiles) - len(rows), num_absent)

    def level(
        self, requested: int | None, scale: Scale, options: OptionNames | None = None
    ) -> tuple[int, str]:
        """Level of the matrix, and the reason for it.

        Args:
          requested: the level given by the user, which takes precedence.
          scale: scale of the matrix's values.
          options: option names in messages.

        Raises:
          InputError: the level does not fit the scale, or is ambiguous.
        """
        if requested is not None:
            check_level(requested, scale, self.source, options)
            return requested, "it was requested"
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

        A missing pert_id is replaced by the compound's name, if known.
        """
        if level == 5:
            table = harmonise_siginfo(_identified(self.raw, "sig_id", self.ids), self.source)
        else:
            raw = self.raw
            if self.named_by == "sig_id":
                # These sig_ids name single wells, not groups of wells.
                raw = _without(raw, "sig_id")
            table = harmonise_instinfo(_identified(raw, "inst_id", self.ids), self.source)
        return table.assign(pert_id=table["pert_id"].combine_first(table["compound"]))


def amounts_not_converted(table: pd.DataFrame) -> dict[str, list[str]]:
    """Texts of doses and times that have no value in micromolar or hours, as JSON values."""
    texts = {name: table[f"{name}_text"].dropna().unique().tolist() for name in ("dose", "time")}
    return {name: found for name, found in texts.items() if found}


def _own_identity(raw: pd.DataFrame) -> str:
    """The field of profile ids in a matrix's own metadata; empty if there is none."""
    names = {fold_name(str(column)): column for column in raw.columns}
    for field, aliases in (("inst_id", ("inst_id", "sample_id")), ("sig_id", ("sig_id",))):
        for name in (alias for alias in aliases if alias in names):
            values = clean(raw[names[name]])
            if values.notna().all() and not values.duplicated().any():
                return field
    return ""


def _identity(raw: pd.DataFrame, profiles: pd.Index, source: str) -> tuple[str, str]:
    """The column of a table with most profile ids, and its field."""
    columns = identity_columns(raw) or [(column, "") for column in raw.columns]
    found = [int((match_ids(clean(raw[column]), profiles) >= 0).sum()) for column, _ in columns]
    best = int(np.argmax(found))
    if not found[best] and not identity_columns(raw):
        require_columns(raw, ("sig_id",), source)
    return columns[best]


def _with_pert_id(
    raw: pd.DataFrame, source: str, allow_missing: bool, ids: pd.Series | None = None
) -> pd.DataFrame:
    """A table with `pert_id`, by default the compounds' names, or else the ids."""
    fields = Fields(raw, source, None)
    if allow_missing and not fields.has("pert_id"):
        if fields.has("compound"):
            return raw.assign(pert_id=fields.text("compound"))
        if ids is not None:
            return raw.assign(pert_id=ids)
    fields.require("pert_id")
    return raw


def _with_kinds(raw: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    """A table with canonical `pert_type`; without other metadata, vehicles are known by id."""
    fields = Fields(raw, "", None)
    kinds = fields.pert_type()
    nameless = fields.text("pert_id").isna() & fields.text("compound").isna() & kinds.isna()
    by_id = nameless & ids.astype(str).map(is_vehicle_id)
    return _without(raw, "pert_type").assign(pert_type=kinds.where(~by_id, VEHICLE_PERT_TYPE))


def _without(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table without the columns of a field."""
    return raw[[column for column in raw.columns if fold_name(str(column)) != name]]


def _identified(raw: pd.DataFrame, name: str, ids: pd.Series) -> pd.DataFrame:
    return _without(raw, name).assign(**{name: ids})


def _some(ids: pd.Series | pd.Index) -> str:
    shown = list(ids[:_NUM_SHOWN])
    return ", ".join(map(str, shown))
