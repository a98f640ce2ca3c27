"""Search space of `configs/fusion.py`: its two kernel experts and how they are joined.

    python -m launch.sweep --config=configs/fusion.py --space=configs/sweeps/fusion.py \
      --study=fusion --trials=40 --workdir=runs/sweep

Dotted path of a setting -> what is tried; the forms are those of launch/sweep_space.py.
"""


def get_space() -> dict[str, tuple]:
    """The settings that are varied."""
    return {
        "kernels.signature.ridge": ("log_uniform", 0.01, 3.0),
        "kernels.structure.ridge": ("log_uniform", 0.03, 3.0),
        "target_propagation.share": ("uniform", 0.0, 1.0),
        "model.signature_kernel_width": ("log_uniform", 0.2, 10.0),
        "scale_prior": ("log_uniform", 0.5, 20.0),
    }
