r"""Which fusion of networks is best: cross-attention, gated, early or late.

    python -m experiments.ablations.run --config=configs/ablations/fusion_kind.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/fusion_kind

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import SMALL_NETWORKS, ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    with_joint = {"model.experts": ("signature", "molecule", "joint")}
    return ablation(
        "Does fusion by cross-attention beat late fusion?",
        "configs/late_fusion.py",
        {
            "late": arm(),
            **{
                kind: arm(with_joint | {"model.joint_fusion": kind})
                for kind in ("cross_attention", "gated", "early")
            },
        },
        common=SMALL_NETWORKS,
        num_folds=2,
    )
