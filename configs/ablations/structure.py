r"""Whether structure helps, and whether expression helps in addition.

    python -m experiments.ablations.run --config=configs/ablations/structure.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/structure

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return ablation(
        "Does structure help, and does expression help in addition?",
        "configs/kernels.py",
        {
            "expression and structure": arm(),
            "expression alone": arm(view="expression"),
            "structure alone": arm(view="structure"),
            "expression alone, structure-only compounds": arm(
                view="expression", structure_only_compounds=True
            ),
            "expression and structure, structure-only compounds": arm(
                structure_only_compounds=True
            ),
            "structure alone, structure-only compounds": arm(
                view="structure", structure_only_compounds=True
            ),
        },
    )
