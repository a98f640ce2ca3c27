"""The shipped fusion model, made robust to genes of a bead that exchange their values.

    python -m moa_jax.train --config=configs/bead_exchange.py --workdir=runs/bead_exchange

The difference between the two genes of a bead is halved. Gain under exchanged peaks and loss
without: experiments/main_result/README.md.
"""

import ml_collections

from configs import kernels


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = kernels.get_config()
    config.kernels.signature.bead_difference = 0.5
    return config
