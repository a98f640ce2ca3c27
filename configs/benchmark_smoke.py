"""The benchmark at a size for tests: it shows that everything runs, not how well.

    python -m moa_jax.evaluate --config=configs/benchmark_smoke.py --workdir=runs/benchmark_smoke

About a minute on two cores; on the embedded simulated release.
"""

import ml_collections

from moa_jax.benchmark.blocks import block


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ml_collections.ConfigDict()
    # Prepared folder; empty means the embedded simulated release, made on first use.
    config.data = ""
    # frequent: MoAs of min_compounds measured compounds or more; open: all that are known.
    config.vocabulary = "frequent"
    config.min_compounds = 5
    # Configuration of the fusion model.
    config.fusion = "configs/fusion.py"
    # False leaves out the methods that train networks.
    config.neural = True
    # Processes that share the cells, each with one core.
    config.num_processes = 2
    # False removes the checkpoints of a model once its answers are written.
    config.keep_models = False

    config.split = ml_collections.ConfigDict()
    config.split.num_folds = 2
    # Every seed divides the data anew.
    config.split.seeds = (0,)
    # Share of the training compounds that chooses settings.
    config.split.validation_fraction = 0.25

    config.statistics = ml_collections.ConfigDict()
    config.statistics.num_resamples = 200
    config.statistics.seed = 0
    # Method that all others are compared with; empty means the plain method that is best on the
    # validation parts.
    config.statistics.comparator = ""

    config.blocks = ml_collections.ConfigDict()
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
