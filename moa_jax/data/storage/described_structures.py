"""What RDKit says about the structures of a prepared folder, so that it is asked once.

`structures.npz` holds the standardised structure, the counts of substructures and the molecular
graph of every structure, which every training would compute anew otherwise. A file by another
version of RDKit is not used.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import rdkit
from jaxtyping import Int, UInt8

from moa_jax.compounds.molecular_graph import (
    MolecularGraph,
    molecular_graph,
    num_atom_features,
    num_bond_features,
    remember_graphs,
)
from moa_jax.compounds.structures import Structure, remember_structures, standardise
from moa_jax.compounds.substructures import (
    SUBSTRUCTURE_FAMILIES,
    remember_counts,
    substructure_counts,
)
from moa_jax.progress import track
from moa_jax.schemas import InputError

DESCRIBED_FILE = "structures.npz"
Described = TypeVar("Described")
# Structures that are described at a time.
_BLOCK = 256


@dataclasses.dataclass(frozen=True)
class _Lazy(Mapping[str, Described]):
    """Descriptions by SMILES, each unpacked when it is asked for.

    Attributes:
      rows: SMILES -> row.
      unpack: row -> description.
    """

    rows: Mapping[str, int]
    unpack: Callable[[int], Described]

    def __getitem__(self, smiles: str) -> Described:
        return self.unpack(self.rows[smiles])

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def write_described(folder: pathlib.Path, smiles: Sequence[str | None]) -> None:
    """Describes the structures that can be standardised, and writes the file."""
    texts = sorted({text for text in smiles if text})
    found = {text: standardise(text) for text in track(texts, "structures")}
    structures = {text: own for text, own in found.items() if isinstance(own, Structure)}
    texts = list(structures)
    arrays = {
        "rdkit": _text_array([rdkit.__version__]),
        "smiles": _text_array(texts),
        **{
            f"structure_{field.name}": _text_array(
                [getattr(own, field.name) for own in structures.values()]
            )
            for field in dataclasses.fields(Structure)
        },
        **_packed_counts(texts),
        **_packed_graphs(texts),
    }
    # `numpy.savez` would write the time of day.
    with zipfile.ZipFile(folder / DESCRIBED_FILE, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with file.open(entry, "w") as to:
                np.lib.format.write_array(to, array, allow_pickle=False)


def remember_described(folder: pathlib.Path) -> None:
    """Reads the file, if there is one by this version of RDKit, so that nothing is computed again.

    Raises:
      InputError: the file is damaged.
    """
    path = folder / DESCRIBED_FILE
    if not path.exists():
        return
    try:
        with np.load(path, allow_pickle=False) as file:
            if _texts(file["rdkit"]) != [rdkit.__version__]:
                return
            arrays = {name: file[name] for name in file.files}
        rows = {text: row for row, text in enumerate(_texts(arrays["smiles"]))}
        fields = [
            _texts(arrays[f"structure_{field.name}"]) for field in dataclasses.fields(Structure)
        ]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); prepare the folder again.") from None
    remember_structures(_Lazy(rows, lambda row: Structure(*(values[row] for values in fields))))
    remember_counts(_Lazy(rows, functools.partial(_counts_of, arrays)))
    remember_graphs(_Lazy(rows, functools.partial(_graph_of, arrays)))


def _packed_counts(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns and values of the counts that are not 0, and where each structure's end."""
    columns, values, ends = [], [], [0]
    for start in range(0, len(texts), _BLOCK):
        for counts in substructure_counts(texts[start : start + _BLOCK]):
            (found,) = np.nonzero(counts)
            columns.append(found.astype(np.uint16))
            values.append(counts[found])
            ends.append(ends[-1] + len(found))
    return {
        "count_columns": _joined(columns, np.uint16),
        "count_values": _joined(values, np.uint8),
        "count_ends": np.array(ends, np.int64),
    }


def _counts_of(arrays: Mapping[str, np.ndarray], row: int) -> UInt8[np.ndarray, " substructure"]:
    """The counts of one structure."""
    own = slice(*arrays["count_ends"][row : row + 2])
    counts = np.zeros(sum(SUBSTRUCTURE_FAMILIES.values()), np.uint8)
    counts[arrays["count_columns"][own]] = arrays["count_values"][own]
    return counts


def _packed_graphs(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Features as bits; of the two directions of a bond, the first."""
    graphs = [molecular_graph(text) for text in texts]
    return {
        "atoms": _joined([_bits(own.atom_features) for own in graphs], np.uint8),
        "atom_ends": _ends([own.num_atoms for own in graphs]),
        "bonds": _joined([_bits(own.bond_features[::2]) for own in graphs], np.uint8),
        "senders": _joined([own.senders[::2].astype(np.uint16) for own in graphs], np.uint16),
        "receivers": _joined([own.receivers[::2].astype(np.uint16) for own in graphs], np.uint16),
        "bond_ends": _ends([own.num_bonds // 2 for own in graphs]),
    }


def _graph_of(arrays: Mapping[str, np.ndarray], row: int) -> MolecularGraph:
    """The graph of one structure."""
    atoms, bonds = (slice(*arrays[name][row : row + 2]) for name in ("atom_ends", "bond_ends"))
    ends = [arrays[name][bonds].astype(np.int32) for name in ("senders", "receivers")]
    both = np.stack([np.stack(ends, axis=1), np.stack(ends[::-1], axis=1)], axis=1).reshape(-1, 2)
    bits = functools.partial(np.unpackbits, axis=1)
    bond_features = bits(arrays["bonds"][bonds], count=num_bond_features).astype(np.float32)
    return MolecularGraph(
        atom_features=bits(arrays["atoms"][atoms], count=num_atom_features).astype(np.float32),
        bond_features=np.repeat(bond_features, 2, axis=0),
        senders=np.ascontiguousarray(both[:, 0]),
        receivers=np.ascontiguousarray(both[:, 1]),
    )


def _bits(features: np.ndarray) -> UInt8[np.ndarray, "row byte"]:
    return np.packbits(features.astype(bool), axis=1)


def _ends(sizes: Sequence[int]) -> Int[np.ndarray, " end"]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _joined(parts: Sequence[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros((0, 1), dtype)


def _text_array(texts: Sequence[str]) -> UInt8[np.ndarray, " byte"]:
    """Texts without line breaks, as bytes: an array of texts would be as wide as the longest."""
    return np.frombuffer("".join(f"{text}\n" for text in texts).encode(), np.uint8)


def _texts(array: UInt8[np.ndarray, " byte"]) -> list[str]:
    return array.tobytes().decode().split("\n")[:-1]
