r"""Whether the fusion model beats the plain methods on five splits of the compounds.

    python -m experiments.ablations.run --config=configs/ablations/splits.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/splits

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ablation(
        "Does the fusion model beat the plain methods on other splits of the compounds?",
        "configs/kernels.py",
        {
            "mean of tuned logistics": arm(method="mean"),
            "product of logistics": arm(method="product_of_logistics"),
            "fusion": arm(),
            "fusion, expression alone": arm(view="expression"),
            "mean, structure-only compounds": arm(method="mean", structure_only_compounds=True),
            "fusion, structure-only compounds": arm(structure_only_compounds=True),
        },
    )
    config.split.seeds = tuple(range(5))
    return config
