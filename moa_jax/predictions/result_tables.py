"""Results as Markdown, `metrics.json` and two CSV files.

Every CSV file that may be opened in a spreadsheet is written by `write_csv`, which prevents text
from being run as a formula, and read back by `read_csv`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import per_moa_table, score
from moa_jax.files import atomic_path, write_json
from moa_jax.schemas import Examples, InputError

# Tables with fewer columns of floats are written fast enough by pandas.
_MANY_COLUMNS = 20
# Nine significant digits give back every float32 exactly.
_EXACT_DIGITS = 9

# A formula begins with one of four signs or their full-width forms (U+FF1D and so on), at the start
# of a cell. Spreadsheets with another separator also start a cell after it, a tab or a line break
# inside the text, whose quotes they ignore.
_BEGINS = r"(?<![^;\t\r\n])"
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?(?:[;\t\r\n]|\Z)"
_FORMULA = rf"(?!{_NUMBER})[^\S\t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
_UNSAFE = re.compile(rf"\A(?='*[\t\r\n])|{_BEGINS}(?='*{_FORMULA})")
_MADE_SAFE = re.compile(rf"\A'(?='*[\t\r\n])|{_BEGINS}'(?='*{_FORMULA})")


def file_name(name: str, release: str) -> str:
    """`name`, with a prefix if the release is simulated."""
    return f"simulated_{name}" if "simulated" in release.lower() else name


@dataclasses.dataclass(frozen=True)
class Results:
    """Pooled predictions of several methods for the same compounds.

    Attributes:
      probs: method -> pooled probabilities, one row per compound.
      labels: 1 where the compound has the MoA, else 0.
      compounds: compound group of each row.
      moas: MoA of each column.
      release: name of the release, which heads every table.
    """

    probs: Mapping[str, Float[np.ndarray, "compound moa"]]
    labels: Float[np.ndarray, "compound moa"]
    compounds: tuple[str, ...]
    moas: tuple[str, ...]
    release: str

    def file_name(self, name: str) -> str:
        """`name`, with a prefix if the release is simulated."""
        return file_name(name, self.release)

    def scores(self) -> dict[str, dict[str, float | int]]:
        """Headline metrics of each method, in the order of `probs`."""
        return {method: score(probs, self.labels) for method, probs in self.probs.items()}


def pool_results(
    probs: Mapping[str, Float[np.ndarray, "example moa"]], examples: Examples, release: str
) -> Results:
    """Pools each method's predictions for the same examples of a release by compound group."""
    pooled = {
        method: pool_by_compound(values, examples.labels, examples.groups)
        for method, values in probs.items()
    }
    _, labels, compounds = next(iter(pooled.values()))
    return Results(
        probs={method: values for method, (values, _, _) in pooled.items()},
        labels=labels,
        compounds=compounds,
        moas=examples.moas,
        release=release,
    )


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table, aligned for the terminal, that ends without a line break.

    Args:
      rows: one mapping per row; the columns are their keys in order of appearance. Floats have
        three decimals, a missing key is an empty cell and NaN is `n/a`.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numeric = {
        column: all(isinstance(row.get(column), int | float | None) for row in rows)
        for column in columns
    }
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(3, *(len(line[place]) for line in cells)) for place in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        padded = [
            value.rjust(width) if numeric[column] else value.ljust(width)
            for value, width, column in zip(values, widths, columns, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ":" if numeric[column] else "-" * width
        for width, column in zip(widths, columns, strict=True)
    ]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])]) if columns else ""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "n/a" if math.isnan(value) else f"{value:.3f}"
    return str(value).replace("|", "\\|")


def write_results(folder: str | os.PathLike[str], results: Results) -> None:
    """Writes the results of an evaluation into `folder`; equal results give equal bytes.

    Names of files about a simulated release begin with `simulated_`.

    - `metrics.json`: method -> headline metrics; null if a metric is not defined.
    - `per_moa.csv`: one row per method and MoA.
    - `compound_predictions.csv`: one row per method and compound: its MoAs (separated by `|`)
      and one column of probability per MoA.

    Raises:
      InputError: the disk is full or the folder cannot be written.
    """
    folder = pathlib.Path(folder)
    metrics = {
        method: {name: json_number(value) for name, value in values.items()}
        for method, values in results.scores().items()
    }
    per_moa, predictions = [], []
    for method, probs in results.probs.items():
        table = per_moa_table(probs, results.labels, results.moas)
        table.insert(0, "method", method)
        per_moa.append(table)
        table = prediction_table(probs, results.labels, results.compounds, results.moas)
        table.insert(0, "method", method)
        predictions.append(table)
    write_csv(folder / results.file_name("per_moa.csv"), pd.concat(per_moa, ignore_index=True))
    write_csv(
        folder / results.file_name("compound_predictions.csv"),
        pd.concat(predictions, ignore_index=True),
    )
    write_json(folder / results.file_name("metrics.json"), metrics)


def prediction_table(
    probs: Float[np.ndarray, "compound moa"],
    labels: Float[np.ndarray, "compound moa"],
    compounds: Sequence[str],
    moas: Sequence[str],
) -> pd.DataFrame:
    """Predictions of a method as written to a file.

    Returns:
      One row per compound: `compound_group`, `moas` (its own, separated by `|`) and one column of
      probability per MoA.
    """
    table = pd.DataFrame(probs, columns=list(moas))
    table.insert(0, "compound_group", list(compounds))
    own = ["|".join(np.asarray(moas, dtype=object)[row > 0]) for row in labels]
    table.insert(1, "moas", own)
    return table


def json_number(value: float | int) -> float | int | None:
    """A number for JSON: null in place of NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def write_csv(path: pathlib.Path, table: pd.DataFrame, *, digits: int = _EXACT_DIGITS) -> None:
    """Writes a table, whole or not at all; equal tables give equal bytes.

    Text that a spreadsheet would run as a formula (beginning with `=`, `+`, `-`, `@` or a tab) gets
    an apostrophe in front, in cells and column names (CWE-1236). Numbers do not change, even as
    text, such as -666 for a missing value in LINCS. `read_csv` removes the apostrophes.

    Args:
      path: the file.
      table: the table.
      digits: significant digits of numbers; by default enough for every float32.

    Raises:
      InputError: the disk is full or the folder cannot be written.
    """
    safe = _with_text(table, lambda text: _UNSAFE.sub("'", text))
    with atomic_path(path) as temporary:
        _write_lines(temporary, safe, f"%.{digits}g")


def _write_lines(path: pathlib.Path, table: pd.DataFrame, float_format: str) -> None:
    """Writes what `DataFrame.to_csv` would, but many float columns ten times faster.

    The float columns at the end of a table are formatted a row at a time.
    """
    is_float = [pd.api.types.is_float_dtype(dtype) for dtype in table.dtypes]
    num_first = len(is_float) - sum(1 for _ in itertools.takewhile(bool, reversed(is_float)))
    first = table.iloc[:, :num_first]
    values = table.iloc[:, num_first:].to_numpy(np.float64)
    if num_first == 0 or values.shape[1] < _MANY_COLUMNS:
        table.to_csv(path, index=False, float_format=float_format, lineterminator="\n")
        return
    text = first.to_csv(index=False, float_format=float_format, lineterminator="\n")
    template = f",{float_format}" * values.shape[1] + "\n"
    known = ~np.isnan(values)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.reader(io.StringIO(text, newline=""))
        file.write(_line([*next(rows), *table.columns[num_first:]]) + "\n")
        for row, numbers, own, whole in zip(rows, values, known, known.all(axis=1), strict=True):
            file.write(_line(row))
            if whole:
                file.write(template % tuple(numbers.tolist()))
            else:
                cells = zip(numbers.tolist(), own, strict=True)
                texts = [float_format % number if is_known else "" for number, is_known in cells]
                file.write("," + ",".join(texts) + "\n")


def _line(cells: Sequence[str]) -> str:
    """One line of a CSV file, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()[:-1]


def read_csv(
    path: pathlib.Path, text_columns: Sequence[str], *, keep_default_na: bool = True
) -> pd.DataFrame:
    """Reads a CSV table, by `write_csv` or from elsewhere.

    Args:
      path: the file.
      text_columns: columns to read as text even if they look like numbers.
      keep_default_na: whether empty text, `NA` and the like are missing values.

    Raises:
      InputError: there is no such file, it is not a CSV table, or it has a column twice.
    """
    try:
        table = pd.read_csv(
            path, dtype=dict.fromkeys(text_columns, str), keep_default_na=keep_default_na
        )
    except FileNotFoundError:
        raise InputError(f"there is no file {path}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a CSV table: {error}.") from error
    table = _with_text(table, lambda text: _MADE_SAFE.sub("", text))
    for name in table.columns[table.columns.duplicated()]:
        raise InputError(f"{path} has the column {name!r} twice; expected each name once.")
    return table


def _with_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """The table with its text changed, in cells and in names of columns."""

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    new = table.set_axis([changed(name) for name in table.columns], axis=1)
    for place, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            cells = [changed(cell) for cell in table.iloc[:, place]]
            new.isetitem(place, pd.Series(cells, index=table.index, dtype=object))
    return new


def results_markdown(results: Results) -> str:
    """The table of headline metrics under a line that names the release."""
    rows = [{"method": method, **scores} for method, scores in results.scores().items()]
    count = f"{len(results.compounds)} compounds, {len(results.moas)} MoAs"
    return f"{results.release}: {count}, scored per compound\n\n{markdown_table(rows)}"
