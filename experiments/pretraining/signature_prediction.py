"""Signatures of compounds that were never measured, from structure, cell line, dose and time.

The task of DeepCE (Pham 2021) and MultiDCP (Wu 2022), by the head of the objective `response`.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.features import FeatureSpec, encode
from moa_jax.schemas import Examples, GraphArrays
from moa_jax.training.pretraining.objectives import PretrainingTask


def predict_signatures(
    task: PretrainingTask,
    params: Any,
    examples: Examples,
    features: FeatureSpec,
    *,
    graph: GraphArrays,
    batch_size: int,
) -> Float32[np.ndarray, "example gene"]:
    """Predicted expression of each example, in the units of the signatures.

    Args:
      task: the pretrained task.
      params: all its parameters (`pretrain.train_heads`).
      examples: structures, cell lines, doses and times; expression is not read.
      features: vocabularies and scales of the training.
      graph: the knowledge graph.
      batch_size: examples that are predicted at a time.
    """
    predict = jax.jit(
        lambda params, batch: (
            task.model.apply({"params": params}, batch, graph, train=False).response
        )
    )
    batches = evaluation_batches(encode(examples, features), batch_size, num_shards=1)
    standardised = [np.asarray(predict(params, batch)) for batch in batches]
    rows = np.concatenate(standardised)[: examples.num_examples]
    return (rows * features.scale + features.mean).astype(np.float32)
