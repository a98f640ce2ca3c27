"""Scores predictions that other programs made for published splits."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.baselines.prevalence import fit_prevalence
from moa_jax.benchmark.collect import Line, SplitResults, pooled_fold
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.splits.leaks import check_no_leaks
from moa_jax.data.splits.manifest import check_split_fits, read_split, split_rows
from moa_jax.data.splits.partition import partition_examples, train_and_validation
from moa_jax.predictions.result_tables import read_csv
from moa_jax.schemas import Examples, InputError, Split

# Possible key columns of a file of predictions; the first one that is present is used.
KEY_COLUMNS = ("sig_id", "pert_id", "compound_group")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A file of predictions.

    Attributes:
      path: the file.
      key: its key column, one of `KEY_COLUMNS`.
      probs: one row per key, one column per MoA of the vocabulary.
    """

    path: pathlib.Path
    key: str
    probs: pd.DataFrame

    def of(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """The file's probabilities for each example.

        Raises:
          InputError: an example has no row.
        """
        keys = examples.groups if self.key == "compound_group" else examples.table[self.key]
        missing = sorted({str(key) for key in keys} - set(self.probs.index))
        if missing:
            raise InputError(
                f"{self.path} has no row for {len(missing)} values of {self.key} in the test "
                f"part, such as {missing[0]}."
            )
        return self.probs.loc[list(keys)].to_numpy(dtype=float)


def read_predictions(path: pathlib.Path, moas: Sequence[str]) -> Predictions:
    """Reads a CSV file with a column of `KEY_COLUMNS` and one column of probabilities per MoA.

    Raises:
      InputError: the file cannot be read, lacks a column, repeats a key, or has a value that is
        not a probability.
    """
    table = read_csv(path, KEY_COLUMNS)
    key = next((column for column in KEY_COLUMNS if column in table.columns), None)
    if key is None:
        raise InputError(
            f"{path} has no column {', '.join(KEY_COLUMNS[:-1])} or {KEY_COLUMNS[-1]}."
        )
    missing = [moa for moa in moas if moa not in table.columns]
    if missing:
        raise InputError(
            f"{path} lacks the columns of {len(missing)} of {len(moas)} MoAs, such as "
            f"{missing[0]!r}."
        )
    for name in table[key][table[key].isna() | table[key].duplicated()]:
        raise InputError(f"{path} has an empty or repeated {key}: {name}.")
    probs = table[list(moas)].apply(pd.to_numeric, errors="coerce").set_axis(table[key])
    wrong = np.argwhere(~((probs >= 0) & (probs <= 1)).to_numpy())
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"{path}: the row {probs.index[row]} has {table[moas[column]].iloc[row]} for "
            f"{moas[column]!r}, expected a probability from 0 to 1."
        )
    return Predictions(path, key, probs)


def read_manifests(path: pathlib.Path, examples: Examples) -> tuple[Split, ...]:
    """Reads one manifest, or all manifests of a folder, and checks them against the data.

    Raises:
      InputError: there is no manifest, one does not fit the data or leaks, or an example is in two
        test parts.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"the folder {path} has no split manifest (*.json).")
    splits = tuple(map(read_split, files))
    times_tested = np.zeros(examples.num_examples, int)
    for split in splits:
        check_split_fits(split, examples)
        check_no_leaks(split, examples)
        times_tested[split_rows(split, examples)["test"]] += 1
    if (times_tested > 1).any():
        twice = examples.table["sig_id"].iloc[int(times_tested.argmax())]
        raise InputError(f"the signature {twice} is in the test part of two manifests of {path}.")
    return splits


def external_results(
    predictions: Predictions, splits: Sequence[Split], examples: Examples
) -> SplitResults:
    """The predictions, and the prevalence in each training part as a baseline."""
    trained, folds = [], {Line(predictions.path.stem): [], Line("prevalence"): []}
    rows_of_test = [split_rows(split, examples)["test"] for split in splits]
    tested_rows = np.sort(np.concatenate(rows_of_test))
    groups = sorted({examples.groups[row] for row in tested_rows})
    place = {group: row for row, group in enumerate(groups)}
    _, labels, _ = pool_by_compound(
        examples.labels[tested_rows],
        examples.labels[tested_rows],
        [examples.groups[row] for row in tested_rows],
    )
    for split, test_rows in zip(splits, rows_of_test, strict=True):
        parts = partition_examples(split, examples)
        test, learned = parts["test"], train_and_validation(parts)
        trained.append(learned.labels.any(axis=0))
        answers = (predictions.of(test), fit_prevalence(learned).predict(test))
        for line_folds, probs in zip(folds.values(), answers, strict=True):
            line_folds.append(pooled_fold(examples, test_rows, probs, place))
    return SplitResults(
        name=f"{splits[0].rule}_seed{splits[0].seed}",
        keys=(),
        tested=examples,
        compounds=tuple(groups),
        labels=labels,
        trained_moas=tuple(trained),
        lines={line: {0: tuple(line_folds)} for line, line_folds in folds.items()},
    )
