"""Early fusion: one network on genes, graph view, fingerprint, atoms and context side by side.

    python -m moa_jax.train --config=configs/early_fusion.py --workdir=runs/early_fusion

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
    config.model.joint_fusion = "early"
    return config
