r"""The main result: the fusion model beside the plain methods, out of fold over all compounds.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py --config.out=data/lincs2020
    python -m moa_jax.evaluate --config=configs/main_result.py \
        --config.data=data/lincs2020 --workdir=runs/main_result

Figures and times: experiments/main_result/README.md.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ml_collections.ConfigDict()
    # Prepared folder; empty means the embedded simulated release, made on first use.
    config.data = ""
    # MoAs with fewer compounds are left out.
    config.min_compounds = 5
    config.methods = (
        "fusion",
        "fusion_expression",
        "fusion_structure",
        "prevalence",
        "cosine_knn",
        "expression_logistic",
        "morgan_logistic",
        "product_of_logistics",
    )
    # Configuration of the fusion model.
    config.fusion = "configs/fusion.py"
    config.seed = 0

    config.split = ml_collections.ConfigDict()
    config.split.num_folds = 5
    config.split.seed = 0
    # Share of the training compounds that chooses settings; methods that choose nothing learn
    # from it as from the rest.
    config.split.validation_fraction = 0.2
    return config
