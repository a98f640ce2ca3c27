r"""Whether STRING helps: a kernel on the activity of the graph's genes against rewired edges.

    python -m experiments.ablations.run --config=configs/ablations/string.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/string

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    with_graph = {
        # Genes alone, no terms.
        "model.network_term_share": 0.0,
    }
    return ablation(
        "Does a kernel on node activities over STRING help?",
        "configs/kernels.py",
        {
            "no graph": arm(),
            "STRING": arm(with_graph, model="configs/network_kernel.py"),
            "rewired STRING": arm(
                with_graph, model="configs/network_kernel.py", training="rewired_string"
            ),
        },
    )
