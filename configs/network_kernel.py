r"""The shipped fusion model with a third kernel expert, on the activity of the graph's nodes.

    python -m moa_jax.train --config=configs/network_kernel.py --config.data=data/lincs2020 \
        --workdir=runs/network_kernel

It helps if mechanisms act through STRING and GO, as in a simulation; it adds nothing on LINCS 2020:
experiments/network_mechanism/README.md.
"""

import ml_collections

from configs import kernels


def network_kernel() -> ml_collections.ConfigDict:
    """The settings of this expert, to be added to configs/kernels.py."""
    config = ml_collections.ConfigDict()
    # Width of its kernel (see signature_kernel_width), and weight of the GO terms among the nodes.
    config.model = ml_collections.ConfigDict(
        {"network_kernel_width": 1.0, "network_term_share": 0.5}
    )
    config.kernels = ml_collections.ConfigDict(
        {"network": {"ridge": 0.1, "max_references": 10_000}}
    )
    config.expert_scales = ml_collections.ConfigDict(
        {view: {"network_kernel": 3.0} for view in ("fusion", "expression", "structure")}
    )
    return config


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = kernels.get_config()
    config.update(network_kernel())
    # The vocabulary of the published scores.
    config.vocabulary = "frequent"
    config.model.experts = ("signature_kernel", "network_kernel", "structure_kernel")
    kernels.without_proteins(config)
    return config
