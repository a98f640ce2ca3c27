"""Which column of a compound table is which: by its name, else by what stands in it."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator

import pandas as pd
from rdkit import Chem, rdBase

from moa_jax.schemas import InputError

# How compound tables write that they do not know, case-folded. `restricted` stands in LINCS tables
# for structures that may not be published. The releases' signature tables have their own list,
# kept with the reader of releases, which this package does not import.
MISSING = frozenset({"", "-666", "-666.0", "nan", "na", "n/a", "#n/a", "null", "restricted"})
# In a column of structures these say so, too. (A compound of LINCS 2020 is called "none".)
NO_STRUCTURE = MISSING | {"none", "-", ".", "unknown"}

# Meaning -> names of columns, the first one first; case, blanks and signs do not count.
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
# Names that say nothing of how a structure is written: what stands there decides.
_ANY_STRUCTURE = ("structure", "compound_structure", "molecule", "mol")
# Cells that tell what a column holds.
_NUM_PROBED = 200
# Share of them that must be SMILES, where no name says so.
_MIN_SMILES = 0.9
_LONGEST_PROBED = 2000

_IMIDIC_ACID = Chem.MolFromSmarts("[OX2;H1]-[CX3]=[NX2]")


def known(text: str, missing: frozenset[str] = MISSING) -> str | None:
    """`text` without blanks at its ends, None where it says that nothing is known."""
    text = text.strip()
    return None if text.casefold() in missing else text


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


_MEANING = {_plain(name): meaning for meaning, names in NAMES.items() for name in names}


def is_known_column(name: str) -> bool:
    """Whether a column's name is one of `NAMES`, or speaks of SMILES."""
    plain = _plain(name)
    return plain in _MEANING or "smiles" in plain


@functools.lru_cache(maxsize=2**14)
def is_smiles(text: str) -> bool:
    """Whether a text reads as a molecule; what follows a blank is not read."""
    words = text.split(maxsplit=1)
    if not words or len(words[0]) > _LONGEST_PROBED or not words[0].isascii():
        return False
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(words[0])
    return mol is not None and mol.GetNumAtoms() > 0


def smiles_of_inchi(text: str) -> str | None:
    """SMILES of the molecule that an InChI describes; None where it describes none.

    An InChI does not tell where mobile hydrogens are, and is drawn with imidic acids in the place
    of amides; these are put right.
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
      of: meaning (a key of `NAMES`) -> the columns with that meaning, the first one first.
      guessed: whether the column of SMILES was found by what stands in it.
    """

    of: dict[str, tuple[str, ...]]
    guessed: bool

    def first_known(self, cells: pd.DataFrame, meaning: str) -> pd.Series:
        """Of each row the first column of a meaning that is known there, else None."""
        found = pd.Series([None] * len(cells), index=cells.index, dtype=object)
        missing = NO_STRUCTURE if meaning in ("smiles", "inchi") else MISSING
        for name in self.of.get(meaning, ()):
            column = cells[name].map(lambda text: known(text, missing))
            found = found.where(found.notna(), column)
        return found.where(found.notna(), None)

    def structures(self, cells: pd.DataFrame) -> pd.Series:
        """Of each row the SMILES; one made of an InChI where no readable SMILES is there."""
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
    """Columns by their names; one that is called a structure only where molecules stand in it."""
    of: dict[str, tuple[str, ...]] = {}
    plain = {str(name): _plain(str(name)) for name in cells.columns}
    for meaning, names in NAMES.items():
        order = {_plain(name): place for place, name in enumerate(names)}
        found = [name for name, form in plain.items() if form in order]
        of[meaning] = tuple(sorted(found, key=lambda name: order[plain[name]]))
    spoken = [name for name, form in plain.items() if "smiles" in form and form not in _MEANING]
    vague = set(map(_plain, _ANY_STRUCTURE))
    told = [name for name in of["smiles"] if plain[name] not in vague]
    holding = [name for name in of["smiles"] if plain[name] in vague and holds_smiles(cells[name])]
    return Columns(of | {"smiles": (*told, *spoken, *holding)}, guessed=False)


def find_columns(cells: pd.DataFrame, source: str) -> Columns:
    """Columns by their names, and the SMILES by what stands there where no name tells.

    Args:
      cells: the table as texts.
      source: what to call it in messages.

    Raises:
      InputError: no column holds structures, or several that no name tells apart.
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
            "name the one that counts canonical_smiles."
        )
    if not fitting:
        raise InputError(
            f"{source} has no column of structures: it has {', '.join(map(str, cells.columns))}; "
            "expected one of SMILES, such as canonical_smiles, or of InChIs."
        )
    return Columns(columns.of | {"smiles": tuple(fitting)}, guessed=True)


def column_of_ids(cells: pd.DataFrame, columns: Columns) -> str | None:
    """The column that tells compounds apart, where none is called an id or a name.

    The first one, beside structures and what else is known, whose cells are all told, all
    different and no numbers.
    """
    taken = {name for names in columns.of.values() for name in names}
    for name in cells.columns:
        texts = cells[name].map(known)
        is_number = pd.to_numeric(texts, errors="coerce").notna()
        if name not in taken and texts.notna().all() and texts.is_unique and not is_number.any():
            return str(name)
    return None


def is_structure(text: str) -> bool:
    """Whether a text is an InChI or a SMILES, and no column is called so."""
    return text.startswith("InChI=") or (len(text) > 1 and is_smiles(text))


def holds_smiles(column: pd.Series, *, among_words: bool = False) -> bool:
    """Whether most of the first cells that are known are SMILES or InChIs.

    Args:
      column: texts.
      among_words: no name says so; then some must be more than letters, as no word is.
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
