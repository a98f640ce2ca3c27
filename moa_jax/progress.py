"""Progress of long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

# Seconds between two lines where the output is not a terminal.
LOG_INTERVAL_S = 20.0


def say(message: str) -> None:
    """Prints one line on stderr without breaking a running progress bar."""
    tqdm.write(message, file=sys.stderr)
    sys.stderr.flush()


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yields `items`, showing progress, rate and time left.

    Args:
      items: the items of work.
      label: name of the bar.
      total: number of items, if `items` has no length.
    """
    if total is None:
        total = len(items) if hasattr(items, "__len__") else None
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, file=sys.stderr, dynamic_ncols=True)
        return
    start = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LOG_INTERVAL_S and total:
            last = now
            left = (now - start) / count * (total - count)
            say(f"{label}: {count}/{total}, {count / (now - start):.1f}/s, {left:.0f} s left")
