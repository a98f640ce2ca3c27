"""Late fusion: a network on each modality, and nothing that reads both.

    python -m moa_jax.train --config=configs/late_fusion.py --workdir=runs/late_fusion

Their logits are added, each times its scale. Same encoders and settings as
configs/cross_attention.py.
"""

import ml_collections

from configs import fusion
from configs.networks import networks


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = fusion.get_config()
    config.update(networks())
    config.vocabulary = "frequent"
    config.model.experts = ("signature", "molecule")
    return config
