r"""Transfer between releases: trained on LINCS 2020, tested on consensus signatures of both phases.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py
    python -m moa_jax.prepare --config=configs/data/phase1_consensus.py
    python -m moa_jax.prepare --config=configs/data/phase2_consensus.py
    python -m moa_jax.evaluate --config=configs/phase.py --workdir=runs/phase

Compounds that both releases share are left out of the training. Figures and times:
experiments/benchmark/README.md.
"""

import ml_collections

from configs.benchmark import without_blocks
from moa_jax.benchmark.blocks import block

METHODS = (
    "prevalence",
    "cosine_knn",
    "lda_similarity",
    "expression_logistic",
    "expression_rbf_svm",
    "expression_random_forest",
    "morgan_logistic",
    "morgan_knn",
    "product_of_logistics",
    "stacked",
    "fusion",
    "fusion_expression",
    "fusion_structure",
)


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = without_blocks()
    # Prepared folder of the release that is trained on.
    config.data = "data/lincs2020"
    # Networks use all cores by themselves.
    config.num_processes = 1
    config.statistics.comparator = "product_of_logistics"
    config.blocks.phase1 = block(METHODS, splits=("phase",), test_data="data/phase1_consensus")
    config.blocks.phase2 = block(METHODS, splits=("phase",), test_data="data/phase2_consensus")
    return config
