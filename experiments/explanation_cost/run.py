"""Time of integrated gradients of many signatures, and of loops over them.

    python -m experiments.explanation_cost.run --data=FOLDER

fits the shipped model (configs/frequent.py) to all examples of a prepared folder (the simulated
release by default) and attributes the predicted MoA of its signatures to genes. Loops do the same
for one signature at a time with a program that is compiled once: for all steps of the path, also
with the scores at its ends, for a single step, or for the path as `attribute` evaluates it.
`attribute` is also timed without scores. Each repetition times all in turn, loops on a part of the
signatures. Ratios are of CPU time over all threads, which depends least on other work on the
machine.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import frequent
from moa_jax.data.examples.batches import make_batch
from moa_jax.data.examples.build import structure_only_compounds
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.data.preparation.embedded_release import open_dataset
from moa_jax.data.splits.partition import examples_of
from moa_jax.explanation.attribution.baseline_signatures import no_change
from moa_jax.explanation.attribution.chunked_attribution import attribute
from moa_jax.explanation.attribution.chunks import MAX_ROWS, chunk_size, run_in_chunks
from moa_jax.explanation.attribution.gradients import IntegratedGradients, gauss_legendre
from moa_jax.explanation.attribution.target import AttributionTarget, predicted_directions
from moa_jax.schemas import concatenate
from moa_jax.training.fusion_fit import fit_fusion
from moa_jax.training.runs.predictor import Predictor


def fit(data: str, folder: pathlib.Path) -> tuple[Predictor, Any]:
    """The shipped model fitted to all examples, and those with a signature."""
    config = frequent.get_config()
    config.num_devices = 1
    dataset = open_dataset(data)
    examples = examples_of(config, dataset)
    train = concatenate(examples, structure_only_compounds(dataset, examples))
    nothing = examples.take(np.zeros(0, np.int64))
    return fit_fusion(config, train, nothing, dataset.graph, folder).predictor, examples


# Parameters, a batch of one signature, and the graph.
Model = tuple[Any, Any, Any]


class Loops:
    """Integrated gradients of one signature at a time, by programs that are compiled once."""

    def __init__(self, predictor: Predictor, num_steps: int) -> None:
        """Prepares what does not depend on the signature."""
        self.predictor = predictor
        places, weights = map(np.float32, gauss_legendre(num_steps))
        target, method = AttributionTarget(predictor.task), IntegratedGradients(num_steps)

        @jax.jit
        def slope(model: Model, point: jax.Array, direction: jax.Array) -> jax.Array:
            """Gradient of the score at one point."""
            outputs = target.outputs(*model)
            return jax.grad(lambda point: jnp.sum(outputs(point[None]) * direction))(point)

        @jax.jit
        def path(model: Model, baseline: jax.Array, direction: jax.Array) -> jax.Array:
            """All points of the path at once."""
            change = model[1].expression[0] - baseline
            points = baseline + places[:, None] * change
            slopes = jax.vmap(slope, (None, 0, None))(model, points, direction)
            return change * (weights @ slopes)

        @jax.jit
        def path_and_scores(
            model: Model, baseline: jax.Array, direction: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            """The same, and the scores at both ends."""
            outputs = target.outputs(*model)
            ends = jnp.stack([outputs(model[1].expression), outputs(baseline[None])])
            return path(model, baseline, direction), ends @ direction

        @jax.jit
        def affine(model: Model, baseline: jax.Array, direction: jax.Array) -> jax.Array:
            """With the method that `attribute` uses."""
            return method(
                target.outputs(*model),
                model[1].expression,
                baseline[None, None],
                direction[None, None],
                keys=jax.random.key(0)[None],
            )[0, 0]

        def steps(model: Model, baseline: np.ndarray, direction: np.ndarray) -> np.ndarray:
            """One point of the path after the other."""
            change, total = np.asarray(model[1].expression[0]) - baseline, 0.0
            for place, weight in zip(places, weights, strict=True):
                total += weight * np.asarray(slope(model, baseline + place * change, direction))
            return change * total

        self.ways = {
            "loop over signatures": path,
            "loop, with scores": lambda *given: path_and_scores(*given)[0],
            "loop over steps, too": steps,
            "loop, affine path": affine,
        }

    def explain(
        self, way: str, examples: EncodedExamples, directions: np.ndarray, baselines: np.ndarray
    ) -> np.ndarray:
        """Contributions of genes, example by example."""
        predictor, run = self.predictor, self.ways[way]
        found = []
        for row in range(examples.num_examples):
            batch = make_batch(examples, np.array([row]), 1, num_shards=1)
            model = predictor.params, batch, predictor.graph
            found.append(run(model, baselines[row, 0], directions[row, 0]))
        return np.stack(found)


def seconds(work: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """CPU time of some work, of all threads together; wall-clock time; and its result."""
    start = time.process_time(), time.perf_counter()
    found = work()
    return time.process_time() - start[0], time.perf_counter() - start[1], found


def read_settings() -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="")
    parser.add_argument("--num-signatures", type=int, default=1_000)
    parser.add_argument("--num-steps", type=int, default=64)
    parser.add_argument("--num-looped", type=int, default=40)
    parser.add_argument("--max-rows", type=int, default=MAX_ROWS)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


def print_table(taken: Mapping[str, Sequence[float]], chunked: Sequence[str]) -> None:
    """Prints the time per signature of all, and its ratio to that of the chunked ones."""
    print("milliseconds of CPU time per signature, one number per repetition; medians over those")
    print(f"of {' and '.join(chunked)}:")
    for name, found in taken.items():
        numbers = " ".join(f"{1000 * one:9.2f}" for one in found)
        ratios = " ".join(f"{np.median(found) / np.median(taken[other]):7.1f}" for other in chunked)
        print(f"  {name:22} {numbers}   x {ratios}")


def main() -> None:
    """Fits, times, compares and prints."""
    settings = read_settings()
    with tempfile.TemporaryDirectory() as folder:
        predictor, examples = fit(settings.data, pathlib.Path(folder))
    rows = np.random.default_rng(0).choice(
        examples.num_examples,
        settings.num_signatures,
        replace=settings.num_signatures > examples.num_examples,
    )
    chosen = examples.take(rows)
    encoded = predictor.encode(chosen)
    directions = predicted_directions(predictor.predict(encoded)["fusion"])
    baselines = no_change(encoded, predictor.features)
    references = {
        name: np.shape(part["references"])
        for name, part in predictor.params.items()
        if isinstance(part, Mapping) and "references" in part
    }
    print(f"devices {jax.devices()}; references {references}")

    loops = Loops(predictor, settings.num_steps)
    part = encoded.take(np.arange(settings.num_looped))
    looped = {
        name: lambda name=name: loops.explain(name, part, directions, baselines)
        for name in loops.ways
    }
    chunked = chunked_ways(predictor, encoded, directions, baselines, settings)
    for name, work in {**looped, **chunked}.items():
        cpu, wall, _ = seconds(work)
        print(f"first call, with compilation: {name} {cpu:.1f} s of CPU time, {wall:.1f} s")
    print_table(measured(looped, chunked, settings), tuple(chunked))


def chunked_ways(
    predictor: Predictor,
    encoded: EncodedExamples,
    directions: np.ndarray,
    baselines: np.ndarray,
    settings: argparse.Namespace,
) -> dict[str, Callable[[], np.ndarray]]:
    """Attribution of many signatures at once, with and without scores."""
    attribution_target, method = (
        AttributionTarget(predictor.task),
        IntegratedGradients(settings.num_steps),
    )

    def with_scores() -> np.ndarray:
        found = attribute(
            predictor,
            encoded,
            attribution_target,
            directions,
            method,
            baselines=baselines,
            max_rows=settings.max_rows,
        )
        gap = found.completeness_gap
        print(f"completeness gap: median {np.median(gap):.1e}, largest {gap.max():.1e}")
        return found.values

    @jax.jit
    def contributions(params: Any, batch: Any, graph: Any, own: Any) -> jax.Array:
        return method(
            attribution_target.outputs(params, batch, graph),
            batch.expression,
            own["baselines"],
            own["directions"],
            keys=jax.random.split(jax.random.key(0), len(batch.expression)),
        )

    def without_scores() -> np.ndarray:
        own = {"directions": directions, "baselines": baselines}
        size = chunk_size(encoded.num_examples, 1, settings.max_rows, 1)
        return run_in_chunks(contributions, predictor, encoded, own, size=size)

    return {"attribute": with_scores, "attribute, no scores": without_scores}


def measured(
    looped: Mapping[str, Callable[[], np.ndarray]],
    chunked: Mapping[str, Callable[[], np.ndarray]],
    settings: argparse.Namespace,
) -> dict[str, list[float]]:
    """Seconds of CPU time per signature of every way, one number per repetition."""
    taken: dict[str, list[float]] = {name: [] for name in (*looped, *chunked)}
    for _ in range(settings.repetitions):
        one_by_one: dict[str, np.ndarray] = {}
        for name, work in looped.items():
            cpu, _, one_by_one[name] = seconds(work)
            taken[name].append(cpu / settings.num_looped)
        for name, work in chunked.items():
            cpu, wall, values = seconds(work)
            taken[name].append(cpu / settings.num_signatures)
            difference = max(
                np.abs(values[: settings.num_looped, 0] - found).max()
                for found in one_by_one.values()
            )
            print(
                f"{name}: {settings.num_signatures} signatures in {cpu:.1f} s of CPU time, "
                f"{wall:.1f} s of wall-clock time; largest difference from a loop "
                f"{difference:.1e}, largest contribution {np.abs(values).max():.1e}"
            )
    return taken


if __name__ == "__main__":
    main()
