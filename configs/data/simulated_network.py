"""A simulated release whose mechanisms run through the network: drugs of one share a module alone.

    python -m moa_jax.prepare --config=configs/data/simulated_network.py

About ten seconds on one core; the release is made on first use. Each drug hits genes of its own in
its mechanism's module, and its structure says nothing: experiments/network_mechanism/README.md.
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
