"""The fusion model at a size for tests: it shows that everything runs, not how well.

    python -m moa_jax.train --config=configs/smoke.py --workdir=runs/smoke

Half a minute on one core, most of it compilation; on the embedded simulated release.
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
    config.model.features = 8
    config.model.hidden = 16
    config.model.num_heads = 2
    config.model.knowledge_features = 8
    config.model.knowledge_layers = 1
    config.model.atom_features = 8
    config.model.molecule_layers = 1
    config.model.gene_dropout = 0.5
    config.model.bit_dropout = 0.3
    config.model.dropout = 0.3
    config.model.cell_line_dropout = 0.2

    # Scales of the expression, structure and joint expert until validation compounds set them.
    config.expert_scales = (0.3, 0.6, 0.3)

    config.training = ml_collections.ConfigDict()
    config.training.batch_size = 32
    config.training.num_steps = 8
    config.training.eval_every = 4
    config.training.log_every = 2
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
