r"""Whether structure helps, and expression beside it.

    python -m experiments.ablations.run --config=configs/ablations/structure.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/structure

What was found: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return ablation(
        "Does structure help, and does expression beside it?",
        "configs/fusion.py",
        {
            "expression and structure": arm(),
            "expression alone": arm(view="expression"),
            "structure alone": arm(view="structure"),
            "expression alone, further structures": arm(view="expression", further_structures=True),
            "expression and structure, further structures": arm(further_structures=True),
            "structure alone, further structures": arm(view="structure", further_structures=True),
        },
    )
