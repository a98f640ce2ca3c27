"""What every test shares: array types checked at run time, eight virtual devices, real data."""

import importlib.metadata
import os
import pathlib

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
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parent.parent / ".jax_cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
# The programs of the tests run for milliseconds and are compiled for seconds.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")

import pytest
from jaxtyping import install_import_hook

# Every annotation of the package is checked while the tests run.
install_import_hook("moa_jax", "beartype.beartype")


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
def tiny_run(tmp_path_factory) -> pathlib.Path:
    """Folder of a finished run of the fusion model, small enough to be trained in seconds."""
    # Only now, so that the hook above sees its imports.
    from tests.synthetic import train_tiny_run  # noqa: PLC0415 (as the line above says)

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train_tiny_run(folder)
    return folder


@pytest.fixture(scope="session")
def golden() -> pathlib.Path:
    """Folder of CMap's own test fixtures; the test is skipped where there is none."""
    return _folder_from("MOA_JAX_GOLDEN")
