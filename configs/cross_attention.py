"""Networks alone: signature and molecule networks, and a joint network with cross-attention.

    python -m moa_jax.train --config=configs/cross_attention.py --workdir=runs/cross_attention

On LINCS 2020 a fold takes four minutes on two CPU cores and scores well below configs/kernels.py:
experiments/main_result/README.md.
"""

import ml_collections

from configs import kernels
from configs.networks import networks


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = kernels.get_config()
    config.update(networks())
    # The vocabulary of the published scores.
    config.vocabulary = "frequent"
    config.model.experts = ("signature", "molecule", "joint")
    kernels.without_proteins(config)
    return config
