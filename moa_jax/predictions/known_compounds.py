"""Known or new: whether a compound, or one with its structure, is in the training data.

An answer for a known compound is recalled, one for an analogue relies on its neighbour, and only
one for a new compound is a prediction. The training data are the references of a run's kernel
experts (`kernels.references`).
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from moa_jax.calibration.nearest_neighbours import nearest_structures
from moa_jax.compounds.identity import normalise_name
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.compounds.tables import compound_of_sample
from moa_jax.schemas import Examples

KNOWN, ANALOGUE, NEW = "yes", "analogue", "no"
# Tanimoto similarity of Morgan fingerprints from which a structure is an analogue. Among 1,820
# labelled training structures of LINCS 2020, the nearest one of another compound shares a mechanism
# in .55 of cases at a similarity of .40 to .45, in .74 at .45 to .50, and in .78 to .92 above.
ANALOGUE_TANIMOTO = 0.45
# Columns of `known_compounds`, and of the answers.
KNOWN_COLUMNS = ("known", "nearest_tanimoto", "nearest_known")
# Column of `known_compounds` beside them.
TRAINING_GROUP = "training_group"
# An atom of a SMILES; in brackets, only its element is captured.
_ATOM = re.compile(r"\[\d*([A-Za-z][a-z]?)[^\]]*\]|(Br|Cl|[BCNOPSFI]|[bcnops])")


@dataclasses.dataclass(frozen=True)
class _Training:
    """Training compounds: their names, structures and identifiers.

    Attributes:
      groups: compound group of each compound.
      described: its name and mechanisms.
      smiles: known structures.
      owner: compound of each structure.
      by_block: first InChIKey block -> compound.
      by_name: normalised name or pert_id -> compound.
    """

    groups: tuple[str, ...]
    described: tuple[str, ...]
    smiles: tuple[str, ...]
    owner: tuple[int, ...]
    by_block: Mapping[str, int]
    by_name: Mapping[str, int]


def known_compounds(examples: Examples, references: pd.DataFrame | None) -> pd.DataFrame:
    """Looks compounds up in the training data.

    Args:
      examples: examples of the compounds.
      references: `references.REFERENCE_COLUMNS` of the run, if it has any.

    Returns:
      Indexed by compound group, sorted: `known` (`KNOWN` if a training compound has the same first
      InChIKey block, which stereoisomers and salts share, name or pert_id; `ANALOGUE` from
      `ANALOGUE_TANIMOTO` on; else `NEW`), `nearest_tanimoto` (to the most similar training
      structure; NaN without a structure), `nearest_known` (that training compound's name and
      mechanisms; for a known compound, its own) and `TRAINING_GROUP` (a known compound's group in
      the training data, else missing). All are missing without references.
    """
    names, unit = np.unique(np.asarray(examples.groups, str), return_inverse=True)
    if references is None or not len(references):
        return pd.DataFrame(index=names, columns=[*KNOWN_COLUMNS, TRAINING_GROUP], dtype=object)
    smiles = list(dict.fromkeys(text for text in examples.smiles if text is not None))
    training = _training(references, {_composition(text) for text in smiles})
    similarities, places = nearest_structures(smiles, training.smiles)
    nearest = {
        text: (similarity, training.owner[place])
        for text, similarity, place in zip(smiles, similarities.tolist(), places, strict=True)
        if place >= 0
    }
    rows = []
    for number in range(len(names)):
        own = np.flatnonzero(unit == number)
        structures = list(dict.fromkeys(examples.smiles[row] for row in own))
        same = [training.by_block.get(_block(text)) for text in structures]
        same += [training.by_name.get(mark) for mark in _marks_of(examples.table.iloc[own])]
        itself = next((place for place in same if place is not None), None)
        similarity, place = max(
            (nearest[text] for text in structures if text in nearest), default=(np.nan, None)
        )
        if itself is not None:
            known, place = KNOWN, itself
        else:
            known = ANALOGUE if similarity >= ANALOGUE_TANIMOTO else NEW
        described = "" if place is None else training.described[place]
        group = None if itself is None else training.groups[itself]
        rows.append((known, similarity, described, group))
    return pd.DataFrame(rows, index=names, columns=[*KNOWN_COLUMNS, TRAINING_GROUP])


def _block(smiles: str | None) -> str | None:
    """First block of a structure's InChIKey."""
    structure = standardise(smiles)
    return structure.inchi_block if isinstance(structure, Structure) else None


@functools.lru_cache(maxsize=2**16)
def _composition(smiles: str) -> tuple[tuple[str, int], ...]:
    """Counts of the elements in a SMILES, without hydrogen; equal if the structures are equal."""
    atoms = (next(filter(None, match.groups())) for match in _ATOM.finditer(smiles))
    counts = collections.Counter(atom.capitalize() for atom in atoms)
    return tuple(sorted((atom, count) for atom, count in counts.items() if atom != "H"))


def _training(
    references: pd.DataFrame, compositions: Collection[tuple[tuple[str, int], ...]]
) -> _Training:
    """Training compounds; InChIKey blocks only of structures with one of the `compositions`."""
    described, smiles, owner = [], [], []
    by_block: dict[str, int] = {}
    by_name: dict[str, int] = {}
    rows_of: dict[str, list[Any]] = collections.defaultdict(list)
    for row in references.itertuples(index=False):
        rows_of[row.group].append(row)
    groups = tuple(sorted(rows_of))
    for place, group in enumerate(groups):
        rows = rows_of[group]
        called = [row.compound for row in rows if pd.notna(row.compound)]
        pert_ids = [row.pert_id for row in rows if pd.notna(row.pert_id)]
        names = sorted(set(map(str, called)) - {"", "None", "nan"})
        moas = sorted({moa for row in rows for moa in row.moas})
        name = names[0] if names else str(rows[0].pert_id)
        described.append(f"{name}: {', '.join(moas) or 'no mechanism known'}")
        for text in sorted({row.smiles for row in rows if isinstance(row.smiles, str)}):
            smiles.append(text)
            owner.append(place)
            if _composition(text) in compositions and (block := _block(text)) is not None:
                by_block.setdefault(block, place)
        for mark in _marks(called, pert_ids):
            by_name.setdefault(mark, place)
    return _Training(groups, tuple(described), tuple(smiles), tuple(owner), by_block, by_name)


def _marks(names: Iterable[object], pert_ids: Iterable[object]) -> list[str]:
    """Normalised names and ids of a compound, or of several that share a structure's row."""
    texts = [part for name in dict.fromkeys(names) for part in str(name).split(" / ")]
    ids = dict.fromkeys(map(str, pert_ids))
    texts += [compound_of_sample(pert_id.upper()) for pert_id in ids]
    marks = {normalise_name(text) for text in texts if text not in ("None", "nan")}
    return sorted(marks - {""})


def _marks_of(table: pd.DataFrame) -> list[str]:
    return _marks(table["compound"].dropna(), table["pert_id"].dropna())


def known_sentence(row: Mapping[str, object]) -> str:
    """A row of `known_compounds` as a sentence for a report."""
    known, nearest, similarity = (
        row[name] for name in ("known", "nearest_known", KNOWN_COLUMNS[1])
    )
    if known == KNOWN:
        return f"Known: in the training data ({nearest})."
    if pd.isna(known):
        return "Known or new: unknown, because the run has no references."
    if not nearest:
        return "New: not in the training data, with no structure to compare."
    word = "An analogue" if known == ANALOGUE else "New"
    return f"{word}: nearest known structure {nearest}, Tanimoto {similarity:.2f}."


def mechanism_table(references: pd.DataFrame | None, moas: Sequence[str]) -> pd.DataFrame:
    """Numbers of training compounds of each mechanism.

    Returns:
      One row per mechanism, in their order: `mechanism`, and numbers of compound groups:
      `training_compounds`, `with_signature` and `with_structure_only`. The numbers are missing
      without references.
    """
    columns = ["mechanism", "training_compounds", "with_signature", "with_structure_only"]
    if references is None or not len(references):
        return pd.DataFrame({"mechanism": list(moas)}, columns=columns)
    training: dict[str, set[str]] = collections.defaultdict(set)
    measured: dict[str, set[str]] = collections.defaultdict(set)
    for row in references.itertuples(index=False):
        for moa in row.moas:
            training[moa].add(row.group)
            if pd.notna(row.sig_id):
                measured[moa].add(row.group)
    rows = [
        (moa, len(training[moa]), len(measured[moa]), len(training[moa] - measured[moa]))
        for moa in moas
    ]
    return pd.DataFrame(rows, columns=columns)


def training_counts(mechanisms: pd.DataFrame) -> Int[np.ndarray, " moa"]:
    """Training compounds of each row of `mechanism_table`; 0 where the number is not known."""
    return mechanisms["training_compounds"].to_numpy(np.float64, na_value=0.0).astype(int)
