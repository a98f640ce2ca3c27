"""The training step of `configs/cross_attention.py` in PyTorch and PyG.

    python -m experiments.speed.torch_step EXPORT [--attention written_out] [--compile]

runs in a separate environment (requirements-torch.txt). EXPORT is the folder that `jax_step` wrote.
Before the first step it checks that every encoder has the same number of parameters and the same
output shapes as in flax, and that logits are equal with the same parameters.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from experiments.speed.torch_model import Arrays, FusionNetwork, load_flax
from experiments.speed.turns import serve

# Largest difference of a logit from the flax model's, with equal parameters.
TOLERANCE = 1e-4


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz file, without pickles."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def graph_tensors(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Edges of each relation for PyG, with weights that sum to 1 at each receiver."""
    sent = {
        "interacts": ("interacts", False),
        "annotated_to": ("annotated_to", False),
        "annotates": ("annotated_to", True),
        "is_a": ("is_a", False),
        "is_a_reverse": ("is_a", True),
        "part_of": ("part_of", False),
        "part_of_reverse": ("part_of", True),
    }
    tensors = {"propagation": torch.from_numpy(arrays["propagation"])}
    for name, (stored, backwards) in sent.items():
        ends = [arrays[f"{stored}/senders"], arrays[f"{stored}/receivers"]]
        senders, receivers = ends[::-1] if backwards else ends
        weight = arrays[f"{stored}/weight"]
        total = np.bincount(receivers, weight)
        edges = np.stack([senders, receivers]).astype(np.int64)
        tensors[f"{name}/edge_index"] = torch.from_numpy(edges)
        tensors[f"{name}/share"] = torch.from_numpy((weight / total[receivers]).astype(np.float32))
    return tensors


def batch_tensors(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The batch without the padding of its molecules."""
    atoms, bonds = arrays["molecules/atom_mask"][0], arrays["molecules/bond_mask"][0]
    edges = np.stack([arrays["molecules/senders"][0], arrays["molecules/receivers"][0]])
    plain = {name: value for name, value in arrays.items() if "/" not in name}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in plain.items()}
    return tensors | {
        "cell_line": tensors["cell_line"].long(),
        "atom_features": torch.from_numpy(arrays["molecules/atom_features"][0][atoms]),
        "bond_features": torch.from_numpy(arrays["molecules/bond_features"][0][bonds]),
        "edge_index": torch.from_numpy(edges[:, bonds].astype(np.int64)),
        "owner": torch.from_numpy(arrays["molecules/owner"][0][atoms].astype(np.int64)),
    }


def make_network(sizes: Mapping[str, Any], batch: Arrays, *, written_out: bool) -> FusionNetwork:
    """The PyTorch network of the same sizes as the flax model."""
    num_inputs = {
        "gene": batch["expression"].shape[1],
        "bit": batch["fingerprint"].shape[1],
        "atom": batch["atom_features"].shape[1],
        "bond": batch["bond_features"].shape[1],
    }
    return FusionNetwork(sizes["model"], num_inputs, written_out=written_out)


def check_parameters(network: nn.Module, expected: Mapping[str, int]) -> None:
    """Raises an error if an encoder has another number of parameters than in flax."""
    found: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        top = name.split(".")[0]
        found[top] = found.get(top, 0) + parameter.numel()
    if found != dict(expected):
        raise ValueError(f"numbers of parameters differ: {found}, in flax {dict(expected)}.")


def check_outputs(
    network: FusionNetwork,
    batch: Arrays,
    graph: Arrays,
    shapes: Mapping[str, list[list[int]]],
    logits: Mapping[str, np.ndarray],
) -> float:
    """Raises an error if encoders return other shapes than in flax, or logits differ.

    The flax molecule encoder also returns padded atoms and inner states; for it and the atom
    attention, only common axes are compared.

    Returns:
      The largest difference of a logit.
    """
    found: dict[str, list[list[int]]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
            outputs = [outputs] if isinstance(outputs, Tensor) else outputs
            found[name] = [list(output.shape) for output in outputs]

        return hook

    hooks = [getattr(network, name).register_forward_hook(note(name)) for name in shapes]
    network.eval()
    with torch.no_grad():
        answer = network(batch, graph, batch["expression_mask"], batch["structure_mask"])
    network.train()
    for hook in hooks:
        hook.remove()
    padded = len(batch["atom_features"])
    for name, of_twin in found.items():
        for shape in of_twin:
            # Atoms are [atom, ...] here and [shard, padded atom, ...] in flax.
            same = [
                other[2:] if len(other) == 3 and other[0] == 1 else other for other in shapes[name]
            ]
            wanted = shape[1:] if shape[0] == padded else shape
            if wanted not in same:
                raise ValueError(f"{name} returns {shape}, in flax {shapes[name]}.")
    difference = max(
        float((answer[name] - torch.from_numpy(value)).abs().max())
        for name, value in logits.items()
    )
    if not difference <= TOLERANCE:
        raise ValueError(f"logits differ by {difference}.")
    return difference


def cross_entropy(logits: Tensor, batch: Arrays, mask: Tensor) -> Tensor:
    """Summed cross-entropy to the labels, shared evenly, of the examples in the mask."""
    known = batch["label_mask"]
    log_probs = torch.log_softmax(logits.masked_fill(~known, torch.finfo(logits.dtype).min), -1)
    share = batch["labels"] * known
    share = share / share.sum(-1, keepdim=True).clamp(min=1.0)
    losses = -(share * log_probs.masked_fill(~known, 0.0)).sum(-1)
    return (losses * batch["weight"] * (mask & batch["example_mask"])).sum()


def schedule(optimiser: Mapping[str, float], num_steps: int) -> Callable[[int], float]:
    """Linear warm-up, then cosine decay to zero, relative to the peak learning rate."""
    warmup = max(1, round(optimiser["warmup_fraction"] * num_steps))

    def share(step: int) -> float:
        if step < warmup:
            return step / warmup
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / (num_steps - warmup))))

    return share


class Trainer:
    """Training steps on one batch."""

    def __init__(
        self, network: FusionNetwork, training: Mapping[str, Any], adamw: str, *, compiled: bool
    ) -> None:
        """Prepares optimiser, schedule and average; see `training` in `configs/networks.py`."""
        settings = training["optimiser"]
        self.training = training
        self.network = network.train()
        self.call = torch.compile(network) if compiled else network
        matrices = [leaf for leaf in network.parameters() if leaf.ndim > 1]
        vectors = [leaf for leaf in network.parameters() if leaf.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": settings["weight_decay"]},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=settings["learning_rate"],
            betas=(0.9, settings["adam_b2"]),
            fused=adamw == "fused",
            foreach=adamw == "foreach",
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, schedule(settings, training["num_steps"])
        )
        self.average = AveragedModel(network, multi_avg_fn=self._average)

    def _average(self, averages: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
        step = int(num_averaged) + 1
        decay = min(self.training["ema_decay"], (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(averages, current, 1.0 - decay)

    def step(self, batch: Arrays, graph: Arrays) -> float:
        """One update; returns the loss."""
        draw = torch.rand(len(batch["labels"]))
        both = batch["expression_mask"] & batch["structure_mask"]
        expression = batch["expression_mask"] & ~(both & (draw < self.training["drop_expression"]))
        structure = batch["structure_mask"] & ~(
            both & (draw >= 1.0 - self.training["drop_structure"])
        )
        logits = self.call(batch, graph, expression, structure)
        everyone = torch.ones_like(both)
        loss = (
            cross_entropy(logits["signature"], batch, batch["expression_mask"])
            + cross_entropy(logits["molecule"], batch, batch["structure_mask"])
            + cross_entropy(logits["joint"], batch, everyone)
        ) / (batch["weight"] * batch["example_mask"]).sum()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.training["optimiser"]["clip_norm"])
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())


def main() -> None:
    """Checks and serves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=pathlib.Path, help="folder that jax_step wrote")
    parser.add_argument("--adamw", choices=("fused", "foreach", "loop"), default="fused")
    parser.add_argument("--attention", choices=("factored", "written_out"), default="factored")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    options = parser.parse_args()
    torch.manual_seed(0)
    sizes = json.loads((options.export / "sizes.json").read_text())
    batch = batch_tensors(read_arrays(options.export / "batch.npz"))
    graph = graph_tensors(read_arrays(options.export / "graph.npz"))
    network = make_network(sizes, batch, written_out=options.attention == "written_out")
    check_parameters(network, sizes["parameters"])
    first = {name: value.clone() for name, value in network.state_dict().items()}
    load_flax(network, read_arrays(options.export / "params.npz"))
    logits = read_arrays(options.export / "outputs.npz")
    difference = check_outputs(network, batch, graph, sizes["shapes"], logits)
    network.load_state_dict(first)
    trainer = Trainer(network, sizes["training"], options.adamw, compiled=options.compile)
    facts = {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "parameters": sum(leaf.numel() for leaf in network.parameters()),
        "largest_logit_difference": difference,
    }
    serve(lambda: trainer.step(batch, graph), facts)


if __name__ == "__main__":
    main()
