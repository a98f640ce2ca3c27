"""Out-of-fold predictions: each example answered by a model that never saw its compound."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from moa_jax.baselines.interface import Method
from moa_jax.data.examples import Examples
from moa_jax.data.splits import check_no_crossing, compound_split, split_rows
from moa_jax.progress import track
from moa_jax.schemas import KnowledgeGraph


def out_of_fold_probs(
    method: Method,
    examples: Examples,
    graph: KnowledgeGraph,
    *,
    num_folds: int = 5,
    seed: int = 0,
    validation_fraction: float = 0.1,
) -> Float[np.ndarray, "example moa"]:
    """Fits `method` once per fold of the `compound` split and predicts that fold.

    Args:
      method: what is fitted.
      examples: all examples.
      graph: knowledge graph over their genes.
      num_folds: number of folds.
      seed: seed of the folds and of the method.
      validation_fraction: share of the training folds that becomes the validation part.

    Returns:
      One row per example, in their order.

    Raises:
      InputError: there are too few compounds, or one compound is on two sides of a split.
    """
    probs = np.zeros(examples.labels.shape)
    for fold in track(range(num_folds), f"{method.name}, fold"):
        split = compound_split(
            examples,
            fold=fold,
            num_folds=num_folds,
            seed=seed,
            validation_fraction=validation_fraction,
        )
        check_no_crossing(split, examples)
        rows = split_rows(split, examples)
        fitted = method.fit(
            examples.take(rows["train"]), examples.take(rows["validation"]), graph, seed=seed
        )
        probs[rows["test"]] = fitted.predict(examples.take(rows["test"]))
    return probs
