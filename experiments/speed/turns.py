"""Processes that take turns: each runs some steps on request and returns their times.

For each turn a worker reads one line from its standard input, the number of steps, and writes one
line of JSON. This module needs neither JAX nor PyTorch, so both workers can import it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def measure(step: Callable[[], object], num_steps: int) -> dict[str, list[float]]:
    """Wall-clock seconds and CPU seconds of all threads, of each of `num_steps` steps.

    `step` must return only when its work is done.
    """
    times: dict[str, list[float]] = {"wall": [], "cpu": []}
    for _ in range(num_steps):
        start = time.perf_counter(), time.process_time()
        step()
        times["wall"].append(time.perf_counter() - start[0])
        times["cpu"].append(time.process_time() - start[1])
    return times


def serve(step: Callable[[], object], facts: Mapping[str, Any]) -> None:
    """Writes `facts`, then runs steps on request until the input ends."""
    answers = sys.stdout
    print(json.dumps(facts), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(step, int(line))), file=answers, flush=True)


class Worker:
    """A process that serves steps."""

    def __init__(self, command: Sequence[str], num_threads: int) -> None:
        """Starts the process on the first `num_threads` processors and waits for its facts."""
        processors = sorted(os.sched_getaffinity(0))[:num_threads]
        if len(processors) < num_threads:
            raise ValueError(f"{num_threads} threads need {num_threads} processors.")
        self._process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, processors)), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(num_threads), "JAX_PLATFORMS": "cpu"},
        )
        self.facts = self._answer()

    def steps(self, num_steps: int) -> dict[str, list[float]]:
        """Runs some steps and returns their times; see `measure`."""
        self._process.stdin.write(f"{num_steps}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with status {self._process.wait()}.")
        return json.loads(line)
