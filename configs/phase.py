r"""Across releases: training on LINCS 2020, testing on the consensus signatures of phases I and II.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py
    python -m moa_jax.prepare --config=configs/data/phase1_consensus.py
    python -m moa_jax.prepare --config=configs/data/phase2_consensus.py
    python -m moa_jax.evaluate --config=configs/phase.py --workdir=runs/phase

Compounds of the test release are left out of training. Results and times:
experiments/benchmark/README.md.
"""

import ml_collections

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
    config = ml_collections.ConfigDict()
    # Prepared folder of the release that is trained on.
    config.data = "data/lincs2020"
    # frequent: MoAs with at least min_compounds measured compounds; open: all known MoAs.
    config.vocabulary = "frequent"
    config.min_compounds = 5
    # Configuration of the fusion model.
    config.fusion = "configs/fusion.py"
    # False leaves out the methods that train networks.
    config.neural = True
    # Processes that share the cells, with one core each; a network uses all cores.
    config.num_processes = 1
    # False removes the checkpoints of a model once its predictions are written.
    config.keep_models = False

    config.split = ml_collections.ConfigDict()
    # Not used: the other release is the only test part.
    config.split.num_folds = 5
    # Seeds of the choice of validation compounds.
    config.split.seeds = (0,)
    # Share of the training compounds used to choose settings.
    config.split.validation_fraction = 0.2

    config.statistics = ml_collections.ConfigDict()
    config.statistics.num_resamples = 2000
    config.statistics.seed = 0
    # Method that all others are compared with; empty: the plain method that is best on the
    # validation parts.
    config.statistics.comparator = "product_of_logistics"

    config.blocks = ml_collections.ConfigDict()
    config.blocks.phase1 = block(METHODS, splits=("phase",), test_data="data/phase1_consensus")
    config.blocks.phase2 = block(METHODS, splits=("phase",), test_data="data/phase2_consensus")
    return config
