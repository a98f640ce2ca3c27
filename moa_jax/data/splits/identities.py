"""Identities of examples, whose values must not be shared between parts of a split.

An identity assigns a tuple of values to each example: one compound group, several plates, no
structure. Two examples share an identity if they share a value.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from moa_jax.compounds.identity import normalise_name
from moa_jax.compounds.near_duplicates import near_duplicates
from moa_jax.compounds.scaffold_clusters import scaffold_units, units_reached
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.schemas import Examples

# Examples that share any of these are the same compound.
COMPOUND_IDENTITIES = ("compound group", "InChIKey block", "name", "structure")

Values = list[tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class IdentityRows:
    """The fields of examples, of one or several sets, that determine identities.

    Attributes:
      table: `SIGNATURE_COLUMNS`, index 0..n-1.
      smiles: SMILES, None where unknown.
      groups: compound group.
      moas: MoAs of the example in its set's vocabulary.
      has_expression: false for a labelled structure without a signature.
    """

    table: pd.DataFrame
    smiles: tuple[str | None, ...]
    groups: tuple[str, ...]
    moas: tuple[tuple[str, ...], ...]
    has_expression: tuple[bool, ...]


def identity_rows(*sets: Examples) -> IdentityRows:
    """The rows of all sets, one set after the other."""
    return IdentityRows(
        table=pd.concat([each.table.astype(object) for each in sets], ignore_index=True),
        smiles=tuple(smiles for each in sets for smiles in each.smiles),
        groups=tuple(group for each in sets for group in each.groups),
        moas=tuple(moas for each in sets for moas in _moas_of(each)),
        has_expression=tuple(bool(has) for each in sets for has in each.has_expression),
    )


def _moas_of(examples: Examples) -> Values:
    vocabulary = np.asarray(examples.moas, dtype=object)
    return [tuple(vocabulary[row > 0]) for row in examples.labels]


def values_of(identity: str, rows: IdentityRows) -> Values:
    """Values of an identity, a key of `IDENTITIES`, for every row."""
    return IDENTITIES[identity](rows)


def dose_level(dose_um: object) -> int | None:
    """Half-log step of a dose: 0 for 1 uM, 2 for 10 uM; None if unknown.

    Doses of one step are equal, since releases give nominal doses as 9.99 and 10 uM, and dose
    series are threefold.
    """
    known = isinstance(dose_um, (int, float)) and math.isfinite(dose_um) and dose_um > 0
    return round(2 * math.log10(dose_um)) if known else None


def time_level(time_h: object) -> int | None:
    """Time in whole hours (releases give 6 and 6.4 for one nominal time); None if unknown."""
    return round(time_h) if isinstance(time_h, (int, float)) and math.isfinite(time_h) else None


def dose_name(level: int) -> str:
    """Text of a dose level, such as `3.16 uM`."""
    return f"{10 ** (level / 2):.3g} uM"


def time_name(level: int) -> str:
    """Text of a time level, such as `24 h`."""
    return f"{level} h"


def plates_of(plate: object) -> tuple[str, ...]:
    """The plates of a signature, which are joined by `|` in its table."""
    return tuple(sorted({name for name in plate.split("|") if name})) if _is_known(plate) else ()


def _is_known(text: object) -> bool:
    return isinstance(text, str) and text != ""


def _one(values: Sequence[str | None]) -> Values:
    return [(value,) if value else () for value in values]


def _groups(rows: IdentityRows) -> Values:
    return _one(rows.groups)


def _inchi_blocks(rows: IdentityRows) -> Values:
    block_of = {
        text: parent.inchi_block
        for text in set(rows.smiles)
        if isinstance(parent := standardise(text), Structure)
    }
    return _one([block_of.get(text) for text in rows.smiles])


def _names(rows: IdentityRows) -> Values:
    names = rows.table["compound"]
    name_of = {name: normalise_name(name) for name in set(names) if _is_known(name)}
    return _one([name_of.get(name) for name in names])


def _structures(rows: IdentityRows) -> Values:
    return _one(near_duplicates(rows.smiles))


def _scaffolds(rows: IdentityRows) -> Values:
    """Structure-only compounds are assigned to the clusters of measured ones, as in the split."""
    pairs = list(zip(rows.smiles, rows.has_expression, strict=True))
    measured = [smiles for smiles, has in pairs if has]
    others = [smiles for smiles, has in pairs if not has]
    own, reached = iter(_one(scaffold_units(measured))), iter(units_reached(others, measured))
    return [next(own) if has else next(reached) for has in rows.has_expression]


def _moas(rows: IdentityRows) -> Values:
    return list(rows.moas)


def _cell_lines(rows: IdentityRows) -> Values:
    return [(line,) if _is_known(line) else () for line in rows.table["cell_line"]]


def _doses(rows: IdentityRows) -> Values:
    levels = map(dose_level, rows.table["dose_um"])
    return [() if level is None else (dose_name(level),) for level in levels]


def _times(rows: IdentityRows) -> Values:
    levels = map(time_level, rows.table["time_h"])
    return [() if level is None else (time_name(level),) for level in levels]


def _plates(rows: IdentityRows) -> Values:
    return [plates_of(plate) for plate in rows.table["plate"]]


def _replicates(rows: IdentityRows) -> Values:
    """One compound in one cell line at one dose and time; unknown conditions count as equal."""
    conditions = zip(
        rows.groups,
        *(_cell_lines(rows), _doses(rows), _times(rows)),
        rows.has_expression,
        strict=True,
    )
    return [
        (f"of {group}, {', '.join((*line, *dose, *time)) or 'no conditions'}",) if has else ()
        for group, line, dose, time, has in conditions
    ]


IDENTITIES: dict[str, Callable[[IdentityRows], Values]] = {
    "compound group": _groups,
    "InChIKey block": _inchi_blocks,
    "name": _names,
    "structure": _structures,
    "scaffold": _scaffolds,
    "replicate": _replicates,
    "plate": _plates,
    "cell line": _cell_lines,
    "dose": _doses,
    "time": _times,
    "MoA": _moas,
}


def joined_units(rows: IdentityRows, identities: Sequence[str]) -> list[str]:
    """Units that must stay together so that no value of any identity is split.

    Returns:
      The unit of each row: connected components of rows that share a value. A unit is named by its
      smallest compound group.
    """
    num_rows = len(rows.groups)
    row_ends, value_ends, num_values = [], [], 0
    for identity in identities:
        pairs = [
            (row, value) for row, values in enumerate(values_of(identity, rows)) for value in values
        ]
        codes, distinct = pd.factorize(np.array([value for _, value in pairs], dtype=object))
        row_ends += [row for row, _ in pairs]
        value_ends += list(codes + num_values)
        num_values += len(distinct)
    size = num_rows + num_values
    ends = (np.array(row_ends, np.int64), np.array(value_ends, np.int64) + num_rows)
    graph = coo_array((np.ones(len(row_ends), np.int8), ends), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:num_rows]
    name_of: dict[int, str] = {}
    for unit, group in zip(component, rows.groups, strict=True):
        name_of[unit] = min(name_of.get(unit, group), group)
    return [name_of[unit] for unit in component]
