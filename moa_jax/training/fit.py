"""The training loop: examples in, a run's folder out."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.data.batches import make_batch, training_rows
from moa_jax.data.features import EncodedExamples, FeatureSpec, encode, fit_features
from moa_jax.evaluation.metrics import score
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.progress import say, track
from moa_jax.schemas import CHECKPOINT_FORMAT_VERSION, Batch, Examples, GraphArrays, InputError
from moa_jax.training.checkpoints import Checkpoints
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
from moa_jax.training.pretraining.pretrain import pretrain, warm_start
from moa_jax.training.same_run import digest, refuse_other_config
from moa_jax.training.sample_weights import SampleWeights
from moa_jax.training.sharding import make_training_mesh, replicate, shard
from moa_jax.training.shared_labels import References
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
        soft_labels: Float32[np.ndarray, "example moa"] | None = None,
        unlabelled: Examples | None = None,
        references: References | None = None,
        given: Mapping[str, Any] | None = None,
        node_symbols: tuple[str, ...] = (),
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
          soft_labels: what the training steps see instead of the training examples' labels.
            Whatever else comes of labels, such as weights and kernels, comes of the examples'.
          unlabelled: what pretraining sees beside the training examples, where the configuration
            names `pretraining`.
          references: what parameters that are not trained in steps are computed from; None means
            the training examples.
          given: these parameters, where they are known already; see `Task.given_params`.
          node_symbols: symbols of the graph's gene nodes, where known targets are learned.

        Raises:
          InputError: the configuration's batch or devices do not fit the machine.
        """
        self.config = config
        self.train_examples = train
        self.validation = validation
        self.workdir = workdir
        self.features = fit_features(train, genes, node_symbols=node_symbols)
        training = ml_collections.FrozenConfigDict(config.training)
        self._weights = SampleWeights(train, training)
        held = None if validation is None else digest(validation)
        self._examples = [digest(train, soft_labels), held]
        self._train = encode(train, self.features, weight=self._weights.at(0))
        self._unlabelled = unlabelled
        if unlabelled is not None:
            self._examples.append(digest(unlabelled))
        self._given = given
        self._references = self._train
        if references is not None:
            if given is None:
                self._references = encode_references(references, self.features)
            self._examples.append(digest(references.examples, references.labels))
        seen = self._train.labels if soft_labels is None else soft_labels
        self._seen = dataclasses.replace(self._train, labels=seen)
        self._validation = None if validation is None else encode(validation, self.features)
        self.mesh = make_training_mesh(
            config.num_devices, training.batch_size, micro_batches=training.micro_batches
        )
        self._make_task = make_task
        self.task = make_task(config, self.features, graph_size)
        self.graph = replicate(graph, self.mesh)
        self._graph_size = graph_size
        self._schedule = make_schedule(training.optimiser, training.num_steps)
        self.train_step = make_train_step(self.task, training)
        self._predict_step = make_predict_step(self.task, self.mesh)

    def initial_state(self) -> TrainState:
        """The state before the first step, replicated on the mesh.

        Its encoders are pretrained where the configuration names `pretraining`.
        """
        state = self._drawn_state()
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

    def _drawn_state(self) -> TrainState:
        config = ml_collections.FrozenConfigDict(self.config)
        given = self._given or self.task.given_params(
            self.config, self._references, self.features, self.graph
        )
        return initial_state(
            self.task,
            config,
            self.batch(0),
            self.graph,
            self.mesh,
            given=given,
            memory=self.task.first_memory(self._train.num_examples),
        )

    def batch(self, step: int) -> Batch:
        """The batch of a step, on the devices."""
        return shard(self.host_batch(step), self.mesh)

    def host_batch(self, step: int) -> Batch:
        """The batch of a step, a function of the configuration, the examples and the step alone."""
        training = self.config.training
        rows = training_rows(
            self._seen.num_examples, training.batch_size, seed=self.config.seed, step=step
        )
        return make_batch(
            dataclasses.replace(self._seen, weight=self._weights.at(step)),
            rows,
            training.batch_size,
            num_shards=self.mesh.size * training.micro_batches,
        )

    def train(self, *, num_steps: int | None = None) -> Predictor:
        """Trains to `num_steps` (the configuration's where None), or until validation stalls.

        Continues from the newest whole checkpoint in the run's folder.

        Returns:
          The predictor of the step with the best validation score, or of the last step.

        Raises:
          InputError: the folder holds a run of another configuration.
          FloatingPointError: the loss is not finite.
        """
        session = self.open(num_steps=num_steps)
        session.go_on_to(session.num_steps)
        return session.close()

    def open(self, *, num_steps: int | None = None) -> Session:
        """The run where its folder has it; see `train`."""
        num_steps = self.config.training.num_steps if num_steps is None else num_steps
        checkpoints = Checkpoints(self.workdir / CHECKPOINTS, create=True)
        state, progress = self._start(checkpoints)
        return Session(
            run=self,
            checkpoints=checkpoints,
            writer=MetricWriter(self.workdir, resume_step=int(state.step)),
            num_steps=num_steps if self.task.is_trained else 0,
            done=int(state.step),
            state=state,
            progress=progress,
        )

    def predictor(self) -> Predictor:
        """What the run's folder holds."""
        return load_predictor(
            self.workdir, self.graph, self._make_task, num_devices=self.config.num_devices
        )

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step."""
        return float(self._schedule(step))

    def _start(self, checkpoints: Checkpoints) -> tuple[TrainState, Progress]:
        step = checkpoints.latest_step()
        if step is None:
            return self.initial_state(), Progress()
        stored = read_description(checkpoints, step, self.workdir)
        refuse_other_config(stored["config"], self.config.to_dict(), self.workdir)
        if stored["examples"] != self._examples:
            raise InputError(
                f"{self.workdir} holds a run on other examples; choose another --workdir."
            )
        say(f"continuing {self.workdir} at step {step}")
        return checkpoints.restore(step, self._drawn_state()), Progress(**stored["progress"])

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

    def evaluate(self, writer: MetricWriter, state: TrainState, step: int) -> float | None:
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


@dataclasses.dataclass
class Session:
    """A run under way.

    Attributes:
      run: what is trained.
      checkpoints: its checkpoints.
      writer: its metrics.
      num_steps: where it ends at the latest.
      done: number of updates done.
      state: the state after them.
      progress: how far validation has come.
    """

    run: Run
    checkpoints: Checkpoints
    writer: MetricWriter
    num_steps: int
    done: int
    state: TrainState
    progress: Progress

    @property
    def is_over(self) -> bool:
        """Whether the last step is done or validation has stalled."""
        patience = self.run.config.training.patience
        return self.done >= self.num_steps or self.progress.num_stale >= patience

    def go_on_to(self, num_steps: int) -> None:
        """Trains to a number of updates, or until the run is over."""
        for step in track(range(self.done, num_steps), "training"):
            if self.is_over:
                break
            after = self.run.train_step(self.state, self.run.batch(step), self.run.graph)
            self.state = after[0]
            self.advance(lambda after=after: after)

    def advance(self, after: Callable[[], tuple[TrainState, dict[str, jax.Array]]]) -> None:
        """Counts one more update; logs, scores and saves where due.

        Only then is the state asked for, and are values fetched from the devices, so that the
        host runs ahead of them.

        Args:
          after: gives the state after the update and its metrics.
        """
        self.done += 1
        training, is_last = self.run.config.training, self.done == self.num_steps
        logs = is_last or self.done % training.log_every == 0
        saves = is_last or self.done % training.eval_every == 0
        if not (logs or saves):
            return
        self.state, metrics = after()
        if logs:
            self._log(metrics)
        if saves:
            self._save()

    def close(self) -> Predictor:
        """Ends the run; returns the predictor of the best step, or of the last one."""
        if self.num_steps == 0 and self.checkpoints.latest_step() is None:
            self._save()
        self.writer.close()
        self.checkpoints.close()
        return self.run.predictor()

    def _save(self) -> None:
        value = self.run.evaluate(self.writer, self.state, self.done)
        if value is not None:
            self.progress = self.progress.after(self.done, value)
        self.checkpoints.save(self.state, self.run.describe(self.progress), value)

    def _log(self, metrics: dict[str, jax.Array]) -> None:
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"the loss is {values['loss']} at step {self.done}; lower the learning rate."
            )
        rate = self.run.learning_rate(self.done)
        self.writer.write(self.done, {**values, "learning_rate": rate})


def encode_references(references: References, features: FeatureSpec) -> EncodedExamples:
    """References as model inputs, with what is learned of them as labels."""
    encoded = encode(references.examples, features)
    return dataclasses.replace(encoded, labels=references.labels)


def curve_name(view: str) -> str:
    """Name under which the validation macro AUPRC of a view stands in `metrics.jsonl`."""
    return f"validation/{view}/macro_auprc"


def validation_curve(workdir: pathlib.Path, view: str) -> list[list[int | float]]:
    """The [step, macro AUPRC of the validation compounds] pairs of a run, in order."""
    lines = read_metrics(workdir / METRICS_FILE)
    return [[line["step"], line[curve_name(view)]] for line in lines if curve_name(view) in line]
