"""Early fusion: the joint network reads genes, graph, fingerprint, atoms and context concatenated.

    python -m moa_jax.train --config=configs/early_fusion.py --workdir=runs/early_fusion

Encoders, settings and the other experts are those of configs/cross_attention.py.
"""

import ml_collections

from configs import cross_attention


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = cross_attention.get_config()
    config.model.joint_fusion = "early"
    return config
