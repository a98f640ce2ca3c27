"""The fusion model: expression, STRING and GO, structure and context.

    python -m moa_jax.train --config=configs/fusion.py --workdir=runs/fusion

trains on the embedded simulated release; `--config.data=FOLDER` names another prepared folder.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ml_collections.ConfigDict()
    # Prepared folder; empty means the embedded simulated release, made on first use.
    config.data = ""
    # MoAs with fewer compounds are left out.
    config.min_compounds = 5
    config.seed = 0

    config.split = ml_collections.ConfigDict()
    config.split.fold = 0
    config.split.num_folds = 5
    config.split.seed = 0
    # Share of the training compounds that choose the step.
    config.split.validation_fraction = 0.2
    # After the step is chosen, train anew for as long on training and validation compounds.
    config.refit = True

    config.graph = ml_collections.ConfigDict()
    # Random walk with restart from the measured genes.
    config.graph.restart = 0.5
    config.graph.num_steps = 3

    config.model = ml_collections.ConfigDict()
    config.model.features = 64
    config.model.hidden = 256
    config.model.num_heads = 4
    config.model.knowledge_features = 32
    config.model.knowledge_layers = 2
    config.model.atom_features = 64
    config.model.molecule_layers = 3
    config.model.gene_dropout = 0.5
    config.model.bit_dropout = 0.3
    config.model.dropout = 0.3
    config.model.cell_line_dropout = 0.2

    config.loss = ml_collections.ConfigDict()
    config.loss.fused_weight = 1.0
    config.loss.expression_weight = 1.0
    config.loss.structure_weight = 1.0
    # 0 leaves the classes as they are, 1 gives each the same total weight.
    config.balance_power = 1.0
    # Shares of examples that lose one modality in a step.
    config.drop_expression = 0.15
    config.drop_structure = 0.15

    config.optimiser = ml_collections.ConfigDict()
    config.optimiser.learning_rate = 1e-3
    config.optimiser.warmup_fraction = 0.1
    config.optimiser.weight_decay = 0.3
    config.optimiser.clip_norm = 5.0
    config.optimiser.adam_b2 = 0.99
    config.ema_decay = 0.98

    config.batch_size = 256
    config.num_steps = 400
    config.eval_every = 25
    config.log_every = 10
    # Evaluations without a better validation score after which training stops.
    config.patience = 8
    # Devices to use; 0 means all.
    config.num_devices = 0
    # Methods scored beside the model.
    config.baselines = (
        "prevalence",
        "cosine_knn",
        "expression_logistic",
        "morgan_logistic",
        "product_of_logistics",
    )
    return config
