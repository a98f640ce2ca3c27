"""The embedded simulated release: planted mechanisms in the public files' formats.

    python -m moa_jax.prepare --config=configs/data/simulated.py

About ten seconds on one core; the release is generated on first use. `configs/fusion.py` uses it by
default, without this command. A larger or noisier release:
`--config.simulation.repeats=10 --config.simulation.noise_log2=0.9 --config.raw_dir=data/larger`.

The settings are in `moa_jax/data/preparation/embedded_release.py`, because the default must work
wherever the package is installed.
"""

import ml_collections

from moa_jax.data.preparation.embedded_release import simulated_config


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return simulated_config()
