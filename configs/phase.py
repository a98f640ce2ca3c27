r"""Across releases: trained on LINCS 2020, tested on the consensus signatures of the two phases.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py
    python -m moa_jax.prepare --config=configs/data/phase1_consensus.py
    python -m moa_jax.prepare --config=configs/data/phase2_consensus.py
    python -m moa_jax.evaluate --config=configs/phase.py --workdir=runs/phase

Compounds of both releases are left out of the training. Figures and times:
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
    # frequent: MoAs of min_compounds measured compounds or more; open: all that are known.
    config.vocabulary = "frequent"
    config.min_compounds = 5
    # Configuration of the fusion model.
    config.fusion = "configs/fusion.py"
    # False leaves out the methods that train networks.
    config.neural = True
    # Processes that share the cells, each with one core; networks use all cores by themselves.
    config.num_processes = 1
    # False removes the checkpoints of a model once its answers are written.
    config.keep_models = False

    config.split = ml_collections.ConfigDict()
    # Not used: all compounds of the other release are the one test part.
    config.split.num_folds = 5
    # Every seed chooses other validation compounds.
    config.split.seeds = (0,)
    # Share of the training compounds that chooses settings.
    config.split.validation_fraction = 0.2

    config.statistics = ml_collections.ConfigDict()
    config.statistics.num_resamples = 2000
    config.statistics.seed = 0
    # Method that all others are compared with; empty means the plain method that is best on the
    # validation parts.
    config.statistics.comparator = "product_of_logistics"

    config.blocks = ml_collections.ConfigDict()
    config.blocks.phase1 = block(METHODS, splits=("phase",), test_data="data/phase1_consensus")
    config.blocks.phase2 = block(METHODS, splits=("phase",), test_data="data/phase2_consensus")
    return config
