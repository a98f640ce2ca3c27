r"""Whether pretraining without labels helps the networks.

    python -m experiments.ablations.run --config=configs/ablations/pretraining.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/pretraining

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import SMALL_NETWORKS, ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    short = {"pretraining.num_steps": 100}
    return ablation(
        "Does it help to start from pretrained encoders?",
        "configs/pretraining.py",
        {
            "from scratch": arm(model="configs/cross_attention.py"),
            "pretrained": arm(short),
        },
        common=SMALL_NETWORKS,
        num_folds=2,
    )
