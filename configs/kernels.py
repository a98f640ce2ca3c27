r"""The closed form of the shipped model: two kernel experts, and two that answer through proteins.

    python -m moa_jax.train --config=configs/kernels.py --config.data=data/lincs2020 \
        --workdir=runs/kernels

Held-out compounds of LINCS 2020, five folds: top-1 .496, top-5 .656, mean average precision .543
(experiments/main_result/README.md). A fold takes some two minutes on two CPU cores. Without
`config.data` it trains on the embedded simulated release. What ships adds a network:
configs/fusion.py.
"""

import ml_collections

# The experts that answer through proteins.
THROUGH_PROTEINS = ("signature_proteins", "structure_proteins")


def without_proteins(config: ml_collections.ConfigDict) -> None:
    """Removes the scales of experts through proteins, for models without them."""
    for view in config.expert_scales:
        for name in THROUGH_PROTEINS:
            del config.expert_scales[view][name]


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ml_collections.ConfigDict()
    # Prepared folder; empty means the embedded simulated release, made on first use.
    config.data = ""
    # Mechanisms to predict: open (all of the training compounds, with signature or structure) or
    # frequent (those of min_compounds measured compounds or more).
    config.vocabulary = "open"
    # Measured compounds that a mechanism of the frequent vocabulary needs.
    config.min_compounds = 5
    # Also train on structures without a signature whose MoA or targets are known. (In a benchmark,
    # its blocks decide.)
    config.structure_only_compounds = True
    # Also train on ligands of the ligand tables, which have known targets and no known MoA.
    config.ligands = False
    # Seed of the networks, and of the references if there are more than max_references.
    config.seed = 0

    config.split = ml_collections.ConfigDict()
    # What is held out: one of the rules of moa_jax/data/splits/rules.py.
    config.split.rule = "compound"
    # The fold that is held out.
    config.split.fold = 0
    # The number of folds.
    config.split.num_folds = 5
    # Seed of the split.
    config.split.seed = 0
    # Share of the training compounds that select the networks' number of steps.
    config.split.validation_fraction = 0.2

    # Network propagation over the knowledge graph: a random walk with restart.
    config.graph = ml_collections.ConfigDict()
    # Probability of a restart at the measured genes.
    config.graph.restart = 0.5
    # Steps of the walk.
    config.graph.num_steps = 3

    config.model = ml_collections.ConfigDict()
    # Out of signature_kernel, structure_kernel, network_kernel (configs/network_kernel.py) and the
    # networks signature, molecule and joint (configs/networks.py).
    config.model.experts = ("signature_kernel", "structure_kernel", *THROUGH_PROTEINS)
    # The kernel of two signatures is exp(width * (cosine - 1)).
    config.model.signature_kernel_width = 1.0

    # Kernel ridge regression.
    config.kernels = ml_collections.ConfigDict({"signature": {}, "structure": {}})
    # Added to the diagonal of the kernel of signatures.
    config.kernels.signature.ridge = 0.1
    # Maximum number of references; if there are more training signatures, they are sampled.
    config.kernels.signature.max_references = 20_000
    # Factor of the difference between the two genes of a bead, which L1000 may exchange; 1 leaves
    # signatures as they are.
    config.kernels.signature.bead_difference = 1.0
    # The same for structures.
    config.kernels.structure.ridge = 0.3
    config.kernels.structure.max_references = 20_000

    # Soft labels for the kernel experts from compounds with the same targets.
    config.target_propagation = ml_collections.ConfigDict()
    # Weight of their labels in the label of a compound.
    config.target_propagation.share = 0.5
    # Share of the remaining weight that they get if they contradict the compound's label.
    config.target_propagation.doubt = 1.0
    # Votes for no label, in units of a compound with equal targets.
    config.target_propagation.prior = 1.0

    # The step over proteins of two-step kernel ridge regression. The kernel of proteins is a
    # mean of random walks with restart on STRING and of Gene Ontology terms.
    config.proteins = ml_collections.ConfigDict()
    # Probability of a restart, and weight of STRING.
    config.proteins.restart = 0.2
    config.proteins.string_share = 0.5
    # Added to the diagonal of the kernel of proteins.
    config.proteins.ridge = 3.0

    through_proteins = {"signature_proteins": 3.0, "structure_proteins": 6.0}
    # Prior scales of the experts in each view, before they are fitted to out-of-fold answers.
    config.expert_scales = ml_collections.ConfigDict(
        {
            "fusion": {"signature_kernel": 12.0, "structure_kernel": 16.0, **through_proteins},
            "expression": {"signature_kernel": 16.0, "structure_kernel": 20.0, **through_proteins},
            "structure": {"signature_kernel": 16.0, "structure_kernel": 20.0, **through_proteins},
        }
    )
    # The same for the evidence for proteins.
    config.protein_scales = ml_collections.ConfigDict(
        {
            view: {"signature_kernel": 100.0, "structure_kernel": 150.0}
            for view in config.expert_scales
        }
    )
    # Strength of these priors: inverse variance of a Gaussian on the logarithms of the scales.
    config.scale_prior = 4.0

    # Examples in a batch, for prediction and for training steps of networks.
    config.training = ml_collections.ConfigDict({"batch_size": 256})

    # Devices to use; 0 means all.
    config.num_devices = 0
    # Baselines that are scored beside the model. (Logistic regression on structure takes minutes
    # for a thousand mechanisms.)
    config.baselines = ("prevalence", "cosine_knn", "expression_logistic", "morgan_knn")
    return config
