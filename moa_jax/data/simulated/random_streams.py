"""Independent random streams by name, so that one part of a release never shifts another's."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """The generator of the stream `name`, number `index`, under `seed`."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), index])
