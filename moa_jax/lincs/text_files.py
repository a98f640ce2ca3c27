"""Text files of the field: plain or gzipped, in any of the encodings that programs write."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from io import BufferedIOBase, TextIOWrapper

from moa_jax.schemas import InputError

_GZIP_MAGIC = b"\x1f\x8b"

# What a file starts with -> its encoding, which takes the mark away.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Bytes that tell UTF-16 without a mark: every other one is zero.
_PROBED_BYTES = 64
# Name of the error handler that reads as latin-1 what is no UTF-8.
_OR_LATIN_1 = "moa_jax.latin_1"


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_OR_LATIN_1, _as_latin_1)


def is_gzipped(path: str | os.PathLike[str]) -> bool:
    """Whether an existing file is gzipped, whatever it is called."""
    with open(path, "rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


@contextlib.contextmanager
def open_bytes(path: str | os.PathLike[str]) -> Iterator[BufferedIOBase]:
    """Opens a file for reading, unpacking gzip whatever the file is called.

    Raises:
      InputError: the file is missing, unreadable, or a broken gzip file.
    """
    try:
        with open(path, "rb") as file:
            is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            if is_gzip:
                with gzip.open(file) as unpacked:
                    yield unpacked
            else:
                yield file
    except FileNotFoundError:
        raise InputError(f"there is no file {path}.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a broken gzip file ({error}).") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from None


@contextlib.contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[TextIOWrapper]:
    """Opens a text file, plain or gzipped; any line end is read as a line feed.

    A byte-order mark tells the encoding and is taken away; without one it is UTF-8, UTF-16 where
    every other byte is zero, and latin-1 for what is no UTF-8 (older releases write the micro
    sign so).

    Raises:
      InputError: the file is missing, unreadable, a broken gzip file, or no text of its encoding.
    """
    with open_bytes(path) as file:
        start = file.read(_PROBED_BYTES)
        file.seek(0)
        encoding = _encoding_of(start)
        errors = _OR_LATIN_1 if encoding.startswith("utf-8") else "strict"
        text = TextIOWrapper(file, encoding=encoding, errors=errors, newline=None)
        try:
            yield text
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no whole {encoding} text ({error.reason}).") from None
        finally:
            # Else the file would be closed twice.
            text.detach()


def _encoding_of(start: bytes) -> str:
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    if len(start) >= 4 and not any(start[1::2]):
        return "utf-16-le"
    if len(start) >= 4 and not any(start[0::2]):
        return "utf-16-be"
    return "utf-8"


def decode(line: bytes) -> str:
    """Text of one line; latin-1, which older releases use for the micro sign, if not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def unquote(text: str) -> str:
    """A cell without the quotes around it."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text
