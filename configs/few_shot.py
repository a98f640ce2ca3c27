r"""Mechanisms with only three or four compounds.

    python -m moa_jax.evaluate --config=configs/few_shot.py \
        --config.data=data/lincs2020 --workdir=runs/few_shot

`tables/compound_seed0/per_moa.csv` has each mechanism with its number of compounds. Results:
experiments/main_result/README.md.
"""

import ml_collections

from configs import main_result
from moa_jax.benchmark.blocks import block


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = main_result.get_config()
    config.min_compounds = 3
    methods = (
        *main_result.FUSION_MODEL,
        "mean",
        "product_of_logistics",
        "morgan_knn",
        "cosine_knn",
    )
    config.blocks = ml_collections.ConfigDict({"main": block(methods)})
    config.blocks.structures = block(
        ("fusion", "mean", "product_of_logistics", "morgan_knn"), structure_only_compounds=True
    )
    return config
