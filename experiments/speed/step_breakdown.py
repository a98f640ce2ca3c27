"""Where the time of a training step of `configs/cross_attention.py` goes.

    python -m experiments.speed.step_breakdown FOLDER

FOLDER is a prepared folder. Each part is compiled separately, forward and forward with backward,
and the parts are timed in turns. XLA compiles the whole step as one program, so the parts need not
sum to it; the backward pass of a part includes gradients of its inputs from other parts.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.speed.jax_step import make_run
from experiments.speed.turns import measure
from moa_jax.data.examples.batches import make_batch, training_rows
from moa_jax.models.cross_attention import AtomAttention, NodeAttention
from moa_jax.models.encoders.knowledge import KnowledgeEncoder
from moa_jax.models.encoders.molecule import MoleculeEncoder
from moa_jax.models.encoders.signature import SignatureEncoder
from moa_jax.training.fit import Run
from moa_jax.training.optimiser import make_optimiser
from moa_jax.training.sharding import shard

# A function, its differentiated inputs, and its other inputs.
Part = tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]


def parts_of(run: Run) -> dict[str, Part]:
    """Encoders and attentions of the run's model with their inputs in the first step."""
    model, batch, graph = run.task.model, run.batch(0), run.graph
    params = run.initial_state().params
    knowledge = KnowledgeEncoder(
        model.num_genes, model.num_terms, model.knowledge_features, model.knowledge_layers
    )
    signatures, molecules = _encoders(model)
    to_nodes = NodeAttention(model.features, model.num_heads)
    to_atoms = AtomAttention(model.features, model.num_heads)
    nodes = jax.jit(knowledge.apply)({"params": params["knowledge"]}, graph)
    encoded = jax.jit(signatures)(params["signature"], nodes, batch, graph)
    shown = jax.jit(molecules)(params["molecule"], batch)
    return {
        "knowledge encoder": (
            lambda params, graph: knowledge.apply({"params": params}, graph),
            (params["knowledge"],),
            (graph,),
        ),
        "signature encoder": (
            lambda *inputs: _outputs(signatures(*inputs)),
            (params["signature"], nodes),
            (batch, graph),
        ),
        "molecule encoder": (
            lambda *inputs: _outputs(molecules(*inputs), with_atoms=True),
            (params["molecule"],),
            (batch,),
        ),
        "attention to nodes": (
            lambda params, *inputs: to_nodes.apply({"params": params}, *inputs)[0],
            (params["node_attention"], shown.state),
            (encoded.activity, nodes),
        ),
        "attention to atoms": (
            lambda params, *inputs: to_atoms.apply({"params": params}, *inputs)[0],
            (params["atom_attention"], encoded.state, shown.atoms),
            (batch.molecules.owner, batch.molecules.atom_mask),
        ),
    }


def _encoders(model: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Signature and molecule encoder as functions of parameters and inputs."""
    signature = SignatureEncoder(
        model.num_moas, model.features, model.hidden, model.gene_dropout, model.dropout
    )
    molecule = MoleculeEncoder(
        model.num_moas,
        model.features,
        model.atom_features,
        model.molecule_layers,
        model.hidden,
        model.bit_dropout,
        model.dropout,
    )
    rngs = {"dropout": jax.random.key(0)}

    def signatures(params: Any, nodes: Array, batch: Any, graph: Any) -> Any:
        return signature.apply(
            {"params": params},
            batch.expression,
            batch.gene_mask,
            nodes,
            graph.propagation,
            train=True,
            rngs=rngs,
        )

    def molecules(params: Any, batch: Any) -> Any:
        return molecule.apply(
            {"params": params}, batch.molecules, batch.fingerprint, train=True, rngs=rngs
        )

    return signatures, molecules


def _outputs(encoding: Any, *, with_atoms: bool = False) -> tuple[Array, ...]:
    return encoding.logits, encoding.state, *((encoding.atoms,) if with_atoms else ())


def timed_parts(run: Run) -> dict[str, Callable[[], Any]]:
    """Calls to be timed; each blocks until it is done."""
    calls: dict[str, Callable[[], Any]] = {}
    rows = training_rows(run._train.num_examples, run.config.training.batch_size, seed=0, step=0)
    host = make_batch(run._train, rows, len(rows), num_shards=1)
    calls["input: batch on the host"] = lambda: make_batch(
        run._train, rows, len(rows), num_shards=1
    )
    calls["input: to the device"] = lambda: jax.block_until_ready(shard(host, run.mesh))
    for name, (function, trained, others) in parts_of(run).items():
        calls[f"{name}: forward"] = _call(jax.jit(function), *trained, *others)

        def total(*inputs: Any, function: Callable[..., Any] = function) -> Float[Array, ""]:
            return sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(function(*inputs)))

        step = jax.jit(jax.grad(total, argnums=tuple(range(len(trained)))))
        calls[f"{name}: forward + backward"] = _call(step, *trained, *others)
    state = run.initial_state()
    optimiser = make_optimiser(run.config.training.optimiser, run.config.training.num_steps)
    calls["optimiser"] = _call(
        jax.jit(optimiser.update), state.params, state.opt_state, state.params
    )
    batch, graph, held = run.batch(0), run.graph, [run.initial_state()]

    def whole() -> None:
        held[0], metrics = run.train_step(held[0], batch, graph)
        jax.block_until_ready((held[0], metrics))

    calls["whole step"] = whole
    return calls


def _call(function: Callable[..., Any], *inputs: Any) -> Callable[[], Any]:
    return lambda: jax.block_until_ready(function(*inputs))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="prepared folder")
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    calls = timed_parts(make_run(options.folder))
    times: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in calls}
    for turn in range(options.turns + 1):
        for name, call in calls.items():
            measured = measure(call, 1)
            if turn:
                for clock, seconds in measured.items():
                    times[name][clock] += seconds
    print("| part | wall ms, min | wall ms, median | CPU ms, min | CPU ms, median |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, clocks in times.items():
        cells = []
        for clock in ("wall", "cpu"):
            values = 1e3 * np.array(clocks[clock])
            cells += [f"{values.min():.1f}", f"{statistics.median(values):.1f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
