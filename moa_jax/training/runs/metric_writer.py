"""Metrics of a run as JSON lines and TensorBoard files."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping

from tensorboardX import SummaryWriter

from moa_jax.files import write_text
from moa_jax.training.sharding import is_first_process

METRICS_FILE = "metrics.jsonl"


class MetricWriter:
    """Appends to `metrics.jsonl` and to TensorBoard files under `tensorboard/`.

    Every process computes the same numbers; only the first one writes them.
    """

    def __init__(self, folder: pathlib.Path, *, resume_step: int) -> None:
        """Opens the files and removes lines after `resume_step`, whose work was lost."""
        self._writes = is_first_process()
        if not self._writes:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / METRICS_FILE
        kept = [line for line in read_metrics(path) if line["step"] <= resume_step]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._lines = path.open("a", buffering=1)
        self._board = SummaryWriter(
            str(folder / "tensorboard"), purge_step=resume_step + 1 if resume_step else None
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of one step."""
        if not self._writes:
            return
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes and closes both files."""
        if self._writes:
            self._lines.close()
            self._board.close()


def read_metrics(path: pathlib.Path) -> list[dict[str, int | float]]:
    """Reads `metrics.jsonl`, without an unfinished last line that a killed run left."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
