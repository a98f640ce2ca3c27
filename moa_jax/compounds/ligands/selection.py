"""Which ligands of which targets are taken: cut-offs, duplicates, conflicts, a cap per target."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pandas as pd

from moa_jax.compounds.ligands.activities import KIBA, MEASURES
from moa_jax.schemas import ACTIVATES, INHIBITS, InputError

# Columns of `pairs_of`.
PAIR_COLUMNS = ("key", "gene", "margin", "action", "is_inferred", "source")

WEAK = "weaker than the cut-off"
CONFLICTING = "measurements disagree"
UNDECIDED = "limit that the cut-off lies beyond"
REPLACED = "KIBA score or missing activity of a pair with activities in mol/L"
UNWANTED = "measure is not in config.ligands.measures"

# In the names of targets: receptors whose agonists are measured by EC50. The kinases among them
# have inhibitors.
_RECEPTOR = r"(?i)\breceptor"
_NO_SUCH_RECEPTOR = r"(?i)kinase|growth factor|insulin"
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class LigandSettings:
    """Selection of ligands from ligand tables.

    Attributes:
      measures: measures that are read, any of Ki, Kd, IC50, EC50, KIBA.
      min_p_activity: smallest -log10 of an activity in mol/L; 6.5 is 316 nM.
      min_kiba: smallest KIBA score; 12.1 is the usual cut-off.
      max_spread: measurements of one pair that are further apart (in log10 units, or KIBA scores)
        contradict each other, and the pair is left out.
      max_per_target: ligands taken of one target; 0 for all.
      ec50_activates: an EC50 on a receptor means that the ligand activates it.
      default_unit: unit of activities in plain tables without a unit; empty: each needs its own.
    """

    measures: tuple[str, ...] = MEASURES
    min_p_activity: float = 6.5
    min_kiba: float = 12.1
    max_spread: float = 1.0
    max_per_target: int = 150
    ec50_activates: bool = True
    default_unit: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.measures) - set(MEASURES))
        if unknown:
            raise InputError(f"config.ligands.measures has {unknown[0]!r}; expected {MEASURES}.")
        if self.max_spread < 0:
            raise InputError(f"config.ligands.max_spread is {self.max_spread}; expected 0 or more.")
        if self.max_per_target < 0:
            raise InputError(
                f"config.ligands.max_per_target is {self.max_per_target}; expected 0 (all) or more."
            )


def pairs_of(
    activities: pd.DataFrame, settings: LigandSettings
) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row per ligand and gene whose activities agree and reach the cut-off.

    The activity of a pair is the median of its measurements. `<` and `>` are limits: the pair's
    measurements disagree if the highest lower limit of p exceeds the lowest upper limit by more
    than `max_spread`, where an exact measurement is both. Limits that leave open on which side of
    the cut-off the activity is are not used. KIBA scores, which sum up Ki, Kd and IC50, and
    ligands known without an activity count only if a pair has no activity in mol/L.

    Args:
      activities: `ACTIVITY_COLUMNS`, `key` (the ligand's identity) and `gene`.
      settings: measures, cut-offs and spread.

    Returns:
      `PAIR_COLUMNS`, sorted by `key` and `gene`: `margin` is the median above the cut-off, in
      log10 units or KIBA scores; `action` is what the sources state, or else inferred; `source`
      joins the sources by `|`. And the number of activities and pairs left out, by reason.
    """
    dropped: collections.Counter[str] = collections.Counter()

    def keep(rows: pd.DataFrame, kept: pd.Series, reason: str) -> pd.DataFrame:
        dropped[reason] += int((~kept).sum())
        return rows[kept]

    rows = activities.assign(margin=_margins(activities, settings))
    rows = keep(rows, rows["measure"].isin({*settings.measures, ""}), UNWANTED)
    is_open = ((rows["relation"] == ">") & (rows["margin"] > 0)) | (
        (rows["relation"] == "<") & (rows["margin"] < 0)
    )
    rows = keep(rows, ~is_open, UNDECIDED)
    rank = np.where(rows["p_activity"].isna(), 2, np.where(rows["measure"] == KIBA, 1, 0))
    rows = rows.assign(rank=rank)
    best = rows.groupby(["key", "gene"])["rank"].transform("min")
    rows = keep(rows, rows["rank"] == best, REPLACED)
    pairs = _pairs(rows, settings)
    pairs = keep(pairs, pairs["spread"] <= settings.max_spread + _ROUNDING, CONFLICTING)
    pairs = keep(pairs, pairs["margin"] >= -_ROUNDING, WEAK)
    counts = {reason: number for reason, number in sorted(dropped.items()) if number}
    return pairs[list(PAIR_COLUMNS)].reset_index(drop=True), counts


def _margins(rows: pd.DataFrame, settings: LigandSettings) -> pd.Series:
    """How far each activity is above its cut-off; 0 for a ligand known without an activity."""
    cut_off = np.where(rows["measure"] == KIBA, settings.min_kiba, settings.min_p_activity)
    return (rows["p_activity"] - cut_off).fillna(0.0)


def _pairs(rows: pd.DataFrame, settings: LigandSettings) -> pd.DataFrame:
    """`PAIR_COLUMNS` and `spread` of every ligand and gene."""
    inferred = (
        rows["measure"].eq("EC50")
        & rows["target_name"].str.contains(_RECEPTOR)
        & ~rows["target_name"].str.contains(_NO_SUCH_RECEPTOR)
        & settings.ec50_activates
    )
    rows = rows.assign(
        low=rows["margin"].where(rows["relation"] != ">", -np.inf),
        high=rows["margin"].where(rows["relation"] != "<", np.inf),
        inferred=inferred,
        inhibits=rows["action"] == INHIBITS,
        activates=rows["action"] == ACTIVATES,
    )
    pairs = rows.groupby(["key", "gene"], sort=True).agg(
        margin=("margin", "median"),
        low=("low", "max"),
        high=("high", "min"),
        inferred=("inferred", "any"),
        inhibits=("inhibits", "any"),
        activates=("activates", "any"),
    )
    # Sources that contradict each other state nothing.
    stated = pairs["inhibits"] != pairs["activates"]
    is_inferred = pairs["inferred"] & ~pairs["inhibits"] & ~pairs["activates"]
    action = np.select(
        [stated & pairs["inhibits"], (stated & pairs["activates"]) | is_inferred],
        [INHIBITS, ACTIVATES],
        default="",
    )
    return pairs.assign(
        spread=(pairs["low"] - pairs["high"]).clip(lower=0.0),
        is_inferred=is_inferred,
        action=action.astype(object),
        source=_sources(rows),
    ).reset_index()


def _sources(rows: pd.DataFrame) -> pd.Series:
    """The sources of each ligand and gene, sorted and joined by `|`."""
    distinct = rows[["key", "gene", "source"]].drop_duplicates().sort_values("source")
    distinct = distinct.set_index(["key", "gene"])["source"]
    several = distinct.index.duplicated(keep=False)
    joined = distinct[several].groupby(level=["key", "gene"]).agg("|".join)
    return pd.concat([distinct[~several], joined])


def within_pool(pairs: pd.DataFrame, size: int) -> pd.Series:
    """Whether each pair is among the `size` most potent ones of its gene; all if `size` is 0."""
    if not size:
        return pd.Series(True, index=pairs.index)
    return _rank(pairs.sort_values(["margin", "key"], ascending=[False, True])) < size


def within_cap(pairs: pd.DataFrame, scaffolds: pd.Series, cap: int) -> pd.Series:
    """Whether each pair is chosen among the ligands of its gene.

    The most potent ligand of each scaffold comes first, then the second of each, and so on, so
    that a series of analogues does not fill the cap. Ties are broken by `key`.

    Args:
      pairs: `PAIR_COLUMNS`.
      scaffolds: Murcko scaffold of each pair's ligand.
      cap: largest number of ligands of one gene; 0 for all.
    """
    if not cap:
        return pd.Series(True, index=pairs.index)
    rows = pairs.assign(scaffold=scaffolds)
    rows = rows.sort_values(["margin", "key"], ascending=[False, True])
    rows["within_scaffold"] = rows.groupby(["gene", "scaffold"]).cumcount()
    return _rank(rows.sort_values("within_scaffold", kind="stable")) < cap


def _rank(ordered: pd.DataFrame) -> pd.Series:
    """Place of each row among those of its gene, in the order of the rows before sorting."""
    return ordered.groupby("gene").cumcount().sort_index()
