"""Several processes: the losses of one, one writer, and nobody left waiting when one fails."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from configs import smoke
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.schemas import InputError
from moa_jax.train import train
from moa_jax.training.runs.metric_writer import read_metrics
from moa_jax.training.sharding import join_processes
from tests import small_sets

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]
FINISH_WITHIN_S = 300


def launch(num_processes, *flags):
    # One device per process; the tests themselves have eight in one.
    xla_flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    return subprocess.run(
        ["launch/local.sh", str(num_processes), "configs/smoke.py", *flags],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": " ".join(xla_flags), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=FINISH_WITHIN_S,
        check=False,
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch") / "prepared"
    rows = [
        (f"P{row:02d}", f"G{row:02d}", small_sets.ALCOHOLS[row], (f"moa {row % 3}",))
        for row in range(24)
    ]
    pert_ids = [row[0] for row in rows for _ in range(2)]
    manifest = {"release": "made up for tests"}
    write_prepared(folder, small_sets.dataset(rows, pert_ids, manifest=manifest))
    return folder


@pytest.fixture(scope="module")
def two_processes(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch") / "two"
    return folder, launch(2, f"--config.data={prepared}", f"--workdir={folder}")


def test_two_processes_give_the_losses_of_one(prepared, two_processes, tmp_path):
    folder, process = two_processes
    assert process.returncode == 0, process.stderr
    config = smoke.get_config()
    config.data = str(prepared)
    # As many devices as two processes have together.
    config.num_devices = 2
    results = train(config, tmp_path)
    for run in (".", "selection"):
        one = read_metrics(tmp_path / run / "metrics.jsonl")
        two = read_metrics(folder / run / "metrics.jsonl")
        assert [line["step"] for line in two] == [line["step"] for line in one]
        assert [line["step"] for line in two if "loss" in line][-1] > 0
        for left, right in zip(one, two, strict=True):
            assert left.keys() == right.keys()
            for name in left:
                np.testing.assert_allclose(right[name], left[name], rtol=1e-5, atol=1e-5)
    stored = json.loads((folder / results.file_name("metrics.json")).read_text())
    for method, scores in results.scores().items():
        for name, value in scores.items():
            np.testing.assert_allclose(stored[method][name], value, rtol=1e-4, atol=1e-5)


def test_the_first_process_alone_writes_and_talks(two_processes):
    folder, process = two_processes
    # A second writer would have left a second event file or line.
    assert len(list((folder / "tensorboard").iterdir())) == 1
    steps = [
        (line["step"], "loss" in line) for line in read_metrics(folder / "selection/metrics.jsonl")
    ]
    assert len(steps) == len(set(steps))
    assert process.stdout.count("scored per compound") == 1


def test_a_failure_of_the_first_process_ends_all_of_them(prepared, two_processes):
    folder, _ = two_processes
    process = launch(2, f"--config.data={prepared}", f"--workdir={folder}", "--config.seed=7")
    assert process.returncode == 2
    assert "holds a run with seed=0, not 7; choose another --workdir." in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("arguments", [(), ("two", "configs/smoke.py"), ("0", "x"), ("2",)])
def test_the_launcher_says_how_it_is_used(arguments):
    process = subprocess.run(
        ["launch/local.sh", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert process.stderr.startswith("usage: launch/local.sh NUMBER_OF_PROCESSES CONFIG")


def test_a_launcher_that_does_not_say_who_is_who_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.delenv("JAX_PROCESS_ID", raising=False)
    with pytest.raises(InputError, match=r'JAX_PROCESS_ID is ""; .* it must be a number'):
        join_processes()


def test_auto_outside_a_cluster_is_refused():
    # In a process of its own: processes are joined before anything is computed.
    program = "from moa_jax.training import sharding; sharding.join_processes()"
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "JAX_NUM_PROCESSES": "auto"},
        capture_output=True,
        text=True,
        timeout=FINISH_WITHIN_S,
        check=False,
    )
    assert "InputError: JAX_NUM_PROCESSES is auto, but JAX does not know this" in process.stderr
