"""The benchmark at a size for tests, which shows only that everything runs.

    python -m moa_jax.evaluate --config=configs/benchmark_smoke.py --workdir=runs/benchmark_smoke

About a minute on two cores; on the embedded simulated release.
"""

import ml_collections

from configs.benchmark import without_blocks
from moa_jax.benchmark.blocks import block


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = without_blocks()
    config.split.num_folds = 2
    config.split.validation_fraction = 0.25
    config.statistics.num_resamples = 200
    blocks = config.blocks
    plain = ("prevalence", "cosine_knn", "morgan_logistic", "product_of_logistics")
    blocks.plain = block(plain, splits=("compound", "scaffold", "cell_line", "random_signature"))
    blocks.network = block(("fusion", "fusion_expression"))
    blocks.seeded = block(("morgan_random_forest",), seeds=range(2))
    blocks.structures = block(
        ("morgan_logistic", "product_of_logistics"), structure_only_compounds=True
    )
    blocks.noise = block(
        ("cosine_knn", "product_of_logistics"),
        test={"gaussian": (1.0, 2.0), "peak_swap": (0.5, 1.0), "structure_shuffled": ()},
    )
    blocks.wrong_labels = block(
        ("cosine_knn", "product_of_logistics"),
        training={"uniform_labels": (0.2, 0.4), "compounds": (0.5,), "without_structure": ()},
    )
    blocks.unseen = block(("cosine_knn", "product_of_logistics"), splits=("unseen_moa",))
    return config
