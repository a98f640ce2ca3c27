"""A simulated release in which drugs of one mechanism share only a network module.

    python -m moa_jax.prepare --config=configs/data/simulated_network.py

About ten seconds on one core; the release is generated on first use. Each drug has different target
genes in its mechanism's module, and structures are uninformative; see
experiments/network_mechanism/README.md.
"""

import dataclasses

import ml_collections

from moa_jax.data.preparation.embedded_release import simulated_config
from moa_jax.data.simulated import SimulationSettings


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = simulated_config()
    config.out = "data/simulated_network/prepared"
    config.simulation.update(dataclasses.asdict(SimulationSettings.network()))
    return config
