"""One mesh axis, `data`: parameters and graph replicated, examples split."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from moa_jax.schemas import InputError

Tree = TypeVar("Tree")


def make_mesh(num_devices: int | None = None) -> Mesh:
    """A mesh over the first `num_devices` devices of all processes (all where None).

    The axis is Auto: with Explicit axes linen's Dropout and graph gathers raise.

    Raises:
      InputError: there are fewer devices, or one of several processes would be left without.
    """
    found = jax.device_count()
    if num_devices is not None and num_devices > found:
        raise InputError(f"config.num_devices is {num_devices}, but there are {found} devices.")
    if jax.process_count() > 1 and num_devices not in (None, found):
        raise InputError(
            f"config.num_devices is {num_devices}; several processes use all {found} devices (0)."
        )
    devices = jax.devices()[:num_devices]
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def make_training_mesh(num_devices: int, batch_size: int, *, micro_batches: int = 1) -> Mesh:
    """The mesh of a training run.

    Args:
      num_devices: devices to use; 0 means all.
      batch_size: examples per step, split over the devices.
      micro_batches: pieces in which each device takes its part.

    Raises:
      InputError: there are fewer devices, or the batch cannot be split over them.
    """
    mesh = make_mesh(num_devices or None)
    if batch_size % mesh.size:
        raise InputError(
            f"config.training.batch_size is {batch_size}, which is no multiple of the "
            f"{mesh.size} devices."
        )
    if micro_batches < 1 or batch_size % (mesh.size * micro_batches):
        raise InputError(
            f"config.training.micro_batches is {micro_batches}, which does not divide the "
            f"{batch_size // mesh.size} examples of a device."
        )
    return mesh


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Puts a whole copy of every array on every device."""
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), tree
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


def join_processes() -> None:
    """Joins the processes of one job, where a launcher started several.

    A launcher says so by `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`,
    by `JAX_NUM_PROCESSES=auto` on a cluster that JAX knows (Cloud TPU), or is SLURM's `srun`;
    see `launch/`. Must come before the first use of a device.

    Raises:
      InputError: the variables do not say how to join.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address:
        jax.distributed.initialize(
            coordinator_address=address,
            num_processes=_count_in("JAX_NUM_PROCESSES"),
            process_id=_count_in("JAX_PROCESS_ID"),
        )
    elif os.environ.get("JAX_NUM_PROCESSES") == "auto":
        try:
            jax.distributed.initialize()
        except ValueError as error:
            raise InputError(
                f"JAX_NUM_PROCESSES is auto, but JAX does not know this cluster: {error}"
            ) from None
    # Set inside `srun` alone; `SLURM_NTASKS` is also there in the shell of an allocation.
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        jax.distributed.initialize(cluster_detection_method="slurm")


def _count_in(variable: str) -> int:
    text = os.environ.get(variable, "")
    if not text.isdecimal():
        raise InputError(
            f'{variable} is "{text}"; beside JAX_COORDINATOR_ADDRESS it must be a number.'
        )
    return int(text)


def is_first_process() -> bool:
    """Whether this process writes what all of them know."""
    return jax.process_index() == 0


@contextlib.contextmanager
def one_process_first() -> Iterator[None]:
    """Lets the first process go through the body before the others.

    For work that makes files when they are not there yet.

    Raises:
      InputError: in the other processes, where the first one failed: it would wait for them at
        its end, and they for it here.
    """
    if jax.process_count() == 1:
        yield
        return
    if not is_first_process():
        _receive_from_first(True)
        yield
        return
    try:
        yield
    except Exception:
        _receive_from_first(False)
        raise
    _receive_from_first(True)


def _receive_from_first(well: bool) -> None:
    """Waits for all processes and hands on how it went in the first one."""
    if not multihost_utils.broadcast_one_to_all(np.asarray(well)) and not is_first_process():
        raise InputError("the first process failed; its own message says why.")
