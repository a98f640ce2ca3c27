r"""The main result: the fusion model beside the best plain methods, with its robustness.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py --config.out=data/lincs2020
    python -m moa_jax.evaluate --config=configs/main_result.py \
        --config.data=data/lincs2020 --workdir=runs/main_result

Figures and times: experiments/main_result/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import block

FUSION_MODEL = ("fusion", "fusion_expression", "fusion_structure")
EXPRESSION = ("expression_logistic", "expression_logistic_tuned", "expression_rbf_svm")
STRUCTURE = ("morgan_logistic", "morgan_knn")
FUSIONS = ("product_of_logistics", "product", "mean", "stacked")
# Methods whose behaviour under noise is compared.
ROBUST = ("fusion", "fusion_expression", "expression_logistic", "product_of_logistics")


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
    config.keep_models = True

    config.split = ml_collections.ConfigDict()
    config.split.num_folds = 5
    # Every seed divides the data anew.
    config.split.seeds = (0,)
    # Share of the training compounds that chooses settings; methods that choose nothing learn
    # from it as from the rest.
    config.split.validation_fraction = 0.2

    config.statistics = ml_collections.ConfigDict()
    config.statistics.num_resamples = 2000
    config.statistics.seed = 0
    # Method that all others are compared with; empty means the plain method that is best on the
    # validation parts.
    config.statistics.comparator = ""

    config.blocks = ml_collections.ConfigDict()
    blocks = config.blocks
    blocks.main = block(
        (*FUSION_MODEL, *EXPRESSION, *STRUCTURE, *FUSIONS),
        splits=("compound", "scaffold", "cell_line"),
    )
    # Labelled structures that have no signature are learned from too.
    blocks.structures = block(
        ("fusion", "fusion_structure", *STRUCTURE, *FUSIONS),
        splits=("compound", "scaffold"),
        structure_only_compounds=True,
    )
    blocks.noise = block(
        ROBUST, test={"gaussian": (2.0, 4.0), "peak_swap": (0.1, 0.2, 0.4), "gene_dropout": (0.5,)}
    )
    blocks.wrong_labels = block(
        ROBUST, training={"uniform_labels": (0.2,), "confusable_labels": (0.2,)}
    )
    return config
