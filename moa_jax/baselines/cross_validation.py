"""Out-of-fold predictions: each example answered by a model that never saw its compound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from moa_jax.baselines.interface import Method
from moa_jax.data.examples import Examples
from moa_jax.data.leaks import check_no_leaks
from moa_jax.data.split_rules import make_split
from moa_jax.data.splits import split_rows
from moa_jax.progress import say
from moa_jax.schemas import KnowledgeGraph


def out_of_fold_probs(
    method_of: Callable[[int], Method],
    examples: Examples,
    graph: KnowledgeGraph,
    *,
    num_folds: int = 5,
    seed: int = 0,
    method_seed: int = 0,
    validation_fraction: float = 0.1,
) -> Float[np.ndarray, "example moa"]:
    """Fits a method once per fold of the `compound` split and predicts that fold.

    Args:
      method_of: the method for a fold; most do not care which one it is.
      examples: all examples.
      graph: knowledge graph over their genes.
      num_folds: number of folds.
      seed: seed of the folds.
      method_seed: seed of the method.
      validation_fraction: share of the training folds that becomes the validation part.

    Returns:
      One row per example, in their order.

    Raises:
      InputError: there are too few compounds, or one compound is on two sides of a split.
    """
    probs = np.zeros(examples.labels.shape)
    for fold in range(num_folds):
        method = method_of(fold)
        say(f"{method.name}: fold {fold + 1} of {num_folds}")
        split = make_split(
            "compound",
            examples,
            fold=fold,
            num_folds=num_folds,
            seed=seed,
            validation_fraction=validation_fraction,
        )
        check_no_leaks(split, examples)
        rows = split_rows(split, examples)
        fitted = method.fit(
            examples.take(rows["train"]), examples.take(rows["validation"]), graph, seed=method_seed
        )
        probs[rows["test"]] = fitted.predict(examples.take(rows["test"]))
    return probs
