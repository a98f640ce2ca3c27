"""Intermediate fusion: the joint expert reads a gated sum of the modalities' states.

    python -m moa_jax.train --config=configs/gated_fusion.py --workdir=runs/gated_fusion

Same encoders, settings and experts on one modality as configs/cross_attention.py.
"""

import ml_collections

from configs import cross_attention


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = cross_attention.get_config()
    config.model.joint_fusion = "gated"
    return config
