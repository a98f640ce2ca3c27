"""Runs of one configuration that differ in their seed alone, trained in one compiled step."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array

from moa_jax.progress import track
from moa_jax.schemas import Batch, Examples, GraphArrays, InputError
from moa_jax.training.fit import Run, Session
from moa_jax.training.predictor import Predictor
from moa_jax.training.sharding import shard
from moa_jax.training.step import TrainState, train_step_of
from moa_jax.training.task import Task, Views


def train_members(runs: Sequence[Run], *, num_steps: int | None = None) -> tuple[Predictor, ...]:
    """Trains several runs at once, each into its own folder as if it were trained alone.

    Their states are stacked and the step is vmapped over them. Each member keeps its own batches,
    keys, optimiser and validation; one that is over rests while the others go on. Interrupted
    members continue: those that are behind catch up alone.

    Args:
      runs: runs of one task, configuration and mesh, with different seeds and folders.
      num_steps: see `Run.train`.

    Returns:
      The predictor of each run; see `Run.train`.

    Raises:
      InputError: the runs differ in more than their seeds, or a folder holds another run.
    """
    _refuse_unlike(runs)
    sessions = [run.open(num_steps=num_steps) for run in runs]
    first = max(session.done for session in sessions)
    for session in sessions:
        session.go_on_to(first)
    active = [session for session in sessions if not session.is_over]
    if active:
        _train_together(active)
    return tuple(session.close() for session in sessions)


def _refuse_unlike(runs: Sequence[Run]) -> None:
    def told(run: Run) -> dict[str, Any]:
        return {**run.config.to_dict(), "seed": None}

    if any(told(run) != told(runs[0]) or run.task != runs[0].task for run in runs):
        raise InputError("members of one training differ in more than their seeds.")
    if len({run.workdir for run in runs}) < len(runs):
        raise InputError("members of one training share a folder; expected one for each.")


def _train_together(sessions: Sequence[Session]) -> None:
    run, num_steps = sessions[0].run, sessions[0].num_steps
    step_of_all = _make_members_step(run.task, ml_collections.FrozenConfigDict(run.config.training))
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(one.state for one in sessions))
    for step in track(range(sessions[0].done, num_steps), "training"):
        if all(session.is_over for session in sessions):
            break
        states, metrics = step_of_all(states, _stacked_batch(sessions, step), run.graph)
        for place, session in enumerate(sessions):
            if not session.is_over:
                session.advance(functools.partial(_member, (states, metrics), place))


@functools.lru_cache(maxsize=32)
def _make_members_step(
    task: Task, config: ml_collections.FrozenConfigDict
) -> Callable[[TrainState, Batch, GraphArrays], tuple[TrainState, dict[str, Array]]]:
    """The update of all members; their states are donated."""
    return jax.jit(jax.vmap(train_step_of(task, config), in_axes=(0, 0, None)), donate_argnums=0)


def _member(tree: Any, place: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[place], tree)


def _stacked_batch(sessions: Sequence[Session], step: int) -> Batch:
    """The batches of all members, molecules padded to the size of the largest."""
    batches = [session.run.host_batch(step) for session in sessions]
    # Every array of molecules has the axes shard, and atom or bond.
    sizes = jax.tree.map(
        lambda *leaves: max(leaf.shape[1] for leaf in leaves),
        *(batch.molecules for batch in batches),
    )

    def padded(leaf: np.ndarray, size: int) -> np.ndarray:
        missing = [(0, size - leaf.shape[1] if axis == 1 else 0) for axis in range(leaf.ndim)]
        return np.pad(leaf, missing)

    batches = [
        dataclasses.replace(batch, molecules=jax.tree.map(padded, batch.molecules, sizes))
        for batch in batches
    ]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
    return shard(stacked, sessions[0].run.mesh, axis=1)


def mean_answer(members: Sequence[Predictor], examples: Examples) -> Views:
    """The mean of what an ensemble's members say, view by view."""
    said = [member.predict(examples) for member in members]
    return {view: np.mean([one[view] for one in said], axis=0) for view in said[0]}
