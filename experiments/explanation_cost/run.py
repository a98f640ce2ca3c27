"""Seconds for integrated gradients of many signatures, and of loops over them.

    python -m experiments.explanation_cost.run --data=FOLDER

fits the shipped model (configs/fusion.py) to all examples of a prepared folder (the embedded
simulated release where none is named) and explains the predicted MoA of its signatures by genes.
The loops do the same for one signature at a time with a program that was compiled once, either
for all steps of the path or for a single one. Each repetition times them in turn, the loops on a
part of the signatures. Ratios are of CPU time over all threads, which other work on the machine
disturbs least.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import fusion
from moa_jax.data.batches import make_batch
from moa_jax.data.embedded import open_dataset
from moa_jax.data.examples import build_examples, concatenate, further_structures
from moa_jax.data.features import EncodedExamples, encode
from moa_jax.explanation.attribution import attribute
from moa_jax.explanation.baseline_signatures import no_change
from moa_jax.explanation.chunks import MAX_ROWS, take
from moa_jax.explanation.gradients import IntegratedGradients, gradients
from moa_jax.explanation.paths import quadrature
from moa_jax.explanation.scores import Question, predicted_directions
from moa_jax.training.predictor import Predictor
from moa_jax.training.recipe import fit_fusion


def fit(data: str, folder: pathlib.Path) -> tuple[Predictor, Any]:
    """The shipped model fitted to all examples, and those with a signature."""
    config = fusion.get_config()
    config.num_devices = 1
    dataset = open_dataset(data)
    examples = build_examples(dataset, min_compounds=config.min_compounds)
    train = concatenate(examples, further_structures(dataset, examples))
    nobody = examples.take(np.zeros(0, np.int64))
    return fit_fusion(config, train, nobody, dataset.graph, folder).predictor, examples


class Loops:
    """Integrated gradients of one signature at a time, compiled once."""

    def __init__(self, predictor: Predictor, num_steps: int) -> None:
        """Prepares what does not depend on the signature."""
        self.predictor, self.num_steps = predictor, num_steps
        self.points, self.weights = map(np.float32, quadrature("gauss_legendre", num_steps))
        question = Question(predictor.task)

        @jax.jit
        def slopes(params: Any, batch: Any, graph: Any, points: Any, directions: Any) -> Any:
            outputs = question.outputs(params, batch, graph)
            return jax.vmap(lambda point: gradients(outputs, point[None], directions[None]))(points)

        self.slopes = slopes

    def explain(
        self, examples: EncodedExamples, directions: Any, baselines: Any, *, steps_at_once: int
    ) -> np.ndarray:
        """Contributions of genes, example by example."""
        predictor, found = self.predictor, []
        for row in range(examples.num_examples):
            batch = make_batch(examples, np.array([row]), 1, num_shards=1)
            change = examples.expression[row] - baselines[row, 0]
            points = baselines[row, 0] + self.points[:, None] * change
            total = np.zeros((directions.shape[1], len(change)), np.float32)
            for start in range(0, self.num_steps, steps_at_once):
                part = slice(start, start + steps_at_once)
                slopes = self.slopes(
                    predictor.params,
                    batch,
                    predictor.graph,
                    jnp.asarray(points[part]),
                    directions[row],
                )
                total += np.tensordot(self.weights[part], np.asarray(slopes)[:, 0], axes=1)
            found.append(total * change)
        return np.stack(found)


def seconds(work: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """CPU time of some work, of all threads together; wall-clock time; and its result."""
    start = time.process_time(), time.perf_counter()
    found = work()
    return time.process_time() - start[0], time.perf_counter() - start[1], found


def main() -> None:
    """Fits, times, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="")
    parser.add_argument("--num-signatures", type=int, default=1_000)
    parser.add_argument("--num-steps", type=int, default=64)
    parser.add_argument("--num-looped", type=int, default=40)
    parser.add_argument("--max-rows", type=int, default=MAX_ROWS)
    parser.add_argument("--repetitions", type=int, default=3)
    settings = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        predictor, examples = fit(settings.data, pathlib.Path(folder))
    rows = np.random.default_rng(0).choice(
        examples.num_examples,
        settings.num_signatures,
        replace=settings.num_signatures > examples.num_examples,
    )
    chosen = examples.take(rows)
    encoded = encode(chosen, predictor.features)
    directions = predicted_directions(predictor.predict(chosen)["fusion"])
    baselines = no_change(encoded, predictor.features)
    references = {
        name: np.shape(part["references"])
        for name, part in predictor.params.items()
        if name.endswith("_kernel")
    }
    print(f"devices {jax.devices()}; references {references}")

    def all_at_once() -> np.ndarray:
        question, method = Question(predictor.task), IntegratedGradients(settings.num_steps)
        found = attribute(
            predictor,
            encoded,
            question,
            directions,
            method,
            baselines=baselines,
            max_rows=settings.max_rows,
        )
        gap = found.completeness_gap
        print(f"completeness gap: median {np.median(gap):.1e}, largest {gap.max():.1e}")
        return found.values

    loops = Loops(predictor, settings.num_steps)
    part = take(encoded, np.arange(settings.num_looped))
    sizes = {"loop over signatures": settings.num_steps, "loop over steps, too": 1}
    ways = {
        name: lambda size=size: loops.explain(part, directions, baselines, steps_at_once=size)
        for name, size in sizes.items()
    }
    for name, work in (*ways.items(), ("all at once", all_at_once)):
        cpu, wall, _ = seconds(work)
        print(f"first call, with compilation: {name} {cpu:.1f} s of CPU time, {wall:.1f} s")
    taken: dict[str, list[float]] = {name: [] for name in (*ways, "all at once")}
    for _ in range(settings.repetitions):
        for name, work in ways.items():
            cpu, _, looped = seconds(work)
            taken[name].append(cpu / settings.num_looped)
        cpu, wall, values = seconds(all_at_once)
        taken["all at once"].append(cpu / settings.num_signatures)
        difference = np.abs(values[: settings.num_looped] - looped).max()
        print(
            f"{settings.num_signatures} signatures in {cpu:.1f} s of CPU time, {wall:.1f} s of "
            f"wall-clock time; largest difference from the loop {difference:.1e}, largest "
            f"contribution {np.abs(values).max():.1e}"
        )
    print(
        "milliseconds of CPU time per signature, one number per repetition; ratio of the medians:"
    )
    fast = np.median(taken["all at once"])
    for name, found in taken.items():
        numbers = " ".join(f"{1000 * one:9.2f}" for one in found)
        print(f"  {name:22} {numbers}   x {np.median(found) / fast:.1f}")


if __name__ == "__main__":
    main()
