"""The fusion model as it is shipped: a product of two kernel experts.

    python -m moa_jax.train --config=configs/fusion.py --workdir=runs/fusion

trains on the embedded simulated release; `--config.data=FOLDER` names another prepared folder.
`config.model.experts` adds networks over STRING, GO and the molecular graph, which on LINCS 2020
(configs/data/lincs2020.py) add nothing: experiments/main_result/README.md.
"""

import ml_collections


def networks() -> ml_collections.ConfigDict:
    """Settings of the networks among the experts; without any they are not read."""
    config = ml_collections.ConfigDict()
    # How the joint expert joins the modalities: cross_attention, gated or early. Late fusion is
    # the experts signature and molecule without it.
    config.joint_fusion = "cross_attention"
    # How it answers: linear, or prototypes: by vectors of MoAs made of their names and targets.
    config.moa_head = "linear"
    config.features = 64
    config.hidden = 256
    config.num_heads = 4
    # mlp, residual (with so many blocks) or tokens (so many modules that attend to the genes).
    config.expression_encoder = "mlp"
    config.expression_blocks = 2
    config.module_tokens = 64
    # gcn, gat, sage or relational.
    config.knowledge_layer = "relational"
    config.knowledge_features = 32
    config.knowledge_layers = 2
    # Of a term in the network that is wired like the Gene Ontology.
    config.term_features = 6
    # gin, gat or mpnn.
    config.molecule_layer = "gin"
    config.atom_features = 64
    config.molecule_layers = 3
    config.virtual_node = False
    config.morgan_view = True
    # Cell line, dose and time; where the cell line is unknown, derived from the signature.
    config.use_context = True
    config.expression_context = False
    config.gene_dropout = 0.5
    config.bit_dropout = 0.3
    config.dropout = 0.3
    config.cell_line_dropout = 0.2
    return config


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ml_collections.ConfigDict()
    # Prepared folder; empty means the embedded simulated release, made on first use.
    config.data = ""
    # Which mechanisms are answered: open (all that a compound to learn from has, by signature or by
    # structure) or frequent (those that min_compounds measured compounds or more have).
    config.vocabulary = "open"
    config.min_compounds = 5
    # Learn from structures without signature, too, whose MoA or targets are known. (A benchmark's
    # blocks decide for themselves.)
    config.further_structures = True
    config.seed = 0

    config.split = ml_collections.ConfigDict()
    # What is held out: one of the rules of moa_jax/data/split_rules.py.
    config.split.rule = "compound"
    config.split.fold = 0
    config.split.num_folds = 5
    config.split.seed = 0
    # Share of the training compounds that choose the step of networks.
    config.split.validation_fraction = 0.2

    # Random walk with restart from the measured genes.
    config.graph = ml_collections.ConfigDict({"restart": 0.5, "num_steps": 3})
    # Return probabilities of random walks that tell networks where a node stands; 0 for none.
    config.graph.num_positions = 0

    # For network_kernel: how it compares signatures that were carried to the graph's nodes (see
    # signature_kernel_width), and the weight of the terms among the nodes.
    config.model = ml_collections.ConfigDict(
        {"network_kernel_width": 1.0, "network_term_share": 0.5}
    )
    # Of signature, molecule, joint, visible (networks), signature_kernel, network_kernel and
    # structure_kernel.
    config.model.experts = ("signature_kernel", "structure_kernel")
    # exp(width * (cosine - 1)) compares two signatures.
    config.model.signature_kernel_width = 1.0
    config.model.update(networks())

    # Kernel ridge regression: what is added to the diagonal, how many references are kept at most,
    # and what is left of the difference between the two genes of a bead, which L1000 may exchange
    # (1 leaves signatures as they are).
    config.kernels = ml_collections.ConfigDict(
        {
            "signature": {"ridge": 0.1, "max_references": 10_000, "bead_difference": 1.0},
            "network": {"ridge": 0.1, "max_references": 10_000},
            "structure": {"ridge": 0.3, "max_references": 10_000},
        }
    )

    # Labels for the kernel experts: how much of a label is that of compounds with the same targets,
    # how much of the rest it becomes where these contradict the label, how many votes there are for
    # no MoA, and from which lent label on a compound without any known mechanism is learned from.
    config.label_sharing = ml_collections.ConfigDict(
        {"share": 0.5, "doubt": 1.0, "prior": 1.0, "least": 0.1}
    )

    # Scales of the experts until compounds that were not learned from set them, and how firmly they
    # are believed: inverse variance of a Gaussian prior on their logarithms.
    others = {"signature": 0.3, "molecule": 0.6, "joint": 0.3, "visible": 0.3}
    others["network_kernel"] = 3.0
    config.expert_scales = ml_collections.ConfigDict(
        {
            "fusion": {**others, "signature_kernel": 12.0, "structure_kernel": 16.0},
            "expression": {**others, "signature_kernel": 16.0, "structure_kernel": 20.0},
            "structure": {**others, "signature_kernel": 16.0, "structure_kernel": 20.0},
        }
    )
    config.scale_prior = 4.0

    config.training = ml_collections.ConfigDict()
    config.training.batch_size = 256
    config.training.num_steps = 250
    config.training.eval_every = 25
    config.training.log_every = 10
    # Evaluations without a better validation score after which training stops.
    config.training.patience = 5
    # What the networks among the experts minimise: label_distribution (cross-entropy of a softmax
    # over MoAs), or a loss with a sigmoid per MoA, with the settings under its name:
    # binary_cross_entropy, those of moa_jax/training/robust_losses.py, or early_learning.
    config.training.loss = ml_collections.ConfigDict(
        {
            "name": "label_distribution",
            "joint_weight": 1.0,
            "expression_weight": 1.0,
            "structure_weight": 1.0,
            # Of second tasks of the joint expert: the known targets among the graph's genes, how
            # the cells fare (genes of dividing less genes of stressed cells), and the MACCS keys
            # of the structure.
            "target_weight": 0.0,
            "viability_weight": 0.0,
            "structure_keys_weight": 0.0,
            # Divides the logits; for soft labels.
            "temperature": 1.0,
            # Weight of labels 1 in a loss with a sigmoid per MoA.
            "positive_weight": 5.0,
            "focal": {"gamma": 2.0, "positive_share": 0.5},
            "asymmetric": {"positive_gamma": 1.0, "negative_gamma": 4.0, "margin": 0.05},
            "generalised_cross_entropy": {"q": 0.7},
            "symmetric_cross_entropy": {"alpha": 0.1, "beta": 1.0, "log_zero": -4.0},
            "label_smoothing": {"smoothing": 0.1, "towards": 0.5},
            "soft_bootstrapping": {"trust": 0.95},
            "hard_bootstrapping": {"trust": 0.8},
            "flip_correction": {"false_positive": 0.004, "false_negative": 0.2},
            # Share of wrong labels, each other MoA as likely.
            "transition_correction": {"rate": 0.2},
            "early_learning": {"weight": 1.0, "momentum": 0.7},
        }
    )
    # Two copies of the networks, each choosing the examples that the other learns from; the answer
    # is their mean. The share of examples that is left out rises to forget_rate over
    # gradual_fraction of the steps.
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
    config.training.optimiser = ml_collections.ConfigDict(
        {
            "learning_rate": 2e-3,
            "warmup_fraction": 0.1,
            "weight_decay": 0.3,
            "clip_norm": 5.0,
            "adam_b2": 0.99,
        }
    )
    # The average of the parameters that predicts: exponential, or from the step swa_start on the
    # plain mean (0: exponential).
    config.training.ema_decay = 0.98
    config.training.swa_start = 0

    # Devices to use; 0 means all.
    config.num_devices = 0
    # Methods scored beside the model. (Logistic regression on structure takes minutes where there
    # are a thousand mechanisms.)
    config.baselines = ("prevalence", "cosine_knn", "expression_logistic", "morgan_knn")
    return config
