"""Settings of networks and of their training, for the configurations that have any.

    python -m moa_jax.train --config=configs/cross_attention.py --workdir=runs/cross_attention

The other configurations with networks: early_fusion.py, gated_fusion.py, late_fusion.py and
pretraining.py.
"""

import ml_collections


def networks() -> ml_collections.ConfigDict:
    """What a configuration with networks adds to that of the kernel experts."""
    config = ml_collections.ConfigDict()

    config.model = ml_collections.ConfigDict()
    # How the joint expert joins the modalities: cross_attention, gated or early. Late fusion is
    # the experts signature and molecule without it.
    config.model.joint_fusion = "cross_attention"
    # Sizes of the modalities' states and of hidden layers, and heads of the attention.
    config.model.features = 64
    config.model.hidden = 256
    config.model.num_heads = 4
    # Message passing over STRING and GO, and along bonds: sizes of the states and steps.
    config.model.knowledge_features = 32
    config.model.knowledge_layers = 2
    config.model.atom_features = 64
    config.model.molecule_layers = 3
    # Cell line, dose and time for the joint expert.
    config.model.use_context = True
    # Shares of genes, fingerprint bits, hidden units and cell lines that are hidden in a step.
    config.model.gene_dropout = 0.5
    config.model.bit_dropout = 0.3
    config.model.dropout = 0.3
    config.model.cell_line_dropout = 0.2

    # See configs/fusion.py.
    of_networks = {"signature": 0.3, "molecule": 0.6, "joint": 0.3}
    config.expert_scales = ml_collections.ConfigDict(
        {view: of_networks for view in ("fusion", "expression", "structure")}
    )

    config.training = ml_collections.ConfigDict()
    config.training.num_steps = 250
    config.training.eval_every = 25
    config.training.log_every = 10
    # Evaluations without a better validation score after which training stops.
    config.training.patience = 5
    # What the networks minimise, and settings of that loss which differ from those of its paper:
    # label_distribution (cross-entropy of a softmax over MoAs) or a loss with a sigmoid per MoA;
    # names and settings are those of moa_jax/training/losses/factory.py.
    config.training.loss = ml_collections.ConfigDict({"name": "label_distribution"})
    # Two copies of the networks, each choosing the examples that the other learns from; the first
    # answers. The share of examples that is left out rises to forget_rate over gradual_fraction of
    # the steps; with on_disagreement only those are ranked on which the copies disagree.
    config.training.co_teaching = ml_collections.ConfigDict(
        {
            "enabled": False,
            "forget_rate": 0.2,
            "gradual_fraction": 0.2,
            "on_disagreement": False,
        }
    )
    # 0 leaves the classes as they are, 1 gives each the same total weight.
    config.training.balance_power = 1.0
    # 0 lets all signatures count alike, 1 each by how far its replicates agree.
    config.training.quality_power = 0.0
    # Strong signatures first: how far they count more at the start (0 not at all). Easy examples
    # first: share of a batch, those with the smallest losses, at the start (1: all). Both fade over
    # gradual_fraction of the steps.
    config.training.curriculum = ml_collections.ConfigDict(
        {"signal_power": 0.0, "first_share": 1.0, "gradual_fraction": 0.5}
    )
    # Signatures and their labels are mixed with those of others, in shares drawn from
    # Beta(mix_up_alpha, mix_up_alpha); 0 mixes nothing.
    config.training.mix_up_alpha = 0.0
    # Pieces of a batch whose gradients are summed one after the other; each needs that much less
    # memory.
    config.training.micro_batches = 1
    # In which type networks compute in a step: float32 or bfloat16. Parameters are float32.
    config.training.precision = "float32"
    # Shares of examples that lose one modality in a step.
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
    # Of the exponential average of the parameters, which answers.
    config.training.ema_decay = 0.98
    return config
