"""Trained models, restored from a run's folder to predict."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.features import EncodedExamples, FeatureSpec, encode
from moa_jax.schemas import CHECKPOINT_FORMAT_VERSION, Batch, Examples, GraphArrays, InputError
from moa_jax.training.runs.checkpoints import Checkpoints
from moa_jax.training.sharding import make_mesh, replicate, shard
from moa_jax.training.step import make_predict_step, make_protein_step
from moa_jax.training.task import MakeTrainingTask, TrainingTask, Views

# Folder of a run's checkpoints.
CHECKPOINTS = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run has come; stored with every checkpoint.

    Attributes:
      best_score: best validation score so far; None before the first evaluation.
      best_step: step that reached it.
      num_stale: evaluations since then.
    """

    best_score: float | None = None
    best_step: int = 0
    num_stale: int = 0

    def after(self, step: int, value: float) -> Progress:
        """Progress after an evaluation at `step` that scored `value`.

        Of equal scores the last is the best, as for the checkpoint manager, but not an improvement.
        """
        if self.best_score is None or value > self.best_score:
            return Progress(best_score=value, best_step=step)
        best_step = step if value == self.best_score else self.best_step
        return dataclasses.replace(self, best_step=best_step, num_stale=self.num_stale + 1)


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model with everything it needs to predict.

    Attributes:
      task: the training task.
      params: the model's parameters, replicated on `mesh`.
      features: how examples become inputs.
      graph: the knowledge graph, replicated on `mesh`.
      mesh: devices.
      batch_size: rows per prediction step.
      progress: progress of the run when the parameters were saved.
    """

    task: TrainingTask
    params: Any
    features: FeatureSpec
    graph: GraphArrays
    mesh: jax.sharding.Mesh
    batch_size: int
    progress: Progress

    def encode(self, examples: Examples) -> EncodedExamples:
        """Examples as inputs of this model."""
        return encode(examples, self.features)

    def predict(self, examples: Examples | EncodedExamples) -> Views:
        """View -> the model's outputs for the examples.

        The fusion model returns probabilities: from all modalities of an example (`fusion`), and
        from each alone (`expression`, `structure`), which mean nothing for an example without it.
        """
        return predict_encoded(
            make_predict_step(self.task, self.mesh),
            self.params,
            self.graph,
            self.encode(examples) if isinstance(examples, Examples) else examples,
            mesh=self.mesh,
            batch_size=self.batch_size,
        )

    def predict_proteins(self, examples: Examples | EncodedExamples) -> Views:
        """View -> logits of each action (`schemas.ACTIONS`) on each gene node, by example.

        Empty for a model without experts through proteins.
        """
        return predict_encoded(
            make_protein_step(self.task, self.mesh),
            self.params,
            self.graph,
            self.encode(examples) if isinstance(examples, Examples) else examples,
            mesh=self.mesh,
            batch_size=self.batch_size,
        )


def predict_encoded(
    predict_step: Callable[[Any, Batch, GraphArrays], dict[str, jax.Array]],
    params: Any,
    graph: GraphArrays,
    examples: EncodedExamples,
    *,
    mesh: jax.sharding.Mesh,
    batch_size: int,
) -> Views:
    """Runs a compiled prediction step over all examples, padding the last batch."""
    parts = [
        jax.device_get(predict_step(params, shard(batch, mesh), graph))
        for batch in evaluation_batches(examples, batch_size, num_shards=mesh.size)
    ]
    return {
        name: np.concatenate([part[name] for part in parts])[: examples.num_examples]
        for name in parts[0]
    }


def load_predictor(
    workdir: pathlib.Path, graph: GraphArrays, make_task: MakeTrainingTask, *, num_devices: int = 0
) -> Predictor:
    """Restores the predictor of a run from its best checkpoint, on any number of devices.

    Args:
      workdir: folder of the run.
      graph: the knowledge graph that the run was trained with.
      make_task: the function that made the run's task.
      num_devices: devices to use; 0 means all.

    Raises:
      InputError: there is no complete checkpoint, or it has another format version.
    """
    mesh = make_mesh(num_devices or None)
    checkpoints = Checkpoints(workdir / CHECKPOINTS, create=False)
    step = checkpoints.step_to_use()
    stored = read_description(checkpoints, step, workdir)
    config = ml_collections.ConfigDict(stored["config"])
    features = FeatureSpec.from_json(stored["features"])
    params = checkpoints.restore_params(step, mesh)
    checkpoints.close()
    task = make_task(config, features, tuple(stored["graph_size"]))
    return Predictor(
        task=task,
        params=task.answering(params),
        features=features,
        graph=replicate(graph, mesh),
        mesh=mesh,
        batch_size=-(-config.training.batch_size // mesh.size) * mesh.size,
        progress=Progress(**stored["progress"]),
    )


def describe_run(
    config: ml_collections.ConfigDict,
    features: FeatureSpec,
    graph_size: tuple[int, int],
    *,
    examples: list[str | None],
    progress: Progress,
) -> dict[str, Any]:
    """The description in a checkpoint, as JSON values: enough to build the model again.

    Args:
      config: the run's configuration.
      features: how examples become inputs.
      graph_size: numbers of gene nodes and term nodes.
      examples: `run_fingerprint.digest` of the training, validation and unlabelled examples; None
        if there are none.
      progress: the run's progress.
    """
    return {
        "format_version": CHECKPOINT_FORMAT_VERSION,
        "config": config.to_dict(),
        "features": features.to_json(),
        "graph_size": list(graph_size),
        "examples": examples,
        "progress": dataclasses.asdict(progress),
    }


def read_description(checkpoints: Checkpoints, step: int, workdir: pathlib.Path) -> dict[str, Any]:
    """Reads what `describe_run` returned for a checkpoint.

    Raises:
      InputError: it has another format version.
    """
    stored = checkpoints.describe(step)
    version = stored.get("format_version")
    if version != CHECKPOINT_FORMAT_VERSION:
        raise InputError(
            f"the checkpoints in {workdir} have format version {version}, but this program reads "
            f"version {CHECKPOINT_FORMAT_VERSION}; use the version that wrote them."
        )
    return stored
