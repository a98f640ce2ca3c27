"""What the tests of `predict` share."""

import pytest

from moa_jax.training.runs.run_folder import open_run
from tests.predict.files import predicted, write_inputs


@pytest.fixture
def inputs(tmp_path):
    """Folder with the files that are asked about."""
    write_inputs(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def reference(tiny_prediction):
    """Tables for the whole input, and the folder they came from."""
    return tiny_prediction, *predicted(tiny_prediction / "out")


@pytest.fixture(scope="module")
def model(tiny_run):
    """The model that is asked."""
    return open_run(tiny_run).predictor
