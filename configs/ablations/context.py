r"""Whether cell line, dose and time help the networks.

    python -m experiments.ablations.run --config=configs/ablations/context.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/context

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import SMALL_NETWORKS, ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return ablation(
        "Does the context help the joint expert?",
        "configs/gated_fusion.py",
        {
            "with context": arm(),
            "without": arm({"model.use_context": False}),
        },
        common=SMALL_NETWORKS,
        num_folds=2,
    )
