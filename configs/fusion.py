r"""The shipped model: the closed form, and a network on STRING, GO and molecules that corrects it.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py --config.out=data/lincs2020
    python -m moa_jax.train --config=configs/fusion.py --config.data=data/lincs2020 \
        --workdir=runs/fusion

The network starts as the closed form (configs/kernels.py), reads what that says about a compound
(without the compound, in training), attends to the proteins of the graph, and adds what it has
learned. How much of it is right is measured on training compounds that it left out. Without
`config.data` it trains on the embedded simulated release.
"""

import ml_collections

from configs import kernels
from configs.networks import networks


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = kernels.get_config()
    settings = networks()
    # Of the networks that answer by themselves.
    del settings.expert_scales
    settings.model.experts = (*config.model.experts, "protein_network")
    config.update(settings)
    # Small encoders: what all proteins and mechanisms share generalises.
    config.model.features = 32
    config.model.hidden = 64
    config.model.knowledge_features = 16
    config.model.knowledge_layers = 1
    config.model.atom_features = 32
    config.model.molecule_layers = 2
    # Also learn from ligands of the ligand tables.
    config.ligands = True
    # Before its scale is measured, what the network adds counts as it is.
    for view in ("fusion", "expression", "structure"):
        config.expert_scales[view].protein_network = 1.0
    # A short training with equal weights of all examples.
    config.training.batch_size = 128
    config.training.num_steps = 120
    config.training.eval_every = 120
    config.training.balance_power = 0.0
    config.training.optimiser.learning_rate = 0.01
    config.training.optimiser.weight_decay = 0.01
    return config
