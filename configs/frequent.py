r"""The shipped model on mechanisms of five measured compounds or more, to compare with other work.

    python -m moa_jax.train --config=configs/frequent.py --config.data=data/lincs2020 \
        --workdir=runs/frequent

These are 53 mechanisms of 414 compounds on LINCS 2020. A compound with another mechanism has no
right answer among them; configs/fusion.py predicts all known mechanisms.
"""

import ml_collections

from configs import fusion


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = fusion.get_config()
    config.vocabulary = "frequent"
    config.baselines = (
        "prevalence",
        "cosine_knn",
        "expression_logistic",
        "morgan_logistic",
        "product_of_logistics",
    )
    return config
