"""The metadata of four signatures as a file."""

import pytest

from tests.data.user_input.signature_files import SIGINFO, write_table


@pytest.fixture
def siginfo(tmp_path):
    return write_table(tmp_path / "siginfo.txt", SIGINFO)
