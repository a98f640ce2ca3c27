r"""The shipped model over mechanisms of five measured compounds or more, as other work is compared.

    python -m moa_jax.train --config=configs/frequent.py --config.data=data/lincs2020 \
        --workdir=runs/frequent

On LINCS 2020 53 mechanisms of 414 compounds. A compound of any other mechanism has no right answer
among them; configs/fusion.py answers all that are known.
"""

import ml_collections

from configs import fusion


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = fusion.get_config()
    config.vocabulary = "frequent"
    return config
