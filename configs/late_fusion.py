"""Late fusion: one network on each modality, and no joint network.

    python -m moa_jax.train --config=configs/late_fusion.py --workdir=runs/late_fusion

Their logits are added, each times its scale. Encoders and settings are those of
configs/cross_attention.py.
"""

import ml_collections

from configs import cross_attention


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = cross_attention.get_config()
    config.model.experts = ("signature", "molecule")
    return config
