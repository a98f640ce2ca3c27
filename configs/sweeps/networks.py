"""Search space of the networks of `configs/cross_attention.py`, with or without the kernel experts.

    python -m launch.sweep --config=configs/cross_attention.py --space=configs/sweeps/networks.py \
      --study=networks --trials=60 --workdir=runs/sweep_networks

Dotted path of a setting -> its range; see launch/sweep_space.py.
"""


def get_space() -> dict[str, tuple]:
    """Setting -> its range."""
    networks = ("signature", "molecule", "joint")
    kernels = ("signature_kernel", "structure_kernel")
    return {
        "model.experts": ("choice", (kernels, networks, (*networks, *kernels))),
        "model.features": ("choice", (32, 64, 128)),
        "model.hidden": ("choice", (128, 256, 512)),
        "model.knowledge_layers": ("int", 1, 3),
        "model.molecule_layers": ("int", 1, 4),
        "model.gene_dropout": ("uniform", 0.0, 0.7),
        "model.dropout": ("uniform", 0.0, 0.6),
        "training.optimiser.learning_rate": ("log_uniform", 3e-4, 1e-2),
        "training.optimiser.weight_decay": ("log_uniform", 0.01, 1.0),
        "training.balance_power": ("uniform", 0.0, 1.0),
        "training.drop_expression": ("uniform", 0.0, 0.4),
        "training.drop_structure": ("uniform", 0.0, 0.4),
    }
