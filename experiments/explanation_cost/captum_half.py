"""Captum's half of `against_captum.py`: explains the PyTorch signature encoder.

    python -m experiments.explanation_cost.captum_half EXPORT

runs in a separate environment (requirements-captum.txt); EXPORT is the folder that the JAX half
wrote.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import captum
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from experiments.speed.torch_model import SignatureEncoder, load_flax
from experiments.speed.torch_step import read_arrays
from experiments.speed.turns import serve

# Largest difference of a contribution from ours, with equal parameters.
TOLERANCE = 1e-4


def main() -> None:
    """Explains, compares with our contributions, and serves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=pathlib.Path, help="folder that the other half wrote")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument(
        "--one_by_one", action="store_true", help="one signature's path in each call of the encoder"
    )
    options = parser.parse_args()
    sizes = json.loads((options.export / "sizes.json").read_text())
    arrays = read_arrays(options.export / "explained.npz")
    given = {name: torch.from_numpy(array) for name, array in arrays.items()}
    encoder = SignatureEncoder(sizes["model"], given["expression"].shape[1])
    load_flax(encoder, read_arrays(options.export / "params.npz"), "signature/")
    encoder.eval().requires_grad_(requires_grad=False)

    def logits(expression: Tensor, gene_mask: Tensor) -> Tensor:
        return encoder(expression, gene_mask, given["nodes"], given["propagation"])[0]

    method = IntegratedGradients(logits)

    def explain() -> Tensor:
        return method.attribute(
            given["expression"],
            baselines=0.0,
            target=given["direction"].argmax(dim=1),
            additional_forward_args=given["gene_mask"],
            n_steps=options.steps,
            method="gausslegendre",
            internal_batch_size=options.steps if options.one_by_one else None,
        )

    difference = float((explain() - given["contributions"]).abs().max())
    if not difference <= TOLERANCE:
        raise ValueError(f"contributions differ by {difference}.")
    facts = {
        "versions": f"captum {captum.__version__}, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "parameters": sum(leaf.numel() for leaf in encoder.parameters()),
        "largest_difference": difference,
    }
    serve(explain, facts)


if __name__ == "__main__":
    main()
