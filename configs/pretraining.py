"""The networks of configs/cross_attention.py, their encoders pretrained without labels.

    python -m moa_jax.train --config=configs/pretraining.py --workdir=runs/pretraining

Pretraining sees the training part and all signatures and structures of the prepared folder whose
compounds are not held out. What it adds: experiments/pretraining/README.md.
"""

import ml_collections

from configs import fusion
from configs.networks import networks


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = fusion.get_config()
    config.update(networks())
    config.vocabulary = "frequent"
    config.model.experts = ("signature", "molecule", "joint")
    config.pretraining = ml_collections.ConfigDict()
    # Weight of each objective of moa_jax/training/pretraining/objectives.py; 0 leaves it out.
    config.pretraining.objectives = ml_collections.ConfigDict(
        {
            # Hidden genes from the others.
            "masked_genes": 1.0,
            # Signatures of one compound are alike.
            "compound_contrast": 0.2,
            # Signatures and structures find each other.
            "alignment": 0.2,
            # Signatures from structure, cell line, dose and time.
            "response": 1.0,
            # Hidden atoms' elements and the molecule's descriptors.
            "elements": 0.5,
            "descriptors": 0.5,
            # Hidden edges of STRING and GO.
            "links": 0.5,
        }
    )
    # Learn from the structures of held-out compounds, too (nothing else of them).
    config.pretraining.transductive = False
    config.pretraining.num_steps = 200
    # Consecutive rows of a batch that are of one compound, at most.
    config.pretraining.rows_per_compound = 4
    # Shares that are hidden.
    config.pretraining.hidden_genes = 0.15
    config.pretraining.hidden_atoms = 0.15
    config.pretraining.hidden_links = 0.1
    # Of both contrastive losses.
    config.pretraining.temperature = 0.1
    # Learning rate of the graph encoder as a multiple of the others': each node has a random state
    # of its own at first, which would hardly move.
    config.pretraining.knowledge_rate = 10.0
    config.pretraining.optimiser = ml_collections.ConfigDict(
        {
            "learning_rate": 2e-3,
            "warmup_fraction": 0.1,
            "weight_decay": 0.01,
            "clip_norm": 5.0,
            "adam_b2": 0.99,
        }
    )
    return config
