"""Recognises the columns of a compound table by name, else by content."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator

import pandas as pd
from rdkit import Chem, rdBase

from moa_jax.schemas import InputError

# Missing values in compound tables, case-folded; `restricted` marks structures in LINCS tables
# that may not be published. Signature tables have another list (`lincs.metadata.field_names`).
MISSING = frozenset({"", "-666", "-666.0", "nan", "na", "n/a", "#n/a", "null", "restricted"})
# Missing values in a column of structures. (LINCS 2020 has a compound called "none".)
NO_STRUCTURE = MISSING | {"none", "-", ".", "unknown"}

# Meaning -> names of columns in order of preference, ignoring case, blanks and signs.
NAMES: dict[str, tuple[str, ...]] = {
    "pert_id": (
        "pert_id",
        "broad_id",
        "brd_id",
        "broad_cpd_id",
        "compound_id",
        "cpd_id",
        "cmpd_id",
        "perturbagen_id",
        "pert_mfc_id",
        "drug_id",
        "molecule_id",
        "mol_id",
        "lincs_id",
        "lsm_id",
        "sm_lincs_id",
        "sm_center_compound_id",
        "chembl_id",
        "molecule_chembl_id",
        "drugbank_id",
        "catalog_no",
        "id",
        "identifier",
        "compound_no",
    ),
    "cmap_name": (
        "cmap_name",
        "pert_iname",
        "compound_name",
        "compound",
        "name",
        "pert_name",
        "pert_desc",
        "drug_name",
        "drug",
        "molecule_name",
        "preferred_name",
        "common_name",
        "generic_name",
        "sm_name",
        "title",
    ),
    "smiles": (
        "isomeric_smiles",
        "canonical_smiles",
        "smiles",
        "smi",
        "smiles_string",
        "structure_smiles",
        "sm_smiles",
        "structure",
        "compound_structure",
        "molecule",
        "mol",
    ),
    "inchi": ("inchi", "standard_inchi", "inchi_string", "structure_inchi"),
    "inchi_key": ("inchi_key", "standard_inchi_key", "structure_inchi_key"),
    "moa": ("moa", "moas", "mechanism_of_action", "mechanism"),
    "target": ("target", "targets", "gene_target", "gene_targets"),
    "compound_group": ("compound_group",),
}
# Names of columns in any notation; they are used only if their cells are SMILES or InChIs.
_ANY_STRUCTURE = ("structure", "compound_structure", "molecule", "mol")
# Cells examined to recognise a column, and the share of them that must be SMILES or InChIs.
_NUM_PROBED = 200
_MIN_SMILES = 0.9
_LONGEST_PROBED = 2000

_IMIDIC_ACID = Chem.MolFromSmarts("[OX2;H1]-[CX3]=[NX2]")


def known(text: str, missing: frozenset[str] = MISSING) -> str | None:
    """`text` without outer blanks, None if it is a missing value."""
    text = text.strip()
    return None if text.casefold() in missing else text


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


_MEANING = {_plain(name): meaning for meaning, names in NAMES.items() for name in names}


def is_known_column(name: str) -> bool:
    """Whether a column's name is one of `NAMES`, or contains "smiles"."""
    plain = _plain(name)
    return plain in _MEANING or "smiles" in plain


@functools.lru_cache(maxsize=2**14)
def is_smiles(text: str) -> bool:
    """Whether a text up to the first blank is a valid SMILES."""
    words = text.split(maxsplit=1)
    if not words or len(words[0]) > _LONGEST_PROBED or not words[0].isascii():
        return False
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(words[0])
    return mol is not None and mol.GetNumAtoms() > 0


def smiles_of_inchi(text: str) -> str | None:
    """SMILES of an InChI; None if it is invalid.

    InChIs do not fix mobile hydrogens, so RDKit draws amides as imidic acids; this is corrected.
    """
    with rdBase.BlockLogs():
        mol = Chem.MolFromInchi(text)
        if mol is None:
            return None
        smiles = Chem.MolToSmiles(_with_amides(mol))
        return smiles if Chem.MolFromSmiles(smiles) is not None else None


def _with_amides(mol: Chem.Mol) -> Chem.Mol:
    editable = Chem.RWMol(mol)
    while match := editable.GetSubstructMatch(_IMIDIC_ACID):
        oxygen, carbon, nitrogen = match
        editable.GetBondBetweenAtoms(oxygen, carbon).SetBondType(Chem.BondType.DOUBLE)
        double = editable.GetBondBetweenAtoms(carbon, nitrogen)
        double.SetStereo(Chem.BondStereo.STEREONONE)
        double.SetBondType(Chem.BondType.SINGLE)
        for atom in (oxygen, nitrogen):
            editable.GetAtomWithIdx(atom).SetNumExplicitHs(0)
            editable.GetAtomWithIdx(atom).SetNoImplicit(False)
        Chem.SanitizeMol(editable)
    return editable.GetMol()


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of a compound table.

    Attributes:
      of: meaning (a key of `NAMES`) -> the columns with that meaning, in order of preference.
      guessed: whether the column of SMILES was recognised by content.
    """

    of: dict[str, tuple[str, ...]]
    guessed: bool

    def first_known(self, cells: pd.DataFrame, meaning: str) -> pd.Series:
        """The first known value of each row among the columns of a meaning, else None."""
        found = pd.Series([None] * len(cells), index=cells.index, dtype=object)
        missing = NO_STRUCTURE if meaning in ("smiles", "inchi") else MISSING
        for name in self.of.get(meaning, ()):
            column = cells[name].map(lambda text: known(text, missing))
            found = found.where(found.notna(), column)
        return found.where(found.notna(), None)

    def structures(self, cells: pd.DataFrame) -> pd.Series:
        """SMILES of each row, converted from an InChI if there is no valid SMILES."""
        texts = []
        for text, inchi in zip(
            self.first_known(cells, "smiles"), self.first_known(cells, "inchi"), strict=True
        ):
            if text is not None and text.startswith("InChI="):
                texts.append(smiles_of_inchi(text) or text)
            elif inchi is not None and (text is None or not is_smiles(text)):
                texts.append(smiles_of_inchi(inchi) or text or inchi)
            else:
                texts.append(text)
        return pd.Series(texts, index=cells.index, dtype=object)


def named_columns(cells: pd.DataFrame) -> Columns:
    """Columns by name; those of `_ANY_STRUCTURE` only if they contain structures."""
    of: dict[str, tuple[str, ...]] = {}
    plain = {str(name): _plain(str(name)) for name in cells.columns}
    for meaning, names in NAMES.items():
        order = {_plain(name): place for place, name in enumerate(names)}
        found = [name for name, form in plain.items() if form in order]
        of[meaning] = tuple(sorted(found, key=lambda name: order[plain[name]]))
    similar = [name for name, form in plain.items() if "smiles" in form and form not in _MEANING]
    vague = set(map(_plain, _ANY_STRUCTURE))
    exact = [name for name in of["smiles"] if plain[name] not in vague]
    others = [name for name in of["smiles"] if plain[name] in vague and holds_smiles(cells[name])]
    return Columns(of | {"smiles": (*exact, *similar, *others)}, guessed=False)


def find_columns(cells: pd.DataFrame, source: str) -> Columns:
    """Columns by name, and the column of SMILES by content if no name matches.

    Args:
      cells: the table as texts.
      source: its name in messages.

    Raises:
      InputError: no column contains structures, or several do and none is named.
    """
    columns = named_columns(cells)
    if columns.of["smiles"] or columns.of["inchi"]:
        return columns
    taken = {name for names in columns.of.values() for name in names}
    fitting = [
        str(name)
        for name in cells.columns
        if name not in taken and holds_smiles(cells[name], among_words=True)
    ]
    if len(fitting) > 1:
        raise InputError(
            f"{source} has SMILES in the columns {' and '.join(fitting)}; "
            "rename the one to use canonical_smiles."
        )
    if not fitting:
        raise InputError(
            f"{source} has no column of structures: it has {', '.join(map(str, cells.columns))}; "
            "expected one of SMILES, such as canonical_smiles, or of InChIs."
        )
    return Columns(columns.of | {"smiles": tuple(fitting)}, guessed=True)


def column_of_ids(cells: pd.DataFrame, columns: Columns) -> str | None:
    """A column to identify compounds, if none has the name of an id or a compound name.

    The first unrecognised column whose cells are all known, all different and not numeric.
    """
    taken = {name for names in columns.of.values() for name in names}
    for name in cells.columns:
        texts = cells[name].map(known)
        is_number = pd.to_numeric(texts, errors="coerce").notna()
        if name not in taken and texts.notna().all() and texts.is_unique and not is_number.any():
            return str(name)
    return None


def is_structure(text: str) -> bool:
    """Whether a text is an InChI or a SMILES, so that it cannot be a column name."""
    return text.startswith("InChI=") or (len(text) > 1 and is_smiles(text))


def holds_smiles(column: pd.Series, *, among_words: bool = False) -> bool:
    """Whether most of the first known cells are SMILES or InChIs.

    Args:
      column: texts.
      among_words: the column may be one of words: a third must contain signs other than letters.
    """
    probed = list(_first_known(column, _NUM_PROBED))
    found = [cell for cell in probed if cell.startswith("InChI=") or is_smiles(cell)]
    certain = [cell for cell in found if any(sign in cell for sign in "()=#[]123")]
    enough = 3 * len(certain) >= len(found) or not among_words
    return bool(found) and enough and len(found) >= _MIN_SMILES * len(probed)


def _first_known(column: pd.Series, count: int) -> Iterator[str]:
    found = 0
    for text in dict.fromkeys(column):
        if (cell := known(text, NO_STRUCTURE)) is not None:
            yield cell
            found += 1
            if found == count:
                return
