import dataclasses

import numpy as np
import pytest

from moa_jax.data.preparation.embedded_release import (
    embedded_dataset,
    ensure_release,
    simulated_config,
)
from moa_jax.data.simulated import SimulationSettings
from moa_jax.schemas import InputError

TINY = dataclasses.asdict(SimulationSettings.tiny())


def test_the_embedded_dataset_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("moa_jax.data.preparation.embedded_release.SIMULATED_FOLDER", tmp_path)
    tiny = simulated_config()
    tiny.simulation.update(TINY)
    monkeypatch.setattr(
        "moa_jax.data.preparation.embedded_release.simulated_config",
        tiny.copy_and_resolve_references,
    )
    first = embedded_dataset()
    assert first.manifest["release"] == "simulated"
    made = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("-")[0] for name in made] == ["prepared", "release"]
    times = [path.stat().st_ctime_ns for path in sorted(tmp_path.rglob("*"))]
    second = embedded_dataset()
    assert times == [path.stat().st_ctime_ns for path in sorted(tmp_path.rglob("*"))]
    np.testing.assert_array_equal(first.signatures.expression, second.signatures.expression)
    tiny.simulation.seed = 1
    embedded_dataset()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_simulated_release_is_never_written_over_something_else(tmp_path):
    config = simulated_config()
    config.simulation.update(TINY)
    config.raw_dir = str(tmp_path / "raw")
    assert ensure_release(config) == tmp_path / "raw"
    assert ensure_release(config) == tmp_path / "raw"
    config.simulation.seed = 5
    with pytest.raises(InputError, match="raw exists and is not a simulated release with these"):
        ensure_release(config)
    config.raw_dir = str(tmp_path)
    with pytest.raises(
        InputError, match="exists and is not a simulated release with these settings"
    ):
        ensure_release(config)
    config.simulation.num_moas = 0
    with pytest.raises(InputError, match="num_moas is 0; it must be positive"):
        ensure_release(config)
