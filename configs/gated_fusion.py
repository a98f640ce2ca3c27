"""Intermediate fusion: the joint expert reads a gated sum of the modalities' states.

    python -m moa_jax.train --config=configs/gated_fusion.py --workdir=runs/gated_fusion

Same encoders, settings and experts on one modality as configs/cross_attention.py.
"""

import ml_collections

from configs import fusion
from configs.networks import networks


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = fusion.get_config()
    config.update(networks())
    config.vocabulary = "frequent"
    config.model.experts = ("signature", "molecule", "joint")
    config.model.joint_fusion = "gated"
    return config
