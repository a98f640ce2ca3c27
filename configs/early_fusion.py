"""Early fusion: one network on genes, graph view, fingerprint, atoms and context side by side.

    python -m moa_jax.train --config=configs/early_fusion.py --workdir=runs/early_fusion

Same encoders, settings and experts on one modality as configs/cross_attention.py.
"""

import ml_collections

from configs import cross_attention


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = cross_attention.get_config()
    config.model.joint_fusion = "early"
    return config
