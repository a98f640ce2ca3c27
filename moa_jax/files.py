"""Files written whole or not at all, and their fingerprints."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Collection, Iterator
from typing import Any

from moa_jax.schemas import InputError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; renames it to `path` on success.

    The temporary path does not exist yet: the body makes a file or a folder there. On any
    error it is removed and `path` is left as it was. An existing folder at `path` is replaced.

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
        # What is written inside a folder names its temporary place, which means nothing to users.
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
    """Puts a folder in another one's place, or leaves that where it was."""
    os.rename(folder, aside)
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(aside, folder)
        raise


def check_output_folder(
    folder: pathlib.Path, names: Collection[str], kind: str, *, overwrite: bool
) -> None:
    """Refuses a place where writing a folder anew would delete what was put there.

    Args:
      folder: where a folder shall be written.
      names: what lies in such a folder.
      kind: what is written there, such as "prediction".
      overwrite: whether an earlier one of the kind may be replaced.

    Raises:
      InputError: the folder holds something else, is a file, or holds an earlier one of the kind
        that may not be replaced.
    """
    if folder.is_dir():
        found = {path.name for path in folder.iterdir()}
        others = sorted(found - set(names))
        if others:
            raise InputError(f"{folder} holds {others[0]}, which is no {kind}; name another --out.")
        if found and not overwrite:
            raise InputError(
                f"{folder} holds an earlier {kind}; name another --out, or give --overwrite to "
                "replace it."
            )
    elif folder.exists():
        raise InputError(f"{folder} is a file; --out must name a folder.")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON with sorted keys, whole or not at all."""
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
