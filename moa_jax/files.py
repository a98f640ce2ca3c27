"""Atomic writes of files and folders, and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from moa_jax.schemas import InputError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; renames it to `path` on success.

    The temporary path does not exist yet: the body creates a file or a folder there. On any
    error it is removed and `path` stays unchanged. An existing folder at `path` is replaced.

    Raises:
      InputError: the disk is full or `path` cannot be written.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
    temporary = holder / path.name
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            _replace_folder(temporary, path, holder / f"{path.name}.old")
        else:
            os.replace(temporary, path)
    except InputError as error:
        # Messages about files inside a folder contain its temporary path, unknown to users.
        raise InputError(str(error).replace(str(temporary), str(path))) from error
    except OSError as error:
        if error.errno is None:
            raise
        raise InputError(
            f"cannot write {path}: {error.strerror}; nothing was left half written."
        ) from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _replace_folder(new: pathlib.Path, folder: pathlib.Path, aside: pathlib.Path) -> None:
    """Replaces a folder, or restores it if that fails."""
    os.rename(folder, aside)
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(aside, folder)
        raise


def check_output_folder(
    folder: pathlib.Path, names: Collection[str], kind: str, *, overwrite: bool
) -> None:
    """Refuses an output folder whose contents would be lost.

    Args:
      folder: the output folder.
      names: names of the files and folders in an output folder of this kind.
      kind: what is written, such as "prediction".
      overwrite: whether an earlier output of the same kind may be replaced.

    Raises:
      InputError: the folder is a file, holds other files, or holds an earlier output and
        `overwrite` is false.
    """
    if folder.is_dir():
        found = {path.name for path in folder.iterdir()}
        others = sorted(found - set(names))
        if others:
            raise InputError(
                f"{folder} contains {others[0]}, which does not belong to the {kind}; choose "
                "another --out."
            )
        if found and not overwrite:
            raise InputError(
                f"{folder} contains an earlier {kind}; choose another --out, or give --overwrite "
                "to replace it."
            )
    elif folder.exists():
        raise InputError(f"{folder} is a file; --out must name a folder.")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(paths: Sequence[pathlib.Path]) -> str:
    """One hexadecimal SHA-256 for the names and contents of some files, whatever their order."""
    sha256 = hashlib.sha256()
    for path in sorted(paths):
        sha256.update(f"{path.name} {sha256_of(path)}\n".encode())
    return sha256.hexdigest()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` atomically as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file.

    Raises:
      InputError: there is no such file, or it is not JSON.
    """
    try:
        return json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f"there is no file {path}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a JSON file: {error}.") from None
