"""The training step in JAX and in PyTorch with PyG, timed in turns.

    python -m experiments.speed.compare FOLDER --torch_python=TORCH_VENV/bin/python

FOLDER is a prepared folder. Both processes have the same batch and processors; only one of them
runs at a time.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile

from experiments.speed.turns import Worker

Times = dict[str, list[float]]


def take_turns(
    workers: dict[str, Worker], num_turns: int, num_steps: int
) -> dict[str, list[Times]]:
    """Times of each worker's turns, after a warm-up turn each."""
    turns: dict[str, list[Times]] = {name: [] for name in workers}
    for turn in range(num_turns + 1):
        for name, worker in workers.items():
            times = worker.steps(num_steps)
            if turn:
                turns[name].append(times)
    return turns


def table(turns: dict[str, list[Times]], reference: str) -> str:
    """Milliseconds of a step, and ratios to the reference.

    Ratios are those of the fastest steps of each turn.
    """
    lines = [
        "| step | wall ms, min | wall ms, median | CPU ms, min | CPU ms, median "
        "| wall ratio, median (min to max) | CPU ratio, median (min to max) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, counted in turns.items():
        cells = [name]
        for clock in ("wall", "cpu"):
            times = [1e3 * seconds for turn in counted for seconds in turn[clock]]
            cells += [f"{min(times):.0f}", f"{statistics.median(times):.0f}"]
        for clock in ("wall", "cpu"):
            ratios = [
                min(turn[clock]) / min(other[clock])
                for turn, other in zip(counted, turns[reference], strict=True)
            ]
            cells.append(
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compare(options: argparse.Namespace, num_threads: int, export: pathlib.Path) -> None:
    """Prints the facts of both workers, and the table."""
    modules = "experiments.speed.jax_step", "experiments.speed.torch_step"
    workers = {
        "JAX": Worker(
            [sys.executable, "-m", modules[0], str(options.folder), str(export)], num_threads
        )
    }
    torch = [options.torch_python, "-m", modules[1], str(export), f"--adamw={options.adamw}"]
    workers["PyTorch"] = Worker(torch, num_threads)
    for name, flag in (("written_out", "--attention=written_out"), ("compiled", "--compile")):
        if name in options.also:
            workers[f"PyTorch, {name}"] = Worker([*torch, flag], num_threads)
    print(f"\n{num_threads} threads")
    for name, worker in workers.items():
        print(f"{name}: {worker.facts}")
    if len({worker.facts["parameters"] for worker in workers.values()}) > 1:
        raise ValueError("the workers differ in the number of parameters.")
    turns = take_turns(workers, options.turns, options.steps)
    for worker in workers.values():
        worker.close()
    print(f"\n{table(turns, 'JAX')}\n", flush=True)


def main() -> None:
    """Compares with each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="prepared folder")
    parser.add_argument("--torch_python", required=True, help="Python of the PyTorch environment")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn")
    parser.add_argument("--adamw", default="fused", help="see torch_step")
    parser.add_argument(
        "--also",
        nargs="+",
        default=[],
        choices=("written_out", "compiled"),
        help="other PyTorch versions: its attention over tokens, torch.compile",
    )
    options = parser.parse_args()
    for num_threads in options.threads:
        with tempfile.TemporaryDirectory() as export:
            compare(options, num_threads, pathlib.Path(export))


if __name__ == "__main__":
    main()
