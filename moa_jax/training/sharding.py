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
      InputError: there are fewer devices, or one of several processes would have none.
    """
    available = jax.device_count()
    if num_devices is not None and num_devices > available:
        raise InputError(f"config.num_devices is {num_devices}, but there are {available} devices.")
    if jax.process_count() > 1 and num_devices not in (None, available):
        raise InputError(
            f"config.num_devices is {num_devices}, but several processes use all {available} "
            "devices; set it to 0."
        )
    devices = jax.devices()[:num_devices]
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def make_training_mesh(num_devices: int, batch_size: int, *, micro_batches: int = 1) -> Mesh:
    """The mesh of a training run.

    Args:
      num_devices: devices to use; 0 means all.
      batch_size: examples per step, split over the devices.
      micro_batches: pieces of a device's share of the batch.

    Raises:
      InputError: there are fewer devices, or the batch cannot be split over them.
    """
    mesh = make_mesh(num_devices or None)
    if batch_size % mesh.size:
        raise InputError(
            f"config.training.batch_size is {batch_size}, which is not a multiple of the "
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

    Every process holds the same whole arrays and places the parts of its own devices.
    """
    sharding = NamedSharding(mesh, PartitionSpec("data"))

    def place(leaf: np.ndarray) -> jax.Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(place, tree)


def join_processes() -> None:
    """Joins the processes of one job, if a launcher started several.

    A launcher sets `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`, sets
    `JAX_NUM_PROCESSES=auto` on a cluster that JAX detects (Cloud TPU), or is SLURM's `srun`; see
    `launch/`. Call it before the first use of a device.

    Raises:
      InputError: the variables are incomplete.
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
    # Set only inside `srun`; `SLURM_NTASKS` is also set in the shell of an allocation.
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        jax.distributed.initialize(cluster_detection_method="slurm")


def _count_in(variable: str) -> int:
    text = os.environ.get(variable, "")
    if not text.isdecimal():
        raise InputError(
            f'{variable} is "{text}"; with JAX_COORDINATOR_ADDRESS it must be a number.'
        )
    return int(text)


def is_first_process() -> bool:
    """Whether this is the process that writes files."""
    return jax.process_index() == 0


@contextlib.contextmanager
def one_process_first() -> Iterator[None]:
    """Lets the first process run the body before the others, for work that creates files.

    Raises:
      InputError: in the other processes, if the first one failed; else each side would wait for
        the other.
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


def _receive_from_first(succeeded: bool) -> None:
    """Waits for all processes; raises in the others if the first one failed."""
    if not multihost_utils.broadcast_one_to_all(np.asarray(succeeded)) and not is_first_process():
        raise InputError("the first process failed; see its own message.")
