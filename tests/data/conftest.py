"""The tiny release and what is prepared from it, for the tests of preparation."""

import pytest

from moa_jax.data.preparation.pipeline import prepare
from tests import tiny_release


@pytest.fixture(scope="session")
def release(tiny_folder):
    """Folder of its files, which nobody may spoil."""
    return tiny_folder / "raw"


@pytest.fixture
def raw(release, tmp_path):
    """A copy of the release that a test may spoil."""
    return tiny_release.copy_release(release, tmp_path / "raw")


@pytest.fixture(scope="session")
def level5(release):
    return prepare(tiny_release.config_of(release))
