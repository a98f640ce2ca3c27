"""Opening and decoding of user files, for every reader of the project.

Gzip is recognised by the first bytes, not by the name. Byte-order marks are removed; text without
one is UTF-16 if every other byte is zero, else UTF-8, with bytes that are not valid UTF-8 read as
Latin-1 (older releases and the Repurposing Hub). All line ends become line feeds.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from io import BufferedIOBase, TextIOWrapper

from moa_jax.schemas import InputError

Path = str | os.PathLike[str]

_GZIP_MAGIC = b"\x1f\x8b"
# First bytes of files that are not text: zip archives (including Excel's .xlsx) and .xls.
_NO_TEXT = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "Excel's .xls",
}

# Byte-order mark -> encoding that removes it.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Number of first bytes by which the encoding is recognised.
_PROBED_BYTES = 64
# Name of the error handler that reads invalid UTF-8 as latin-1.
_OR_LATIN_1 = "moa_jax.latin_1"


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_OR_LATIN_1, _as_latin_1)


def is_gzipped(path: Path) -> bool:
    """Whether an existing file is gzipped, whatever its name."""
    with open(path, "rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[BufferedIOBase]:
    """Opens a file for reading, unpacking gzip whatever its name.

    Raises:
      InputError: the file is missing, unreadable or a broken gzip file; this may be raised only
        when the body of the `with` statement reads.
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
        raise InputError(
            f"{path} is truncated or damaged: its gzip stream cannot be read to the end ({error})."
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from None


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextIOWrapper]:
    """Opens a text file, plain or gzipped, decoded and without byte-order mark.

    Raises:
      InputError: as for `open_bytes`, or the file is a workbook or an archive, or is not valid in
        the encoding of its byte-order mark.
    """
    with open_bytes(path) as file:
        start = file.read(_PROBED_BYTES)
        file.seek(0)
        for magic, kind in _NO_TEXT.items():
            if start.startswith(magic):
                raise InputError(f"{path} is {kind}; save the table as text, CSV or TSV.")
        encoding = _encoding_of(start)
        errors = _OR_LATIN_1 if encoding.startswith("utf-8") else "strict"
        text = TextIOWrapper(file, encoding=encoding, errors=errors, newline=None)
        try:
            yield text
        except UnicodeDecodeError as error:
            name = encoding.removesuffix("-le").removesuffix("-be").upper()
            raise InputError(
                f"{path} is damaged: it starts as {name} but is not valid {name} ({error.reason})."
            ) from None
        finally:
            # Otherwise the file would be closed twice.
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
    """Decodes UTF-8, else latin-1, which older releases use for the micro sign."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def unquote(text: str) -> str:
    """A cell without the quotes around it."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text
