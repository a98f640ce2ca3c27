"""Ids of wells and signatures: their columns, matching, and the information in them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from jaxtyping import Int

from moa_jax.lincs.metadata.field_names import ALIASES, ID_NAMES
from moa_jax.lincs.metadata.fields import Fields

# `CPC020_A375_6H_X1_B4:P17` is a well of a plate; its replicate (`_X1`) distinguishes it from a
# signature such as `REP.A001_A375_24H:A03`.
PLATE_AND_WELL = re.compile(r"(?P<plate>[^:]+):(?P<well>[A-P](?:0?[1-9]|1\d|2[0-4]))", re.ASCII)
_SIGNATURE_OF_PLATES = re.compile(r"[^_:]+_[^_:]+_\d+(?:\.\d+)?H", re.ASCII)
# `CPC006_A549_6H:BRD-U88459701-000-01-8:10`: batch, cell line, time, perturbation and dose.
_SIGNATURE_ID = re.compile(rf"{_SIGNATURE_OF_PLATES.pattern}:.+", re.ASCII)


def identity_columns(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Columns that may contain profile ids, each with its field (`inst_id` or `sig_id`).

    The field of the generic names `id` and `cid` is empty.
    """
    fields = Fields(table, "", None)
    found = []
    for field, names in (
        ("inst_id", ALIASES["inst_id"]),
        ("sig_id", ALIASES["sig_id"]),
        ("", ID_NAMES),
    ):
        found += [(column, field) for name in names for column in fields.columns.get(name, ())]
    return found


def match_ids(ids: pd.Series, profile_ids: pd.Index) -> Int[np.ndarray, " id"]:
    """Position of each id among a matrix's profiles, -1 if absent.

    Case and outer blanks are ignored, unless that would merge two profiles.
    """
    places = profile_ids.get_indexer(ids)
    folded = pd.Index([str(name).strip().casefold() for name in profile_ids], dtype=object)
    if (places < 0).any() and folded.is_unique:
        wanted = [str(name).strip().casefold() for name in ids]
        found = folded.get_indexer(wanted)
        taken = set(places[places >= 0])
        free = np.array([place not in taken for place in found], bool)
        places = np.where((places < 0) & free, found, places)
    return places


def is_well_id(profile_id: str) -> bool:
    """Whether an id is that of a well: `PLATE_X1:A03`, `P1:A03`, or `A03` alone."""
    match = PLATE_AND_WELL.fullmatch(profile_id.strip())
    if match is None:
        return re.fullmatch(r"[A-P](?:0[1-9]|1\d|2[0-4])", profile_id.strip()) is not None
    return _SIGNATURE_OF_PLATES.fullmatch(match["plate"]) is None


def is_signature_id(profile_id: str) -> bool:
    """Whether an id is that of a CMap signature, which combines replicates on several plates."""
    return _SIGNATURE_ID.fullmatch(profile_id.strip()) is not None


def is_plate_of_wells(plate: object) -> bool:
    """Whether a name is that of one plate rather than of all replicate plates of a signature.

    CMap calls the latter `LJP005_A375_24H` (brew_prefix), or joins plates by `|`.
    """
    if not isinstance(plate, str):
        return False
    return "|" not in plate and _SIGNATURE_OF_PLATES.fullmatch(plate) is None
