r"""Whether second tasks help the joint expert, or vectors of MoAs made of names and targets.

    python -m experiments.ablations.run --config=configs/ablations/further_tasks.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/further_tasks

What was found: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import SMALL_NETWORKS, ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return ablation(
        "Do second tasks or prototypes help the joint expert?",
        "configs/gated_fusion.py",
        {
            "mechanisms alone": arm(),
            "known targets, too": arm({"training.loss.target_weight": 0.2}),
            "viability, too": arm({"training.loss.viability_weight": 0.5}),
            "keys of the structure, too": arm({"training.loss.structure_keys_weight": 1.0}),
            "answers by prototypes": arm({"model.moa_head": "prototypes"}),
        },
        common=SMALL_NETWORKS,
        num_folds=2,
    )
