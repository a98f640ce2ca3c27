"""The training step of `configs/cross_attention.py` on a prepared folder, for speed comparisons.

    python -m experiments.speed.jax_step FOLDER EXPORT

writes the inputs of the PyTorch version into the folder EXPORT (one batch, the graph, the sizes,
and parameters with the model's output for the batch) and serves steps (see `turns`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np

from configs import cross_attention
from experiments.speed.turns import serve
from moa_jax.data.splits.partition import examples_of, make_partition
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.fit import Run
from moa_jax.training.recipe import Recipe

# Modules that the PyTorch version has as well.
MODULES = ("knowledge", "signature", "molecule", "context", "node_attention", "atom_attention")


def make_run(folder: pathlib.Path) -> Run:
    """The run of the configuration on a prepared folder, on one device, without training."""
    config = cross_attention.get_config()
    config.num_devices = 1
    dataset = read_prepared(folder)
    train = make_partition(config, dataset, examples_of(config, dataset)).parts["train"]
    return Recipe(config, dataset.graph).run(train, None, pathlib.Path("unused"))


def flat(tree: Any) -> dict[str, np.ndarray]:
    """Arrays of nested dataclasses or dicts by their path, joined by slashes."""
    if dataclasses.is_dataclass(tree):
        tree = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    arrays = {}
    for name, value in tree.items():
        if dataclasses.is_dataclass(value) or isinstance(value, dict):
            arrays |= {f"{name}/{path}": array for path, array in flat(value).items()}
        elif value is not None:
            arrays[name] = np.asarray(value)
    return arrays


def parameter_counts(params: dict[str, Any]) -> dict[str, int]:
    """Number of trained values of each module (or lone parameter) of the model."""
    return {
        name: sum(leaf.size for leaf in jax.tree.leaves(value)) for name, value in params.items()
    }


def module_shapes(
    model: nn.Module, params: Any, batch: Batch, graph: GraphArrays
) -> dict[str, list[list[int]]]:
    """Shapes of all arrays that each of `MODULES` returns, in order."""

    def intermediates(params: Any, batch: Batch, graph: GraphArrays) -> Any:
        _, seen = model.apply(
            {"params": params},
            batch,
            graph,
            train=False,
            capture_intermediates=lambda module, _: module.name in MODULES,
            mutable=["intermediates"],
        )
        return {name: jax.tree.leaves(seen["intermediates"][name]["__call__"]) for name in MODULES}

    seen = jax.eval_shape(intermediates, params, batch, graph)
    return {name: [list(leaf.shape) for leaf in leaves] for name, leaves in seen.items()}


def export(run: Run, folder: pathlib.Path) -> dict[str, Any]:
    """Writes `batch.npz`, `graph.npz`, `params.npz`, `outputs.npz` and `sizes.json`.

    Parameters are the initial ones with noise, so that no layer is zero.

    Returns:
      The content of `sizes.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state, batch, model = run.initial_state(), run.batch(0), run.task.model
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf + 0.05 * rng.normal(size=leaf.shape), np.float32),
        state.params,
    )
    answer = jax.jit(
        lambda params, batch, graph: (
            model.apply({"params": params}, batch, graph, train=False).experts
        )
    )({**params, **state.non_trainable}, batch, run.graph)
    np.savez(folder / "batch.npz", **flat(batch))
    np.savez(folder / "graph.npz", **flat(run.graph))
    np.savez(folder / "params.npz", **flax.traverse_util.flatten_dict(params, sep="/"))
    np.savez(folder / "outputs.npz", **flat(answer))
    sizes = {
        "model": {
            field.name: getattr(model, field.name)
            for field in dataclasses.fields(model)
            if isinstance(getattr(model, field.name), int | float)
        },
        "training": run.config.training.to_dict(),
        "parameters": parameter_counts(state.params),
        "shapes": module_shapes(model, {**params, **state.non_trainable}, batch, run.graph),
    }
    (folder / "sizes.json").write_text(json.dumps(sizes, indent=1, sort_keys=True))
    return sizes


def main() -> None:
    """Exports and serves steps on one batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="prepared folder")
    parser.add_argument("export", type=pathlib.Path, help="folder to write into")
    options = parser.parse_args()
    run = make_run(options.folder)
    sizes = export(run, options.export)
    state, batch = run.initial_state(), run.batch(0)

    def step() -> None:
        nonlocal state
        state, metrics = run.train_step(state, batch, run.graph)
        jax.block_until_ready((state, metrics))

    serve(step, {"version": jax.__version__, "parameters": sum(sizes["parameters"].values())})


if __name__ == "__main__":
    main()
