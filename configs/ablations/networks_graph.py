r"""Whether the knowledge graph helps the networks: STRING and GO against their controls.

    python -m experiments.ablations.run --config=configs/ablations/networks_graph.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/networks_graph

What was found: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm

# Small enough for three seeds on two cores.
SMALL = {
    "model.features": 32,
    "model.hidden": 64,
    "model.knowledge_features": 16,
    "model.knowledge_layers": 1,
    "model.atom_features": 32,
    "model.molecule_layers": 2,
    "training.num_steps": 100,
}


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return ablation(
        "Does the knowledge encoder gain from the true graph?",
        "configs/cross_attention.py",
        {
            "STRING and GO": arm(),
            "rewired STRING": arm(training="rewired_string"),
            "shuffled GO": arm(training="shuffled_annotations"),
        },
        common=SMALL,
        num_folds=2,
    )
