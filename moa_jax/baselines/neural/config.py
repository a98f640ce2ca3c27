"""Configurations of the neural methods, and the graphs that they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from moa_jax.schemas import EdgeArrays, GraphArrays, KnowledgeGraph


def neural_config(
    method: str,
    *,
    model: Mapping[str, Any],
    task: Mapping[str, Any],
    batch_size: int,
    num_steps: int,
    eval_every: int,
    patience: int,
    learning_rate: float,
    weight_decay: float,
    balance_power: float,
) -> ml_collections.ConfigDict:
    """A complete configuration of a neural method; see `configs/fusion.py` for the fields.

    Args:
      method: name of the method; a run's folder belongs to one method.
      model: attributes of the network that do not depend on the data.
      task: attributes of the task.
      batch_size: examples per step.
      num_steps: length of the schedule.
      eval_every: steps between evaluations.
      patience: evaluations without a better score after which training stops.
      learning_rate: peak learning rate.
      weight_decay: decay of matrices.
      balance_power: 0 for unweighted classes, 1 for classes of equal total weight.
    """
    return ml_collections.ConfigDict(
        {
            "method": method,
            "seed": 0,
            "num_devices": 1,
            "model": dict(model),
            "task": dict(task),
            "training": {
                "batch_size": batch_size,
                "num_steps": num_steps,
                "eval_every": eval_every,
                "log_every": eval_every,
                "patience": patience,
                "balance_power": balance_power,
                "quality_power": 0.0,
                "curriculum": {"signal_power": 0.0, "gradual_fraction": 0.0},
                "micro_batches": 1,
                "ema_decay": 0.98,
                "optimiser": {
                    "learning_rate": learning_rate,
                    "warmup_fraction": 0.1,
                    "weight_decay": weight_decay,
                    "clip_norm": 5.0,
                    "adam_b2": 0.99,
                },
            },
        }
    )


def attributes(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """A network's attributes, with tuples instead of the lists of a checkpoint."""
    return dict(ml_collections.FrozenConfigDict(config).items())


def no_graph(graph: KnowledgeGraph) -> GraphArrays:
    """An empty graph, for networks that read none."""
    del graph
    nothing = EdgeArrays(
        senders=np.zeros(0, np.int32),
        receivers=np.zeros(0, np.int32),
        weight=np.zeros(0, np.float32),
    )
    return GraphArrays(
        interacts=nothing,
        annotated_to=nothing,
        is_a=nothing,
        part_of=nothing,
        propagation=np.zeros((0, 0), np.float32),
    )


def landmark_interactions(graph: KnowledgeGraph) -> GraphArrays:
    """The STRING edges between measured genes, and nothing else."""
    edges = graph.interacts
    inside = (edges.senders < graph.num_landmarks) & (edges.receivers < graph.num_landmarks)
    return dataclasses.replace(
        no_graph(graph),
        interacts=EdgeArrays(
            senders=edges.senders[inside],
            receivers=edges.receivers[inside],
            weight=edges.weight[inside],
        ),
    )
