"""HDF5 files, plain or gzipped (as on GEO), with HDF5's errors as one sentence."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from io import BufferedRandom

import h5py

from moa_jax.schemas import InputError
from moa_jax.text.files import is_gzipped, open_bytes

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


class Hdf5Source:
    """An HDF5 file, unpacked to a temporary file if it is gzipped.

    The temporary file has no name, so it disappears with this object or the process.

    Attributes:
      path: the original file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Unpacks a gzipped file.

        Raises:
          InputError: the file is missing or a broken gzip file, or the disk is full.
        """
        self.path = path
        self._unpacked: BufferedRandom | None = None
        if not os.path.isfile(path):
            raise InputError(f"there is no file {path}.")
        if is_gzipped(path):
            self._unpacked = _unpack(path)

    @contextlib.contextmanager
    def open(self, kind: str, check: Callable[[h5py.File], None]) -> Iterator[h5py.File]:
        """Opens the file and checks its layout; HDF5's own errors become InputError."""
        if self._unpacked is not None:
            self._unpacked.seek(0)
        try:
            with h5py.File(self._unpacked or self.path, "r") as file:
                check(file)
                yield file
        except InputError:
            raise
        # h5py raises any of these for a broken file.
        except (OSError, RuntimeError, KeyError, ValueError, IndexError) as error:
            raise InputError(f"{self.path} is a truncated or corrupt {kind} file ({error}).") from (
                None
            )

    def contains(self, *names: str) -> bool:
        """Whether all of these are in the file; false if HDF5 cannot read it."""
        if self._unpacked is not None:
            self._unpacked.seek(0)
        try:
            with h5py.File(self._unpacked or self.path, "r") as file:
                return all(name in file for name in names)
        except (OSError, RuntimeError):
            return False


def _unpack(path: str | os.PathLike[str]) -> BufferedRandom:
    with open_bytes(path) as packed:
        try:
            # It outlives this function.
            unpacked = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise InputError(f"cannot unpack {path}: {error.strerror or error}.") from None
        try:
            while block := packed.read(2**20):
                try:
                    unpacked.write(block)
                except OSError as error:
                    raise InputError(
                        f"cannot unpack {path} into the folder for temporary files: "
                        f"{error.strerror or error}."
                    ) from None
            unpacked.flush()
        except BaseException:
            unpacked.close()
            raise
    return unpacked
