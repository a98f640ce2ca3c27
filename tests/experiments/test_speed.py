"""The speed experiment: processes take turns, and differences between versions are found."""

import sys

import jax
import numpy as np
import pytest

from experiments.speed.compare import table, take_turns
from experiments.speed.jax_step import MODULES, flat, module_shapes, parameter_counts
from experiments.speed.turns import Worker, measure
from tests.synthetic import NUM_GENES, NUM_MOAS, NUM_TERMS, batch_of, make_graph, make_model

SERVER = (
    "from experiments.speed.turns import serve; import time; "
    "serve(lambda: time.sleep({seconds}), {{'parameters': 3}})"
)


def worker(seconds):
    return Worker([sys.executable, "-c", SERVER.format(seconds=seconds)], 1)


def test_workers_take_turns_and_the_first_turn_does_not_count():
    workers = {"fast": worker(0.002), "slow": worker(0.02)}
    assert workers["slow"].facts == {"parameters": 3}
    turns = take_turns(workers, 2, 3)
    for one in workers.values():
        one.close()
    assert [[len(turn["wall"]) for turn in counted] for counted in turns.values()] == [[3, 3]] * 2
    assert min(turns["slow"][0]["wall"]) >= 0.02 > min(turns["fast"][0]["wall"]) >= 0.002


def test_a_worker_that_ends_is_noticed():
    with pytest.raises(RuntimeError, match="ended with status 3"):
        Worker([sys.executable, "-c", "raise SystemExit(3)"], 1)


def test_ratios_are_taken_turn_by_turn_from_the_fastest_steps():
    clocks = lambda *seconds: {"wall": list(seconds), "cpu": [2 * s for s in seconds]}  # noqa: E731 (4 uses)
    turns = {
        "JAX": [clocks(0.1, 0.4), clocks(0.2, 0.2)],
        "PyTorch": [clocks(0.3, 0.9), clocks(0.5, 0.4)],
    }
    rows = table(turns, "JAX").splitlines()
    assert rows[2] == (
        "| JAX | 100 | 200 | 200 | 400 | 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) |"
    )
    assert rows[3] == (
        "| PyTorch | 300 | 450 | 600 | 900 | 2.50 (2.00 to 3.00) | 2.50 (2.00 to 3.00) |"
    )


def test_measure_times_every_step():
    calls = []
    times = measure(lambda: calls.append(0), 4)
    assert len(calls) == len(times["wall"]) == len(times["cpu"]) == 4


def test_sizes_and_shapes_are_exported():
    model = make_model(experts=("signature", "molecule", "joint"))
    batch, graph = batch_of(8), make_graph()
    init = lambda *inputs: model.init(jax.random.key(0), *inputs, train=False)  # noqa: E731 (one use)
    params = jax.eval_shape(init, batch, graph)["params"]
    counts = parameter_counts(params)
    # Two tables of embeddings and two layers of 7 relations, 2 dense layers and 2 norms.
    layer = 7 * 36 + 2 * (36 + 6) + 2 * 12
    assert counts["knowledge"] == (NUM_GENES + NUM_TERMS) * 6 + 2 * layer
    shapes = module_shapes(model, params, batch, graph)
    assert sorted(shapes) == sorted(MODULES)
    assert shapes["knowledge"] == [[NUM_GENES + NUM_TERMS, 6]]
    assert [8, NUM_MOAS] in shapes["signature"]
    assert shapes["node_attention"] == [[8, 8], [8, 2, NUM_GENES + NUM_TERMS]]
    arrays = flat(graph)
    assert {"interacts/senders", "propagation"} <= set(arrays)
    np.testing.assert_array_equal(arrays["is_a/receivers"], graph.is_a.receivers)
