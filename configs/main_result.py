r"""The main result: the fusion model and the best plain methods, with robustness to noise.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py --config.out=data/lincs2020
    python -m moa_jax.evaluate --config=configs/main_result.py \
        --config.data=data/lincs2020 --workdir=runs/main_result

Figures and times: experiments/main_result/README.md.
"""

import ml_collections

from configs.benchmark import without_blocks
from moa_jax.benchmark.blocks import block

FUSION_MODEL = ("fusion", "fusion_expression", "fusion_structure")
EXPRESSION = ("expression_logistic", "expression_logistic_tuned", "expression_rbf_svm")
STRUCTURE = ("morgan_logistic", "morgan_knn")
FUSIONS = ("product_of_logistics", "product", "mean", "stacked")
# Methods that are compared under noise.
ROBUST = ("fusion", "fusion_expression", "expression_logistic", "product_of_logistics")


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = without_blocks()
    config.keep_models = True
    blocks = config.blocks
    blocks.main = block(
        (*FUSION_MODEL, *EXPRESSION, *STRUCTURE, *FUSIONS),
        splits=("compound", "scaffold", "cell_line"),
    )
    # Also trained on labelled structures without a signature.
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
