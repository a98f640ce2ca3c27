"""Files of signatures that cannot be used are refused in one sentence."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.schemas import InputError
from tests.data.user_input.signature_files import SIGINFO, VALUES, read, write_matrix, write_table


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, siginfo, value):
    values = VALUES.copy()
    values[2, 1] = value
    path = write_matrix(tmp_path / "m.gctx", values)
    message = rf"m.gctx has {value} for profile S3 and gene 101, one of 1 values"
    with pytest.raises(InputError, match=message):
        read(path, siginfo)


def test_a_truncated_matrix_is_refused(tmp_path):
    path = write_matrix(tmp_path / "m.gctx")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"m.gctx is a truncated or corrupt GCTX file"):
        read(path)


def test_files_that_are_not_there_are_refused(tmp_path, siginfo):
    with pytest.raises(InputError, match=r"there is no file .*absent.gctx"):
        read(tmp_path / "absent.gctx")
    path = write_matrix(tmp_path / "m.gctx")
    with pytest.raises(InputError, match=r"absent.txt"):
        read(path, tmp_path / "absent.txt")
    with pytest.raises(InputError, match=r"absent.txt"):
        read(path, siginfo, tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            SIGINFO.drop(columns=["pert_id", "cmap_name"]),
            r"siginfo.txt lacks the column pert_id",
        ),
        (SIGINFO.drop(columns="sig_id"), r"siginfo.txt lacks the column sig_id"),
        (SIGINFO.assign(sig_id=["S1", "S2", "S1", "S4"]), r"siginfo.txt repeats the sig_id S1"),
        (
            SIGINFO.assign(sig_id=["T1", "T2", "T3", "T4"]),
            r"siginfo.txt has none of the profiles of .*m.gctx: its sig_id are like T1, T2, "
            r"T3, the ids of the matrix like S1, S2, S3",
        ),
        (SIGINFO.iloc[:0], r"siginfo.txt has no row"),
    ],
)
def test_a_siginfo_that_does_not_fit_is_refused(tmp_path, table, message):
    siginfo = write_table(tmp_path / "siginfo.txt", table)
    with pytest.raises(InputError, match=message):
        read(write_matrix(tmp_path / "m.gctx"), siginfo)


def test_a_compound_table_without_structures_is_refused(tmp_path, siginfo):
    path = write_table(tmp_path / "compounds.txt", pd.DataFrame({"pert_id": ["A"]}))
    with pytest.raises(
        InputError, match=r"compounds.txt has no column of structures: it has pert_id;"
    ):
        read(write_matrix(tmp_path / "m.gctx"), siginfo, path)
