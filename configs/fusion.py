r"""The fusion model as it is shipped: a product of two kernel experts.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py --config.out=data/lincs2020
    python -m moa_jax.train --config=configs/fusion.py --config.data=data/lincs2020 \
        --workdir=runs/fusion

A fold takes 69 s on two CPU cores. Unseen compounds of LINCS 2020, over the five folds: top-1 .481,
top-5 .636, mean average precision .526 (experiments/main_result/README.md). Without `config.data`
it trains on the embedded simulated release.

Networks over STRING, GO and the molecular graph, alone or beside these experts:
configs/cross_attention.py. On LINCS 2020 they add nothing.
"""

import ml_collections


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
    config.structure_only_compounds = True
    # Draws references where there are more than max_references, and networks' parameters.
    config.seed = 0

    config.split = ml_collections.ConfigDict()
    # What is held out: one of the rules of moa_jax/data/splits/rules.py.
    config.split.rule = "compound"
    # Which fold is held out, of how many.
    config.split.fold = 0
    config.split.num_folds = 5
    # Every seed divides the compounds anew.
    config.split.seed = 0
    # Share of the training compounds that choose the step of networks.
    config.split.validation_fraction = 0.2

    # Random walk from the measured genes over the knowledge graph: restart probability and steps.
    config.graph = ml_collections.ConfigDict({"restart": 0.5, "num_steps": 3})

    config.model = ml_collections.ConfigDict()
    # Of signature_kernel, structure_kernel, network_kernel (configs/network_kernel.py) and the
    # networks signature, molecule and joint (configs/networks.py).
    config.model.experts = ("signature_kernel", "structure_kernel")
    # exp(width * (cosine - 1)) compares two signatures.
    config.model.signature_kernel_width = 1.0

    # Kernel ridge regression: what is added to the diagonal, how many references are kept at most,
    # and what is left of the difference between the two genes of a bead, which L1000 may exchange
    # (1 leaves signatures as they are).
    config.kernels = ml_collections.ConfigDict(
        {
            "signature": {"ridge": 0.1, "max_references": 10_000, "bead_difference": 1.0},
            "structure": {"ridge": 0.3, "max_references": 10_000},
        }
    )

    # Labels for the kernel experts: how much of a label is that of compounds with the same targets,
    # how much of the rest it becomes where these contradict the label, how many votes there are for
    # no MoA, and from which propagated label on a compound without any known mechanism is learned
    # from.
    config.target_propagation = ml_collections.ConfigDict(
        {"share": 0.5, "doubt": 1.0, "prior": 1.0, "least": 0.1}
    )

    # Scales of the experts in each view until held-out compounds set them.
    config.expert_scales = ml_collections.ConfigDict(
        {
            "fusion": {"signature_kernel": 12.0, "structure_kernel": 16.0},
            "expression": {"signature_kernel": 16.0, "structure_kernel": 20.0},
            "structure": {"signature_kernel": 16.0, "structure_kernel": 20.0},
        }
    )
    # How firmly they are believed: inverse variance of a Gaussian prior on their logarithms.
    config.scale_prior = 4.0

    # Examples that are answered at a time, and that networks learn from in a step.
    config.training = ml_collections.ConfigDict({"batch_size": 256})

    # Devices to use; 0 means all.
    config.num_devices = 0
    # Methods scored beside the model. (Logistic regression on structure takes minutes where there
    # are a thousand mechanisms.)
    config.baselines = ("prevalence", "cosine_knn", "expression_logistic", "morgan_knn")
    return config
