"""Settings of networks and their training, shared by the configurations with networks.

    python -m moa_jax.train --config=configs/cross_attention.py --workdir=runs/cross_attention

The others are early_fusion.py, gated_fusion.py, late_fusion.py and pretraining.py.
"""

import ml_collections


def networks() -> ml_collections.ConfigDict:
    """The settings of networks, to be added to configs/kernels.py."""
    config = ml_collections.ConfigDict()

    config.model = ml_collections.ConfigDict()
    # How the joint expert joins the modalities: cross_attention, gated or early. Late fusion has
    # no joint expert.
    config.model.joint_fusion = "cross_attention"
    # Sizes of the modalities' states and of hidden layers, and number of attention heads.
    config.model.features = 64
    config.model.hidden = 256
    config.model.num_heads = 4
    # Message passing on STRING and GO, and along bonds: sizes of the states, and numbers of steps.
    config.model.knowledge_features = 32
    config.model.knowledge_layers = 2
    config.model.atom_features = 64
    config.model.molecule_layers = 3
    # Width of the perceptrons that the protein network has for all proteins and all mechanisms.
    config.model.protein_hidden = 16
    # Whether the joint expert and the protein network read cell line, dose and time.
    config.model.use_context = True
    # Dropout rates of genes, fingerprint bits, hidden units and cell lines.
    config.model.gene_dropout = 0.5
    config.model.bit_dropout = 0.3
    config.model.dropout = 0.3
    config.model.cell_line_dropout = 0.2

    # See configs/kernels.py.
    of_networks = {"signature": 0.3, "molecule": 0.6, "joint": 0.3}
    config.expert_scales = ml_collections.ConfigDict(
        {view: of_networks for view in ("fusion", "expression", "structure")}
    )

    config.training = ml_collections.ConfigDict()
    # Maximum number of training steps, and steps between validations and log lines.
    config.training.num_steps = 250
    config.training.eval_every = 25
    config.training.log_every = 10
    # Training stops after this many validations without a better score.
    config.training.patience = 5
    # The loss, with settings that differ from its paper: label_distribution (cross-entropy of a
    # softmax over MoAs) or a loss with a sigmoid per MoA; see moa_jax/training/losses/factory.py.
    config.training.loss = ml_collections.ConfigDict({"name": "label_distribution"})
    # Two sets of networks that select each other's examples; the first set predicts. The share of
    # dropped examples rises to forget_rate over gradual_fraction of the steps; with
    # on_disagreement only examples on which the sets disagree are ranked.
    config.training.co_teaching = ml_collections.ConfigDict(
        {
            "enabled": False,
            "forget_rate": 0.2,
            "gradual_fraction": 0.2,
            "on_disagreement": False,
        }
    )
    # Weights of the protein network's losses of targets and of actions on them, beside 1 for that
    # of mechanisms.
    config.training.target_weight = 1.0
    config.training.action_weight = 0.2
    # Exponent of the generalised cross-entropy of targets; 0 is cross-entropy.
    config.training.target_q = 0.7
    # Folds of the training compounds by which the protein network is cross-fitted.
    config.training.cross_fitting_folds = 2
    # Class weights: 0 gives equal weights, 1 gives each class the same total weight.
    config.training.balance_power = 1.0
    # Signature weights: 0 gives equal weights, 1 weighs by the reliability of replicates.
    config.training.quality_power = 0.0
    # Curriculum: power of a signature's strength in its weight at the start (0: none), and share of
    # a batch, the examples with the smallest losses, at the start (1: all). Both fade over
    # gradual_fraction of the steps.
    config.training.curriculum = ml_collections.ConfigDict(
        {"signal_power": 0.0, "first_share": 1.0, "gradual_fraction": 0.5}
    )
    # Mix-up of signatures and labels, with shares from Beta(mix_up_alpha, mix_up_alpha); 0: none.
    config.training.mix_up_alpha = 0.0
    # Gradient accumulation: number of pieces that a batch is divided into.
    config.training.micro_batches = 1
    # Type in which networks compute in a step: float32 or bfloat16. Parameters are float32.
    config.training.precision = "float32"
    # Modality dropout: shares of examples that lose expression or structure in a step.
    config.training.drop_expression = 0.15
    config.training.drop_structure = 0.15
    # AdamW with warm-up and cosine decay.
    config.training.optimiser = ml_collections.ConfigDict(
        {
            "learning_rate": 2e-3,
            "warmup_fraction": 0.1,
            "weight_decay": 0.3,
            "clip_norm": 5.0,
            "adam_b2": 0.99,
        }
    )
    # Decay of the exponential moving average of the parameters, which predicts.
    config.training.ema_decay = 0.98
    return config
