"""The raw table of activities that every reader of a ligand table returns."""

from __future__ import annotations

import collections
import dataclasses
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from moa_jax.schemas import require_columns

# How a target is named: a gene symbol, a UniProt accession, a ChEMBL target id, or any of these.
SYMBOL, UNIPROT, CHEMBL, ANY = "symbol", "uniprot", "chembl", "any"

ACTIVITY_COLUMNS = (
    "ligand",
    "smiles",
    "inchi_key",
    "target",
    "target_kind",
    "target_name",
    "p_activity",
    "relation",
    "measure",
    "action",
    "source",
)
KIBA = "KIBA"
MOLAR_MEASURES = ("Ki", "Kd", "IC50", "EC50")
MEASURES = (*MOLAR_MEASURES, KIBA)

NO_ACTIVITY = "activity is missing or not a positive number"
NOT_HUMAN = "target is not human"
IS_COMPLEX = "target is a complex or a family"
IS_MUTANT = "target is a mutant"
NO_TARGET = "target has no name"
OTHER_MEASURE = "measure is none of Ki, Kd, IC50, EC50"
OTHER_UNIT = "unit is not molar"

# Exponent of each unit, so that p = exponent - log10(value).
_UNITS = {"m": 0, "mm": 3, "um": 6, "nm": 9, "pm": 12, "fm": 15}
_RELATIONS = {
    **dict.fromkeys(("", "=", "~", "=="), "="),
    **dict.fromkeys(("<", "<=", "<<", "\u2264"), "<"),
    **dict.fromkeys((">", ">=", ">>", "\u2265"), ">"),
}
_NUMBER = r"^\s*([<>=~\u2264\u2265]*)\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.)\s*$"


@dataclasses.dataclass(frozen=True)
class Activities:
    """Activities of compounds on proteins.

    Attributes:
      table: `ACTIVITY_COLUMNS`, one row per activity. `ligand` is a name or id; `smiles` and
        `inchi_key` are those of the source; any of the three may be empty. `p_activity` is
        -log10 of the activity in mol/L, or the KIBA score where `measure` is `KIBA`, and NaN for
        a ligand that is known without an activity. `relation` (`=`, `<`, `>`) is that of the
        concentration; of a KIBA score it is always `=`. `action` is `inhibits`, `activates` or
        empty.
      dropped: number of activities of the source that were not read, by reason.
    """

    table: pd.DataFrame
    dropped: dict[str, int]

    def __post_init__(self) -> None:
        require_columns(self.table, ACTIVITY_COLUMNS, "the table of activities")

    @classmethod
    def of(
        cls, columns: Mapping[str, Any], index: pd.Index, dropped: Mapping[str, int]
    ) -> Activities:
        """Activities from some of the columns; the others are empty."""
        empty = dict.fromkeys(ACTIVITY_COLUMNS, "") | {"relation": "=", "p_activity": np.nan}
        table = pd.DataFrame({**empty, **columns}, index=index, columns=list(ACTIVITY_COLUMNS))
        return cls(table.reset_index(drop=True), {why: n for why, n in dropped.items() if n})


def joined(parts: Sequence[Activities]) -> Activities:
    """The activities of several parts, one after the other."""
    dropped: collections.Counter[str] = collections.Counter()
    for part in parts:
        dropped.update(part.dropped)
    tables = [part.table for part in parts if len(part.table)]
    if not tables:
        return Activities.of({}, pd.RangeIndex(0), dropped)
    return Activities(pd.concat(tables, ignore_index=True), dict(dropped))


class Rows:
    """The rows of a source that are still wanted, and the number of others by reason."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.dropped: collections.Counter[str] = collections.Counter()

    def keep(self, kept: pd.Series | Bool[np.ndarray, " row"], reason: str) -> None:
        """Keeps the rows where `kept`; the others are dropped for `reason`."""
        kept = np.asarray(kept, dtype=bool)
        self.dropped[reason] += int((~kept).sum())
        self.table = self.table[kept]


def is_human(organisms: pd.Series) -> pd.Series:
    """Whether each organism is human, or not given."""
    return organisms.str.strip().str.casefold().isin({"", "homo sapiens", "human"})


def numbers(texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Relation and value of texts such as `>10000`, `5.2` or `1e-3`; the value is NaN otherwise."""
    found = texts.str.extract(_NUMBER)
    relation = found[0].fillna("").map(_RELATIONS).fillna("=")
    return relation, pd.to_numeric(found[1], errors="coerce")


def relations(texts: pd.Series) -> pd.Series:
    """`=`, `<` or `>` of texts such as `'>='`; empty where it is none of these."""
    return texts.str.strip("' \"").map(_RELATIONS).fillna("")


def p_activity(values: pd.Series, unit: str) -> pd.Series:
    """-log10 of values in mol/L; NaN for values that are not positive.

    Args:
      values: numbers.
      unit: one that `is_unit` knows; values in units of -log10 are returned as they are.
    """
    if is_logarithmic(unit):
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(values.where(values > 0).to_numpy(dtype=float))
    return pd.Series(_UNITS[_plain_unit(unit)] - logs, index=values.index)


def is_unit(unit: str) -> bool:
    """Whether a text is a molar unit (`nM`, `uM`, ...) or means -log10 (`pKi`, `-log10 M`)."""
    return _plain_unit(unit) in _UNITS or is_logarithmic(unit)


def is_logarithmic(unit: str) -> bool:
    """Whether values are -log10 of mol/L already: `p`, `pKi`, `pIC50`, `pActivity`, `-log10`."""
    plain = _plain_unit(unit)
    return plain.startswith("-log") or plain in {"p", "log", "px", "pactivity", "pchembl"} | {
        f"p{measure.casefold()}" for measure in MEASURES
    }


def _plain_unit(unit: str) -> str:
    """A unit in lower case without blanks, with u for the micro sign."""
    text = unicodedata.normalize("NFKC", unit).replace("\u03bc", "u")
    return "".join(text.split()).casefold()


def plain_name(name: str) -> str:
    """A column's name without case, blanks and signs."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def find_columns(
    header: Sequence[str],
    names: Mapping[str, Sequence[str]],
    fits: Callable[[str, str], bool] = str.__eq__,
) -> dict[str, str]:
    """Our name -> the column of a header with the first fitting name; absent ones are left out.

    Args:
      header: names of the columns.
      names: our name -> names in sources, in order of preference; case, blanks and signs do not
        count.
      fits: whether a plain name in the header is a plain name of a source; by default equality.
    """
    plain = [(plain_name(name), name) for name in header]
    found = {}
    for ours, theirs in names.items():
        for wanted in map(plain_name, theirs):
            columns = [name for form, name in plain if fits(form, wanted)]
            if columns:
                found[ours] = columns[0]
                break
    return found
