"""The networks of configs/cross_attention.py, their encoders pretrained without labels.

    python -m moa_jax.train --config=configs/pretraining.py --workdir=runs/pretraining

Pretraining uses all signatures and structures of the prepared folder, except those of held-out
compounds. Results: experiments/pretraining/README.md.
"""

import ml_collections

from configs import cross_attention


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = cross_attention.get_config()
    config.pretraining = ml_collections.ConfigDict()
    # Weight of each objective of moa_jax/training/pretraining/objectives.py; 0 leaves it out.
    config.pretraining.objectives = ml_collections.ConfigDict(
        {
            # Predicts hidden genes from the others.
            "masked_genes": 1.0,
            # Contrastive, between signatures of one compound.
            "compound_contrast": 0.2,
            # Contrastive, between signatures and structures.
            "alignment": 0.2,
            # Predicts signatures from structure, cell line, dose and time.
            "response": 1.0,
            # Predicts the elements of hidden atoms, and molecular descriptors.
            "elements": 0.5,
            "descriptors": 0.5,
            # Predicts hidden edges of STRING and GO.
            "links": 0.5,
        }
    )
    # Also use the structures of held-out compounds, but no other data of them.
    config.pretraining.transductive = False
    # Number of steps.
    config.pretraining.num_steps = 200
    # Maximum number of consecutive rows of one compound in a batch.
    config.pretraining.rows_per_compound = 4
    # Shares of genes, atoms and links that are hidden.
    config.pretraining.hidden_genes = 0.15
    config.pretraining.hidden_atoms = 0.15
    config.pretraining.hidden_links = 0.1
    # Temperature of both contrastive losses.
    config.pretraining.temperature = 0.1
    # Learning rate of the graph encoder as a multiple of the others'; otherwise the initially
    # random states of the nodes would hardly change.
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
