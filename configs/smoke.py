"""All experts of the fusion model at a size for tests, which shows only that everything runs.

    python -m moa_jax.train --config=configs/smoke.py --workdir=runs/smoke

A minute on one core, most of it compilation; on the embedded simulated release.
"""

import ml_collections

from configs import kernels
from configs.network_kernel import network_kernel
from configs.networks import networks


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = kernels.get_config()
    config.update(networks())
    config.update(network_kernel())
    config.model.update(
        {
            "experts": (
                "signature",
                "molecule",
                "joint",
                "signature_kernel",
                "network_kernel",
                "structure_kernel",
                "signature_proteins",
                "structure_proteins",
            ),
            "features": 8,
            "hidden": 16,
            "num_heads": 2,
            "knowledge_features": 8,
            "knowledge_layers": 1,
            "atom_features": 8,
            "molecule_layers": 1,
        }
    )
    config.training.update({"batch_size": 32, "num_steps": 8, "eval_every": 4, "log_every": 2})
    return config
