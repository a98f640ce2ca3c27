"""Training by gradient steps: examples in, a run's folder out."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections

from moa_jax.data.examples.batches import make_batch, training_rows
from moa_jax.data.examples.features import EncodedExamples, FeatureSpec, encode
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import score
from moa_jax.progress import say, track
from moa_jax.schemas import Batch, Examples, GraphArrays
from moa_jax.training.optimiser import make_schedule
from moa_jax.training.pretraining.pretrain import pretrain, warm_start
from moa_jax.training.runs.checkpoints import Checkpoints
from moa_jax.training.runs.metric_writer import METRICS_FILE, MetricWriter, read_metrics
from moa_jax.training.runs.predictor import (
    CHECKPOINTS,
    Predictor,
    Progress,
    describe_run,
    load_predictor,
    predict_encoded,
    read_description,
)
from moa_jax.training.runs.run_fingerprint import digest, refuse_other_run
from moa_jax.training.sample_weights import SampleWeights
from moa_jax.training.sharding import make_training_mesh, replicate, shard
from moa_jax.training.step import (
    TrainState,
    initial_state,
    make_predict_step,
    make_train_step,
)
from moa_jax.training.task import MakeTrainingTask, Views


class Run:
    """One training of networks: a task, its data on the host, and its folder.

    A step depends on the configuration, the examples and its number alone, so a run that was
    killed and restarted ends as if it had not been interrupted.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        train: Examples,
        validation: Examples | None,
        *,
        make_task: MakeTrainingTask,
        features: FeatureSpec,
        encoded: EncodedExamples,
        graph: GraphArrays,
        graph_size: tuple[int, int],
        workdir: pathlib.Path,
        unlabelled: Examples | None = None,
        non_trainable: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepares the run.

        Args:
          config: a complete configuration; see `configs/fusion.py`.
          train: training examples.
          validation: examples that select the step; None trains to the last step.
          make_task: makes the training task of the configuration.
          features: vocabularies and gene statistics of the training examples.
          encoded: the training examples as model inputs.
          graph: the knowledge graph.
          graph_size: numbers of gene nodes and term nodes.
          workdir: folder of checkpoints and metrics.
          unlabelled: additional examples, without labels, for pretraining (if the configuration
            has `pretraining`) and for the kernels among `non_trainable`.
          non_trainable: parameters of the model that gradients do not change.

        Raises:
          InputError: the configuration's batch or devices do not fit the machine.
        """
        self.config = config
        self.train_examples = train
        self.validation = validation
        self.workdir = workdir
        self.features = features
        training = ml_collections.FrozenConfigDict(config.training)
        self._weights = SampleWeights(train, training)
        self._train = encoded
        self._validation = None if validation is None else encode(validation, features)
        self._unlabelled = unlabelled
        self._non_trainable = non_trainable or {}
        self._digests = [
            None if examples is None else digest(examples)
            for examples in (train, validation, unlabelled)
        ]
        self.mesh = make_training_mesh(
            config.num_devices, training.batch_size, micro_batches=training.micro_batches
        )
        self._make_task = make_task
        self.task = make_task(config, features, graph_size)
        self.graph = replicate(graph, self.mesh)
        self._graph_size = graph_size
        self._learning_rate = make_schedule(training.optimiser, training.num_steps)
        self.train_step = make_train_step(self.task, training)
        self._predict_step = make_predict_step(self.task, self.mesh)

    def train(self, *, num_steps: int | None = None) -> Predictor:
        """Trains to `num_steps` (by default the configuration's), or until validation stalls.

        Resumes from the newest complete checkpoint in the run's folder.

        Returns:
          The predictor of the step with the best validation score, or of the last step.

        Raises:
          InputError: the folder holds a run of another configuration.
          FloatingPointError: the loss is not finite.
        """
        training = self.config.training
        num_steps = training.num_steps if num_steps is None else num_steps
        checkpoints = Checkpoints(self.workdir / CHECKPOINTS, create=True)
        state, progress = self._start(checkpoints)
        writer = MetricWriter(self.workdir, resume_step=int(state.step))
        for step in track(range(int(state.step), num_steps), "training"):
            if progress.num_stale >= training.patience:
                break
            state, metrics = self.train_step(state, self.batch(step), self.graph)
            done = step + 1
            is_last = done == num_steps
            # The only place that waits for the devices; in between, the host runs ahead of them.
            if is_last or done % training.log_every == 0:
                self._log(writer, done, metrics)
            if is_last or done % training.eval_every == 0:
                value = self._evaluate(writer, state, done)
                if value is not None:
                    progress = progress.after(done, value)
                checkpoints.save(state, self._describe(progress), value)
        writer.close()
        checkpoints.close()
        return load_predictor(
            self.workdir, self.graph, self._make_task, num_devices=self.config.num_devices
        )

    def initial_state(self) -> TrainState:
        """The state before the first step, pretrained if the configuration has `pretraining`."""
        state = self._random_state()
        if "pretraining" not in self.config:
            return state
        pretrained = pretrain(
            self.config,
            self.train_examples,
            self._unlabelled,
            self.features,
            graph=self.graph,
            graph_size=self._graph_size,
            mesh=self.mesh,
            workdir=self.workdir,
        )
        return warm_start(state, pretrained)

    def _random_state(self) -> TrainState:
        return initial_state(
            self.task,
            ml_collections.FrozenConfigDict(self.config),
            self.batch(0),
            self.graph,
            self.mesh,
            non_trainable={
                **self._non_trainable,
                **self.task.first_state(self._train.num_examples),
            },
        )

    def batch(self, step: int) -> Batch:
        """The batch of a step, on the devices."""
        training = self.config.training
        rows = training_rows(
            self._train.num_examples, training.batch_size, seed=self.config.seed, step=step
        )
        batch = make_batch(
            dataclasses.replace(self._train, weight=self._weights.at(step)),
            rows,
            training.batch_size,
            num_shards=self.mesh.size * training.micro_batches,
        )
        return shard(batch, self.mesh)

    def _start(self, checkpoints: Checkpoints) -> tuple[TrainState, Progress]:
        """The state and progress of the newest checkpoint, or of a run that has not begun."""
        step = checkpoints.latest_step()
        if step is None:
            return self.initial_state(), Progress()
        stored = read_description(checkpoints, step, self.workdir)
        refuse_other_run(stored, self._describe(Progress()), self.workdir)
        say(f"resuming {self.workdir} at step {step}")
        return checkpoints.restore(step, self._random_state()), Progress(**stored["progress"])

    def _describe(self, progress: Progress) -> dict[str, Any]:
        return describe_run(
            self.config, self.features, self._graph_size, examples=self._digests, progress=progress
        )

    def _evaluate(self, writer: MetricWriter, state: TrainState, step: int) -> float | None:
        """Scores the validation part; returns the score that selects the step, if there is one."""
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
            self.task.answering(state.predicting),
            self.graph,
            examples,
            mesh=self.mesh,
            batch_size=self.config.training.batch_size,
        )

    def _log(self, writer: MetricWriter, step: int, metrics: Mapping[str, jax.Array]) -> None:
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"the loss is {values['loss']} at step {step}; lower the learning rate."
            )
        writer.write(step, {**values, "learning_rate": float(self._learning_rate(step))})


def curve_name(view: str) -> str:
    """Name of a view's validation macro AUPRC in `metrics.jsonl`."""
    return f"validation/{view}/macro_auprc"


def validation_curve(workdir: pathlib.Path, view: str) -> list[list[int | float]]:
    """[step, validation macro AUPRC] pairs of a run, in order."""
    lines = read_metrics(workdir / METRICS_FILE)
    return [[line["step"], line[curve_name(view)]] for line in lines if curve_name(view) in line]
