"""The fusion model: expression, STRING and GO, structure and context.

    python -m moa_jax.train --config=configs/fusion.py --workdir=runs/fusion

trains on the embedded simulated release (a minute and a half on two CPU cores);
`--config.data=FOLDER` names another prepared folder. On LINCS 2020 (configs/data/lincs2020.py) a
fold takes four minutes; over five folds macro AUPRC is .501, top-1 .565, from expression alone .311
and .386: experiments/main_result/README.md.
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
    # What is held out: one of the rules of moa_jax/data/split_rules.py.
    config.split.rule = "compound"
    config.split.fold = 0
    config.split.num_folds = 5
    config.split.seed = 0
    # Share of the training compounds that choose the step.
    config.split.validation_fraction = 0.2

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

    # Scales of the expression, structure and joint expert until validation compounds set them.
    config.expert_scales = (0.3, 0.6, 0.3)

    config.training = ml_collections.ConfigDict()
    config.training.batch_size = 256
    config.training.num_steps = 250
    config.training.eval_every = 25
    config.training.log_every = 10
    # Evaluations without a better validation score after which training stops.
    config.training.patience = 5
    config.training.loss = ml_collections.ConfigDict()
    config.training.loss.joint_weight = 1.0
    config.training.loss.expression_weight = 1.0
    config.training.loss.structure_weight = 1.0
    # 0 leaves the classes as they are, 1 gives each the same total weight.
    config.training.balance_power = 1.0
    # Shares of examples that lose one modality in a step.
    config.training.drop_expression = 0.15
    config.training.drop_structure = 0.15
    config.training.optimiser = ml_collections.ConfigDict()
    config.training.optimiser.learning_rate = 2e-3
    config.training.optimiser.warmup_fraction = 0.1
    config.training.optimiser.weight_decay = 0.3
    config.training.optimiser.clip_norm = 5.0
    config.training.optimiser.adam_b2 = 0.99
    config.training.ema_decay = 0.98

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
