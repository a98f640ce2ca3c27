"""What every test shares: array types checked at run time, eight virtual devices, real data."""

import fcntl
import importlib.metadata
import os
import pathlib
import shutil
from collections.abc import Callable

# Before numpy is imported anywhere: the tests fill the cores already, one process each.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before jax is imported anywhere: eight virtual CPU devices, and compiled programs kept.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8"
    # Halves the time to compile. A flag that XLA does not know would end the process.
    + " --xla_cpu_use_fusion_emitters=false" * (importlib.metadata.version("jaxlib") == "0.10.2"),
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".jax_cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
# The programs of the tests run for milliseconds and are compiled for seconds.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")

import pytest
from jaxtyping import install_import_hook

ROOT = pathlib.Path(__file__).parents[1]

# Every annotation of the package is checked while the tests run.
install_import_hook("moa_jax", "beartype.beartype")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on real data are slow, whatever they do with it."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def _folder_from(variable: str) -> pathlib.Path:
    value = os.environ.get(variable)
    if not value or not pathlib.Path(value).is_dir():
        pytest.skip(f"{variable} does not name a folder")
    return pathlib.Path(value)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Folder of real public files; the test is skipped where there is none."""
    return _folder_from("MOA_JAX_REAL_DATA")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[pathlib.Path], None]], pathlib.Path]:
    """Has a folder made by the first process of the tests that asks for it; nobody changes it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The processes' own folders lie side by side in this one.
        shared = shared.parent

    def made(name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return made


# What is imported below is imported only now, so that the hook above sees it.
# ruff: noqa: PLC0415
@pytest.fixture(scope="session")
def lincs2020(real_data, made_once) -> pathlib.Path:
    """Folder of LINCS 2020 as `configs/data/lincs2020.py` prepares it: a minute."""
    from moa_jax import command_line, prepare

    def make(folder: pathlib.Path) -> None:
        config = command_line.load_config(str(ROOT / "configs/data/lincs2020.py"))
        config.update({"raw_dir": str(real_data), "out": str(folder)})
        prepare.main(config)

    return made_once("lincs2020", make)


@pytest.fixture(scope="session")
def tiny_folder(made_once) -> pathlib.Path:
    """The tiny simulated release: its files in `raw`, and `prepared`."""
    from moa_jax.data.preparation.pipeline import prepare
    from moa_jax.data.storage.prepared_folder import write_prepared
    from tests import tiny_release

    def make(folder: pathlib.Path) -> None:
        tiny_release.make_release(folder / "raw")
        write_prepared(folder / "prepared", prepare(tiny_release.config_of(folder / "raw")))

    return made_once("tiny_release", make)


@pytest.fixture(scope="session")
def prepared_release(tiny_folder) -> pathlib.Path:
    """Folder of the tiny simulated release, prepared from level 5."""
    return tiny_folder / "prepared"


@pytest.fixture(scope="session")
def tiny_run(made_once) -> pathlib.Path:
    """Folder of a finished run of the fusion model, small enough to be trained in seconds."""
    from tests.synthetic import train_tiny_run

    return made_once("tiny_run", train_tiny_run)


@pytest.fixture(scope="session")
def tiny_prediction(made_once, tiny_run) -> pathlib.Path:
    """What that run predicts, in `out`, for the six signatures of `prediction_files` beside it."""
    from moa_jax import predict
    from tests.predict.files import arguments, write_inputs

    def make(folder: pathlib.Path) -> None:
        folder.mkdir()
        write_inputs(folder)
        assert predict.run(arguments(folder, tiny_run)) == 0

    return made_once("tiny_prediction", make)


@pytest.fixture(scope="session")
def protein_run(prepared_release, made_once) -> pathlib.Path:
    """Folder of a finished run of the shipped closed form, with experts through proteins."""
    from configs import kernels
    from moa_jax.train import train

    def make(folder):
        config = kernels.get_config()
        config.update({"data": str(prepared_release), "num_devices": 1, "baselines": ()})
        train(config, folder)

    return made_once("protein_run", make)


@pytest.fixture(scope="session")
def golden() -> pathlib.Path:
    """Folder of CMap's own test fixtures; the test is skipped where there is none."""
    return _folder_from("MOA_JAX_GOLDEN")
