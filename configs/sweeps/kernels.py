"""Search space of `configs/kernels.py`: its two kernel experts and their combination.

    python -m launch.sweep --config=configs/kernels.py --space=configs/sweeps/kernels.py \
      --study=kernels --trials=40 --workdir=runs/sweep

Dotted path of a setting -> its range; see launch/sweep_space.py.
"""


def get_space() -> dict[str, tuple]:
    """Setting -> its range."""
    return {
        "kernels.signature.ridge": ("log_uniform", 0.01, 3.0),
        "kernels.structure.ridge": ("log_uniform", 0.03, 3.0),
        "target_propagation.share": ("uniform", 0.0, 1.0),
        "model.signature_kernel_width": ("log_uniform", 0.2, 10.0),
        "scale_prior": ("log_uniform", 0.5, 20.0),
    }
