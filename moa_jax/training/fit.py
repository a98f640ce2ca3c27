"""The training loop: examples in, a run's folder out."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
import numpy as np
import pandas as pd

from moa_jax.data.batches import make_batch, training_rows
from moa_jax.data.examples import Examples, strata
from moa_jax.data.features import EncodedExamples, encode, fit_features
from moa_jax.evaluation.metrics import score
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.progress import say, track
from moa_jax.schemas import CHECKPOINT_FORMAT_VERSION, Batch, GraphArrays, InputError
from moa_jax.training.checkpoints import Checkpoints
from moa_jax.training.losses import balanced_weights
from moa_jax.training.metric_writer import METRICS_FILE, MetricWriter, read_metrics
from moa_jax.training.optimiser import make_schedule
from moa_jax.training.predictor import (
    CHECKPOINTS,
    Predictor,
    Progress,
    load_predictor,
    predict_encoded,
    read_description,
)
from moa_jax.training.sharding import make_training_mesh, replicate, shard
from moa_jax.training.step import (
    TrainState,
    initial_state,
    make_predict_step,
    make_train_step,
)
from moa_jax.training.task import MakeTask, Views


class Run:
    """One training run: a task, its data on the host, and its folder.

    Everything that a step depends on is a function of the configuration, the examples and the
    step's number, so a run that was killed and started again ends as if nothing had happened.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        train: Examples,
        validation: Examples | None,
        *,
        make_task: MakeTask,
        genes: pd.DataFrame,
        graph: GraphArrays,
        graph_size: tuple[int, int],
        workdir: pathlib.Path,
    ) -> None:
        """Prepares the run.

        Args:
          config: a complete configuration; see `configs/fusion.py`.
          train: training examples.
          validation: examples that choose the step; None trains to the end.
          make_task: makes what is trained from the configuration.
          genes: `GENE_COLUMNS`, one row per expression column.
          graph: the knowledge graph.
          graph_size: number of gene nodes and of term nodes.
          workdir: folder of checkpoints and metrics.

        Raises:
          InputError: the configuration's batch or devices do not fit the machine.
        """
        self.config = config
        self.train_examples = train
        self.validation = validation
        self.workdir = workdir
        self.features = fit_features(train, genes)
        weight = balanced_weights(strata(train), power=config.training.balance_power)
        self._examples = [_digest(train), None if validation is None else _digest(validation)]
        self._train = encode(train, self.features, weight=weight)
        self._validation = None if validation is None else encode(validation, self.features)
        self.mesh = make_training_mesh(config.num_devices, config.training.batch_size)
        self._make_task = make_task
        self.task = make_task(config, self.features, graph_size)
        self.graph = replicate(graph, self.mesh)
        self._graph_size = graph_size
        training = ml_collections.FrozenConfigDict(config.training)
        self._schedule = make_schedule(training.optimiser, training.num_steps)
        self.train_step = make_train_step(self.task, training)
        self._predict_step = make_predict_step(self.task, self.mesh)

    def initial_state(self) -> TrainState:
        """The state before the first step, replicated on the mesh."""
        config = ml_collections.FrozenConfigDict(self.config)
        given = self.task.given_params(self.config, self._train, self.features)
        return initial_state(self.task, config, self.batch(0), self.graph, self.mesh, given=given)

    def batch(self, step: int) -> Batch:
        """The batch of a step, on the devices."""
        rows = training_rows(
            self._train.num_examples,
            self.config.training.batch_size,
            seed=self.config.seed,
            step=step,
        )
        host = make_batch(
            self._train, rows, self.config.training.batch_size, num_shards=self.mesh.size
        )
        return shard(host, self.mesh)

    def train(self, *, num_steps: int | None = None) -> Predictor:
        """Trains to `num_steps` (the configuration's where None), or until validation stalls.

        Continues from the newest whole checkpoint in the run's folder.

        Returns:
          The predictor of the step with the best validation score, or of the last step.

        Raises:
          InputError: the folder holds a run of another configuration.
          FloatingPointError: the loss is not finite.
        """
        num_steps = self.config.training.num_steps if num_steps is None else num_steps
        if not self.task.is_trained:
            num_steps = 0
        checkpoints = Checkpoints(self.workdir / CHECKPOINTS, create=True)
        state, progress = self._start(checkpoints)
        start = int(state.step)
        writer = MetricWriter(self.workdir, resume_step=start)
        log_every, eval_every = self.config.training.log_every, self.config.training.eval_every
        for step in track(range(start, num_steps), "training"):
            if progress.num_stale >= self.config.training.patience:
                break
            state, metrics = self.train_step(state, self.batch(step), self.graph)
            done = step + 1
            if done % log_every == 0 or done == num_steps:
                self._log(writer, done, metrics)
            if done % eval_every == 0 or done == num_steps:
                progress = self._save(checkpoints, writer, state, progress, step=done)
        if num_steps == 0 and checkpoints.latest_step() is None:
            self._save(checkpoints, writer, state, progress, step=0)
        writer.close()
        checkpoints.close()
        return load_predictor(
            self.workdir, self.graph, self._make_task, num_devices=self.config.num_devices
        )

    def _save(
        self,
        checkpoints: Checkpoints,
        writer: MetricWriter,
        state: TrainState,
        progress: Progress,
        *,
        step: int,
    ) -> Progress:
        """Scores the validation part and saves; returns how far the run has come with it."""
        value = self._evaluate(writer, state, step)
        progress = progress if value is None else progress.after(step, value)
        checkpoints.save(state, self.describe(progress), value)
        return progress

    def _start(self, checkpoints: Checkpoints) -> tuple[TrainState, Progress]:
        state = self.initial_state()
        step = checkpoints.latest_step()
        if step is None:
            return state, Progress()
        stored = read_description(checkpoints, step, self.workdir)
        refuse_other_config(stored["config"], self.config.to_dict(), self.workdir)
        if stored["examples"] != self._examples:
            raise InputError(
                f"{self.workdir} holds a run on other examples; choose another --workdir."
            )
        say(f"continuing {self.workdir} at step {step}")
        return checkpoints.restore(step, state), Progress(**stored["progress"])

    def describe(self, progress: Progress) -> dict[str, Any]:
        """What a checkpoint says of itself: enough to build the model again."""
        return {
            "format_version": CHECKPOINT_FORMAT_VERSION,
            "config": self.config.to_dict(),
            "features": self.features.to_json(),
            "graph_size": list(self._graph_size),
            "examples": self._examples,
            "progress": dataclasses.asdict(progress),
        }

    def _log(self, writer: MetricWriter, step: int, metrics: dict[str, jax.Array]) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"the loss is {values['loss']} at step {step}; lower the learning rate."
            )
        writer.write(step, {**values, "learning_rate": float(self._schedule(step))})

    def _evaluate(self, writer: MetricWriter, state: TrainState, step: int) -> float | None:
        """Scores the validation part; returns the score that selects, None without one."""
        if self.validation is None or self._validation is None:
            return None
        read_out = self.task.fit_read_out(
            self.train_examples, lambda: self._views(state, self._train)
        )
        probs = read_out(self._views(state, self._validation))
        values = {}
        for view, view_probs in probs.items():
            pooled, labels, _ = pool_by_compound(
                view_probs, self.validation.labels, self.validation.groups
            )
            scores = score(pooled, labels)
            values |= {
                f"validation/{view}/{name}": float(scores[name])
                for name in ("macro_auprc", "top1", "log_loss")
            }
        writer.write(step, values)
        return values[curve_name(self.task.selection_view)]

    def _views(self, state: TrainState, examples: EncodedExamples) -> Views:
        return predict_encoded(
            self._predict_step,
            state.predicting,
            self.graph,
            examples,
            mesh=self.mesh,
            batch_size=self.config.training.batch_size,
        )


def curve_name(view: str) -> str:
    """Name under which the validation macro AUPRC of a view stands in `metrics.jsonl`."""
    return f"validation/{view}/macro_auprc"


def validation_curve(workdir: pathlib.Path, view: str) -> list[list[int | float]]:
    """The [step, macro AUPRC of the validation compounds] pairs of a run, in order."""
    lines = read_metrics(workdir / METRICS_FILE)
    return [[line["step"], line[curve_name(view)]] for line in lines if curve_name(view) in line]


def refuse_other_config(
    stored: dict[str, Any], current: dict[str, Any], workdir: pathlib.Path
) -> None:
    """Raises InputError naming the first setting in which a folder's run differs."""
    flat_old, flat_new = dict(_flat(stored)), dict(_flat(current))
    for key in sorted(flat_old.keys() | flat_new.keys()):
        if flat_old.get(key) != flat_new.get(key):
            raise InputError(
                f"{workdir} holds a run with {key}={flat_old.get(key)}, not "
                f"{flat_new.get(key)}; choose another --workdir."
            )


def _digest(examples: Examples) -> str:
    """Tells sets of examples apart: their signatures, labels and expression."""
    digest = hashlib.sha256("\n".join(map(str, examples.table["sig_id"])).encode())
    for array in (examples.labels, examples.expression):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
