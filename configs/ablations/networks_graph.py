r"""Whether the knowledge graph helps the networks: STRING and GO against their controls.

    python -m experiments.ablations.run --config=configs/ablations/networks_graph.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/networks_graph

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import SMALL_NETWORKS, ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return ablation(
        "Does the knowledge encoder benefit from the true graph?",
        "configs/cross_attention.py",
        {
            "STRING and GO": arm(),
            "rewired STRING": arm(training="rewired_string"),
            "shuffled GO": arm(training="shuffled_annotations"),
        },
        common=SMALL_NETWORKS,
        num_folds=2,
    )
