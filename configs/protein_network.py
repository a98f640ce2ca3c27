"""The closed form and a network that corrects it: cross-attention from compounds to proteins.

    python -m moa_jax.train --config=configs/protein_network.py --workdir=runs/protein_network

The network starts as the closed form (configs/fusion.py) and is trained on leave-one-compound-out
answers. If no step is better on the validation compounds, the closed form is what remains.
"""

import ml_collections

from configs import fusion
from configs.networks import networks


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = fusion.get_config()
    experts = config.model.experts
    config.update(networks())
    config.model.experts = (*experts, "protein_network")
    # Small encoders: what is shared by all proteins and mechanisms generalises.
    config.model.features = 32
    config.model.hidden = 64
    config.model.knowledge_features = 16
    config.model.knowledge_layers = 1
    config.model.atom_features = 32
    config.model.molecule_layers = 2
    # What the network adds has no scale of its own.
    for view in ("fusion", "expression", "structure"):
        config.expert_scales[view].protein_network = 1.0
    # Short training with equal weights of all examples.
    config.training.batch_size = 128
    config.training.num_steps = 200
    config.training.balance_power = 0.0
    config.training.optimiser.learning_rate = 3e-3
    config.training.optimiser.weight_decay = 0.01
    return config
