r"""The benchmark: every method on every split, with controls, noise and statistics.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py --config.out=data/lincs2020
    python -m moa_jax.evaluate --config=configs/benchmark.py \
        --config.data=data/lincs2020 --workdir=runs/benchmark

`--config.neural=False` leaves out the methods that train networks. Figures and times:
experiments/benchmark/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import block

CONTROLS = ("prevalence", "shuffled_labels", "signature_strength", "viability", "context_only")
SIMILARITY = (
    "cosine_knn",
    "cosine_knn_tuned",
    "spearman_knn",
    "connectivity_wtcs",
    "connectivity_ncs",
    "connectivity_tau",
    "xsum_knn",
    "xcos_knn",
    "sscmap_knn",
    "cd_cosine_knn",
    "lda_similarity",
)
EXPRESSION = (
    "expression_logistic",
    "expression_logistic_tuned",
    "expression_linear_svm",
    "expression_rbf_svm",
)
STRUCTURE = ("morgan_logistic", "morgan_logistic_tuned", "morgan_knn")
FUSIONS = ("early_logistic", "product_of_logistics", "product", "mean", "stacked")
# Plain methods that draw random numbers.
RANDOM = (
    "expression_random_forest",
    "morgan_random_forest",
    "expression_xgboost",
    "expression_lightgbm",
    "wrfen_xgboost",
    "early_xgboost",
)
NEURAL = (
    "expression_mlp",
    "string_gcn",
    "visible_network",
    "contrastive_knn",
    "moasl",
    "vae_knn",
    "vae_logistic",
    "molecule_gnn",
    "intermediate_fusion",
)
FUSION_MODEL = ("fusion", "fusion_expression", "fusion_structure")
SPLITS = ("compound", "scaffold", "cell_line", "random_signature")
# Methods that are compared under noise, with fewer compounds and with damaged inputs.
FOLLOWED = (
    "cosine_knn",
    "expression_logistic",
    "expression_rbf_svm",
    "morgan_logistic",
    "product_of_logistics",
    "stacked",
)


def without_blocks() -> ml_collections.ConfigDict:
    """The settings that benchmarks share."""
    config = ml_collections.ConfigDict()
    # Prepared folder; empty means the embedded simulated release, made on first use.
    config.data = ""
    # frequent: MoAs of min_compounds measured compounds or more; open: all known MoAs.
    config.vocabulary = "frequent"
    config.min_compounds = 5
    # Configuration of the fusion model.
    config.fusion = "configs/kernels.py"
    # False leaves out the methods that train networks.
    config.neural = True
    # Processes that share the cells, each with one core.
    config.num_processes = 2
    # False removes a model's checkpoints after its predictions are written.
    config.keep_models = False

    config.split = ml_collections.ConfigDict()
    config.split.num_folds = 5
    # Each seed makes another split.
    config.split.seeds = (0,)
    # Share of the training compounds that select settings.
    config.split.validation_fraction = 0.2

    config.statistics = ml_collections.ConfigDict()
    config.statistics.num_resamples = 2000
    config.statistics.seed = 0
    # Method that all others are compared with; empty means the best plain method on the validation
    # parts.
    config.statistics.comparator = ""

    config.blocks = ml_collections.ConfigDict()
    return config


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = without_blocks()
    blocks = config.blocks
    plain = (*CONTROLS, *SIMILARITY, *EXPRESSION, *STRUCTURE, *FUSIONS, *RANDOM)
    blocks.plain = block(plain, splits=SPLITS)
    blocks.neural = block((*NEURAL, *FUSION_MODEL), splits=SPLITS)
    # Four more seeds of methods that draw random numbers.
    blocks.plain_seeds = block(RANDOM, splits=SPLITS, seeds=range(1, 5))
    blocks.neural_seeds = block((*NEURAL, *FUSION_MODEL), splits=SPLITS, seeds=range(1, 5))
    # Also trained on labelled structures without a signature.
    blocks.structures = block(
        (*STRUCTURE, *FUSIONS[1:], "molecule_gnn", "fusion", "fusion_structure"),
        splits=("compound", "scaffold"),
        structure_only_compounds=True,
    )
    blocks.damaged = block(
        (*FOLLOWED, "early_logistic", "intermediate_fusion", "fusion"),
        test={
            "expression_absent": (),
            "expression_shuffled": (),
            "structure_absent": (),
            "structure_shuffled": (),
        },
    )
    blocks.without = block(
        ("early_logistic", "stacked", "intermediate_fusion", "fusion"),
        training={"without_expression": (), "without_structure": ()},
    )
    blocks.knowledge = block(
        ("string_gcn", "visible_network", "fusion", "fusion_expression"),
        training={"rewired_string": (), "shuffled_annotations": ()},
    )
    blocks.noise = block(
        (*FOLLOWED, "expression_random_forest", "expression_mlp", "fusion", "fusion_expression"),
        test={
            "gaussian": (2.0, 4.0, 8.0, 16.0),
            "gene_dropout": (0.25, 0.5, 0.75, 0.9),
            "peak_swap": (0.1, 0.2, 0.4, 0.8),
            "plate_offset": (1.0, 2.0, 4.0, 8.0),
        },
    )
    blocks.wrong_labels = block(
        (*FOLLOWED, "fusion", "fusion_expression"),
        training={
            "uniform_labels": (0.1, 0.2, 0.3, 0.4),
            "confusable_labels": (0.1, 0.2, 0.3, 0.4),
        },
    )
    blocks.fewer = block(FOLLOWED, training={"compounds": (0.2, 0.4, 0.6, 0.8)})
    blocks.unseen = block(
        ("cosine_knn", "expression_logistic", "morgan_logistic", "product_of_logistics", "fusion"),
        splits=("unseen_moa",),
    )
    return config
