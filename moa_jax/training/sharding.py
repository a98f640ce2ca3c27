"""One mesh axis, `data`: parameters and graph replicated, examples split."""

from __future__ import annotations

from typing import TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


def make_mesh(num_devices: int | None = None) -> Mesh:
    """A mesh over the first `num_devices` devices of all processes (all where None).

    The axis is Auto: with Explicit axes linen's Dropout and graph gathers raise.
    """
    devices = jax.devices()[:num_devices]
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Puts a whole copy of every array on every device."""
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: (
            jax.make_array_from_process_local_data(sharding, np.asarray(leaf))
            if not jax.dtypes.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)
            else jax.device_put(leaf, sharding)
        ),
        tree,
    )


def shard(tree: Tree, mesh: Mesh) -> Tree:
    """Splits the first axis of every array over the devices.

    Every process holds the same whole arrays and hands over the part of its own devices.
    """
    sharding = NamedSharding(mesh, PartitionSpec("data"))

    def place(leaf: np.ndarray) -> jax.Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(place, tree)
