"""The vocabulary of MoAs, and labels over it.

The vocabulary is fixed before splitting, so that it is the same for all folds and methods. It is
`open`, every known mechanism of the compounds that can be trained on, or `frequent`, those with
enough measured compounds.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from moa_jax.schemas import Examples, InputError

OPEN, FREQUENT = "open", "frequent"


def open_vocabulary(compounds: pd.DataFrame, measured: pd.DataFrame) -> tuple[str, ...]:
    """Sorted MoAs of the labelled signatures' compounds and of all structures.

    Of names that differ only in case, the one of most measured compounds is used (of most
    structures if equal).

    Args:
      compounds: `COMPOUND_COLUMNS` of all compounds.
      measured: `compound_group` and `moas` of each labelled signature.

    Raises:
      InputError: no compound has an MoA.
    """
    structures = compounds[compounds["smiles"].notna()]
    found: collections.Counter[str] = collections.Counter()
    for table, weight in (
        (measured.drop_duplicates("compound_group"), len(compounds)),
        (structures, 1),
    ):
        for names in table["moas"]:
            found.update(dict.fromkeys(names, weight))
    by_name: dict[str, str] = {}
    for name, _ in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        by_name.setdefault(name.casefold(), name)
    if not by_name:
        raise InputError("no compound with a structure or a signature has an MoA.")
    return tuple(sorted(by_name.values()))


def frequent_vocabulary(measured: pd.DataFrame, min_compounds: int) -> tuple[str, ...]:
    """Sorted MoAs of at least `min_compounds` compound groups.

    Args:
      measured: `compound_group` and `moas` of each labelled signature.
      min_compounds: see above.

    Raises:
      InputError: no MoA has enough compounds.
    """
    groups_of = collections.defaultdict(set)
    for group, names in zip(measured["compound_group"], measured["moas"], strict=True):
        for name in names:
            groups_of[name].add(group)
    moas = tuple(sorted(name for name, has in groups_of.items() if len(has) >= min_compounds))
    if not moas:
        raise InputError(
            f"no MoA has at least {min_compounds} compounds among the {len(measured)} labelled "
            f"signatures; the most frequent has {max(map(len, groups_of.values()), default=0)}."
        )
    return moas


def label_matrix(
    names: Sequence[tuple[str, ...]], moas: tuple[str, ...], *, any_case: bool = False
) -> Float32[np.ndarray, "row moa"]:
    """1 where a row's names contain the MoA; names outside the vocabulary are ignored.

    Args:
      names: MoAs of each row.
      moas: the vocabulary.
      any_case: match a name that is not in the vocabulary to the first MoA that differs only in
        case, for names of another source.
    """
    column = {moa: index for index, moa in enumerate(moas)}
    folded = {moa.casefold(): column[moa] for moa in reversed(moas)} if any_case else {}
    labels = np.zeros((len(names), len(moas)), np.float32)
    for row, found in enumerate(names):
        columns = [column.get(name, folded.get(name.casefold())) for name in found]
        labels[row, [index for index in columns if index is not None]] = 1
    return labels


def names_outside(
    names: Iterable[tuple[str, ...]], moas: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """The MoAs of each row that are not in a vocabulary, ignoring case."""
    known = {moa.casefold() for moa in moas}
    return tuple(tuple(name for name in row if name.casefold() not in known) for row in names)


def strata(examples: Examples) -> Int[np.ndarray, " example"]:
    """One MoA per example, for stratification and for single-label learners.

    The most frequent of the example's MoAs, counted in compound groups of `examples` (the first in
    the vocabulary if equal).

    Raises:
      InputError: an example has no label.
    """
    unlabelled = np.flatnonzero(~examples.labels.any(axis=1))
    if len(unlabelled):
        raise InputError(
            f"the signature {examples.table['sig_id'].iloc[unlabelled[0]]} has no label, "
            "so it belongs to no stratum."
        )
    _, unit = np.unique(np.asarray(examples.groups, dtype=str), return_inverse=True)
    carries = np.zeros((unit.max(initial=-1) + 1, len(examples.moas)), bool)
    np.logical_or.at(carries, unit, examples.labels > 0)
    num_compounds = carries.sum(axis=0)
    return np.where(examples.labels > 0, num_compounds, -1).argmax(axis=1)
