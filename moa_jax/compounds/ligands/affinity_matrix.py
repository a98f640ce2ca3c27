"""KIBA and Davis as papers on drug-target affinity publish them: a folder with three files.

`ligands_can.txt` (JSON: id -> SMILES) and `proteins.txt` (JSON: name -> sequence) name the rows and
columns of a matrix of affinities, in the order of the two files (DeepDTA, Ozturk 2018). Both
are panels of kinase inhibitors, so that their ligands inhibit.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.compounds.ligands import activities
from moa_jax.compounds.ligands.activities import Activities
from moa_jax.schemas import INHIBITS, InputError
from moa_jax.text.files import open_text

LICENCE = "none stated"
_LIGANDS, _PROTEINS = "ligands_can.txt", "proteins.txt"
_MATRIX = "*affinit*.txt"
# KIBA scores are below 20, dissociation constants of Davis are up to 10,000 nM.
_LARGEST_SCORE = 100.0
# Davis's proteins: a mutant or another species is in brackets, a domain of the wild type, too.
_DOMAIN = re.compile(r"(.*)\((?:JH1domain-catalytic|KinDom\.[12]-[NC]-terminal)\)")


def fits(folder: pathlib.Path) -> bool:
    """Whether a folder has such files."""
    return (folder / _LIGANDS).is_file() and (folder / _PROTEINS).is_file()


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files that are read.

    Raises:
      InputError: there is no matrix, or there are several.
    """
    matrices = sorted(folder.glob(_MATRIX))
    if len(matrices) != 1:
        found = ", ".join(path.name for path in matrices) or "none"
        raise InputError(
            f"{folder} needs one matrix of affinities, a file named {_MATRIX}; found {found}."
        )
    return [folder / _LIGANDS, folder / _PROTEINS, *matrices]


def read(folder: pathlib.Path) -> Activities:
    """Reads the affinities: KIBA scores of UniProt accessions, or Davis's Kd (nM) of constructs.

    Which of the two is decided by the values. Of Davis's constructs the wild types are read.

    Raises:
      InputError: a file cannot be read, or the matrix has another size than the lists.
    """
    ligand_path, protein_path, matrix_path = files(folder)
    ligands, proteins = _read_json(ligand_path), _read_json(protein_path)
    matrix = _read_matrix(matrix_path, (len(ligands), len(proteins)))
    rows, columns = np.nonzero(np.isfinite(matrix))
    values = pd.Series(matrix[rows, columns])
    names, smiles = np.array(list(ligands), object), np.array(list(ligands.values()), object)
    targets = np.array(list(proteins), object)
    is_kiba = values.max() < _LARGEST_SCORE if len(values) else True
    if not is_kiba:
        targets = np.array([_wild_type(name) for name in targets], object)
    table = pd.DataFrame(
        {
            "ligand": names[rows],
            "smiles": smiles[rows],
            "target": targets[columns],
            "target_kind": activities.UNIPROT if is_kiba else activities.SYMBOL,
            "p_activity": values if is_kiba else activities.p_activity(values, "nM"),
            "measure": activities.KIBA if is_kiba else "Kd",
            "action": INHIBITS,
            "source": "KIBA" if is_kiba else "Davis",
        }
    )
    is_named = table["target"] != ""
    # In Davis's table, 10,000 nM stands for "no binding was measured".
    if not is_kiba:
        table["relation"] = np.where(values >= values.max(), ">", "=")
    known = table["p_activity"].notna()
    kept = table[is_named & known]
    dropped = {
        activities.IS_MUTANT: int((~is_named).sum()),
        activities.NO_ACTIVITY: int((is_named & ~known).sum()),
    }
    return Activities.of(dict(kept.items()), kept.index, dropped)


def _wild_type(name: str) -> str:
    """The gene of a construct; empty for mutants, pseudokinase domains and other species."""
    domain = _DOMAIN.fullmatch(name)
    return domain[1] if domain else name if "(" not in name else ""


def _read_json(path: pathlib.Path) -> dict[str, str]:
    with open_text(path) as file:
        try:
            found: Any = json.loads(file.read())
        except json.JSONDecodeError as error:
            raise InputError(f"{path} is not JSON ({error}).") from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise InputError(f"{path} is not a JSON object of texts, such as id and SMILES.")
    return found


def _read_matrix(
    path: pathlib.Path, expected: tuple[int, int]
) -> Float[np.ndarray, "ligand protein"]:
    with open_text(path) as file:
        try:
            matrix = np.loadtxt(file, ndmin=2)
        except ValueError as error:
            raise InputError(f"{path} is not a matrix of numbers ({error}).") from None
    if matrix.shape != expected:
        raise InputError(
            f"{path} has {matrix.shape[0]} rows and {matrix.shape[1]} columns, but the lists "
            f"beside it name {expected[0]} ligands and {expected[1]} proteins."
        )
    return matrix
