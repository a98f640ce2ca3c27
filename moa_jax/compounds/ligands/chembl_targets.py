"""The proteins of ChEMBL target ids: ChEMBL's own mapping, and a built-in table.

The built-in table (`chembl_targets.tsv`) has the targets of MoleculeACE, whose files name them by
ChEMBL target id alone.
"""

from __future__ import annotations

import collections
import importlib.resources
import os
import re

from moa_jax.schemas import InputError
from moa_jax.text.files import open_text

_BUILT_IN = "chembl_targets.tsv"
_CHEMBL_ID = re.compile(r"CHEMBL[0-9]+")


def built_in_targets() -> dict[str, str]:
    """ChEMBL target id -> its gene symbol, for the targets of MoleculeACE."""
    text = importlib.resources.files("moa_jax.compounds.ligands").joinpath(_BUILT_IN).read_text()
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {chembl_id: symbol for chembl_id, _, symbol in rows}


def read_chembl_targets(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Reads ChEMBL's `chembl_uniprot_mapping.txt`.

    Each line has a UniProt accession, a ChEMBL target id, a name and a type, separated by tabs;
    comments start with `#`.

    Returns:
      ChEMBL target id -> sorted accessions, several for complexes and families.

    Raises:
      InputError: the file cannot be read, or has no such line.
    """
    found: dict[str, set[str]] = collections.defaultdict(set)
    with open_text(path) as file:
        for line in file:
            fields = [field.strip() for field in line.split("\t")]
            if line.startswith("#") or len(fields) < 2 or not _CHEMBL_ID.fullmatch(fields[1]):
                continue
            found[fields[1]].add(fields[0])
    if not found:
        raise InputError(
            f"{path} has no line with a UniProt accession and a ChEMBL target id, separated by a "
            "tab, as in ChEMBL's chembl_uniprot_mapping.txt."
        )
    return {target: tuple(sorted(accessions)) for target, accessions in found.items()}
