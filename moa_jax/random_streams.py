"""Named independent random streams: a draw under one name does not influence the others."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """The generator of the stream `name`, number `index`, under `seed`."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), index])
