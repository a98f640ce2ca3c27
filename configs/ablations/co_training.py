r"""Whether signatures without label teach anything once their structures say what they are.

    python -m experiments.ablations.run --config=configs/ablations/co_training.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/co_training

What was found: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm

CO_TRAINING = {"co_training.least": 0.5}


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ablation(
        "Do signatures without label help where their structures say what they are?",
        "configs/fusion.py",
        {
            "without": arm(further_structures=True),
            "co-training": arm(CO_TRAINING, further_structures=True),
            "expression alone, without": arm(further_structures=True, view="expression"),
            "expression alone, co-training": arm(
                CO_TRAINING, further_structures=True, view="expression"
            ),
        },
    )
    config.split.seeds = tuple(range(5))
    return config
