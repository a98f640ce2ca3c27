"""ROAR: scores of models that are retrained without the most important genes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.schemas import Examples, InputError

# Trains on the first and scores on the second; larger is better.
FitAndScore = Callable[[Examples, Examples], float]


def without_top_genes(
    examples: Examples,
    importance: Float[np.ndarray, "example gene"],
    fraction: float,
    replacement: Float[np.ndarray, " gene"],
) -> Examples:
    """Replaces a share of each example's measured genes, the most important ones.

    Args:
      examples: examples.
      importance: genes of larger importance are replaced first, ties in their order.
      fraction: share of the measured genes.
      replacement: values that they are replaced by, such as the training mean, in units of the
        signatures.

    Raises:
      InputError: the importance has another shape than the expression.
    """
    if importance.shape != examples.expression.shape:
        raise InputError(
            f"the importance has size {importance.shape}, but the expression has "
            f"{examples.expression.shape}."
        )
    order = np.argsort(np.where(examples.gene_mask, -importance, np.inf), axis=1, kind="stable")
    removed = np.zeros(importance.shape, bool)
    count = round(fraction * int(examples.gene_mask.sum()))
    np.put_along_axis(removed, order[:, :count], values=True, axis=1)
    expression = np.where(removed, replacement, examples.expression).astype(np.float32)
    return dataclasses.replace(examples, expression=expression)


def roar_curves(
    train: Examples,
    test: Examples,
    importance: Mapping[
        str, tuple[Float[np.ndarray, "train gene"], Float[np.ndarray, "test gene"]]
    ],
    fit_and_score: FitAndScore,
    *,
    fractions: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
) -> pd.DataFrame:
    """Scores of models that are retrained without the first genes (Hooker 2019, section 3).

    Scores of a good ranking fall faster than those of random genes. One model is trained for every
    ranking and fraction.

    Args:
      train: training examples.
      test: other examples.
      importance: ranking -> importance of genes in training and in test examples.
      fit_and_score: trains and scores.
      fractions: shares of the genes that are removed.

    Returns:
      One row per ranking and fraction: `ranking`, `fraction`, `score`.
    """
    mean = train.expression[train.has_expression].mean(axis=0)
    rows = []
    for ranking, (of_train, of_test) in importance.items():
        for fraction in fractions:
            left = [
                without_top_genes(examples, values, fraction, mean)
                for examples, values in ((train, of_train), (test, of_test))
            ]
            rows.append({"ranking": ranking, "fraction": fraction, "score": fit_and_score(*left)})
    return pd.DataFrame(rows)
