"""Integrated gradients of one encoder, ours and Captum's, timed in turns.

    python -m experiments.explanation_cost.against_captum FOLDER --torch_python=VENV/bin/python

FOLDER is a prepared folder, VENV an environment with requirements-captum.txt. The encoder is the
signature encoder of `configs/cross_attention.py` and its PyTorch version in `experiments/speed`,
with the same weights; its logit of each signature's predicted MoA is attributed to genes. Captum's
half (`captum_half.py`) fails if a contribution differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from experiments.speed.compare import table, take_turns
from experiments.speed.jax_step import export, make_run
from experiments.speed.turns import Worker, serve
from moa_jax.explanation.attribution.gradients import IntegratedGradients, gauss_legendre
from moa_jax.models.encoders.signature import SignatureEncoder

Explain = Callable[..., jax.Array]


def ways(encoder: SignatureEncoder, num_steps: int) -> dict[str, Explain]:
    """Compiled functions that return contributions [signature, gene] to one score each.

    `affine` is our method; `written_out` evaluates every point of the path, as Captum does.
    """
    method = IntegratedGradients(num_steps)
    places, weights = map(np.float32, gauss_legendre(num_steps))

    @jax.jit
    def affine(params: Any, given: dict[str, jax.Array]) -> jax.Array:
        found = method(
            lambda point: logits(params, given, point),
            given["expression"],
            jnp.zeros_like(given["expression"])[:, None],
            given["direction"][:, None],
            keys=jax.random.split(jax.random.key(0), len(given["expression"])),
        )
        return found[:, 0]

    @jax.jit
    def written_out(params: Any, given: dict[str, jax.Array]) -> jax.Array:
        def total(point: jax.Array) -> jax.Array:
            return jnp.sum(logits(params, given, point) * given["direction"])

        points = places[:, None, None] * given["expression"]
        slopes = jax.vmap(jax.grad(total))(points)
        return given["expression"] * jnp.tensordot(weights, slopes, axes=1)

    def logits(params: Any, given: dict[str, jax.Array], point: jax.Array) -> jax.Array:
        return encoder.apply(
            {"params": params},
            point,
            given["gene_mask"],
            given["nodes"],
            given["propagation"],
            train=False,
        ).logits

    return {"affine": affine, "written_out": written_out}


def jax_half(options: argparse.Namespace) -> None:
    """Writes the inputs of the other half, explains, and serves."""
    run = make_run(options.folder)
    sizes = export(run, options.export)
    model, batch = run.task.model, run.batch(0)
    with np.load(options.export / "params.npz") as stored:
        params = flax.traverse_util.unflatten_dict(dict(stored), sep="/")["signature"]
    encoder = SignatureEncoder(
        model.num_moas,
        model.features,
        model.hidden,
        model.gene_dropout,
        model.dropout,
    )
    rows = np.flatnonzero(np.asarray(batch.expression_mask))[: options.signatures]
    num_nodes, num_features = run.graph.propagation.shape[1], model.knowledge_features
    given = {
        "expression": jnp.asarray(batch.expression)[rows],
        "gene_mask": jnp.asarray(batch.gene_mask)[rows],
        # Any node states will do, as long as they are the same in both halves.
        "nodes": jax.random.normal(jax.random.key(0), (num_nodes, num_features)),
        "propagation": jnp.asarray(run.graph.propagation),
    }
    names = ("expression", "gene_mask", "nodes", "propagation")
    answer = encoder.apply({"params": params}, *map(given.get, names), train=False).logits
    given["direction"] = jax.nn.one_hot(answer.argmax(axis=1), model.num_moas)
    explain = ways(encoder, options.steps)
    found = {way: np.asarray(explain[way](params, given)) for way in explain}
    arrays = {name: np.asarray(value) for name, value in given.items()}
    np.savez(options.export / "explained.npz", contributions=found["affine"], **arrays)
    facts = {
        "version": jax.__version__,
        "parameters": sizes["parameters"]["signature"],
        "signatures": len(rows),
        "largest_contribution": float(np.abs(found["affine"]).max()),
        "largest_difference": float(np.abs(found["affine"] - found[options.way]).max()),
    }
    serve(lambda: jax.block_until_ready(explain[options.way](params, given)), facts)


def main() -> None:
    """Compares, or runs one half."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="prepared folder")
    parser.add_argument("--torch_python", help="Python of Captum's environment")
    parser.add_argument("--signatures", type=int, default=32)
    parser.add_argument("--steps", type=int, default=64, help="points of a path")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--calls", type=int, default=3, help="calls of a turn")
    parser.add_argument("--export", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", default="affine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.export:
        jax_half(options)
        return
    own = [sys.executable, "-m", "experiments.explanation_cost.against_captum"]
    own += [str(options.folder), f"--signatures={options.signatures}", f"--steps={options.steps}"]
    with tempfile.TemporaryDirectory() as export_to:
        theirs = [options.torch_python, "-m", "experiments.explanation_cost.captum_half", export_to]
        commands = {
            "ours": [*own, f"--export={export_to}"],
            "jax.grad and vmap": [*own, f"--export={export_to}", "--way=written_out"],
            "Captum": [*theirs, f"--steps={options.steps}"],
            "Captum, one by one": [*theirs, f"--steps={options.steps}", "--one_by_one"],
        }
        workers = {name: Worker(command, 1) for name, command in commands.items()}
        for name, worker in workers.items():
            print(f"{name}: {worker.facts}")
        turns = take_turns(workers, options.turns, options.calls)
        for worker in workers.values():
            worker.close()
    print(f"\n{table(turns, 'ours')}")


if __name__ == "__main__":
    main()
