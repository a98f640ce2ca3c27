"""Random forests and boosted trees on any modality.

Boosting fits one tree per class and round, so its cost grows with classes x rounds; shallow trees
on few genes each are fitted within seconds and are as accurate as deep trees on all genes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import xgboost
from jaxtyping import Float, Int
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils.class_weight import compute_sample_weight

from moa_jax.baselines.classifiers.classifier import Classifier


class BoostedTrees:
    """Boosted trees with balanced classes and arbitrary class numbers.

    Attributes:
      classes_: after `fit`, the classes in ascending order.
    """

    classes_: Int[np.ndarray, " class"]

    def __init__(self, booster: xgboost.XGBClassifier | lightgbm.LGBMClassifier) -> None:
        self._booster = booster

    def fit(
        self, inputs: Float[np.ndarray, "example feature"], classes: Int[np.ndarray, " example"]
    ) -> BoostedTrees:
        """Fits with balanced class weights."""
        self.classes_, index = np.unique(classes, return_inverse=True)
        weight = compute_sample_weight("balanced", index)
        self._booster.fit(inputs.astype(np.float32), index, sample_weight=weight)
        return self

    def predict_proba(
        self, inputs: Float[np.ndarray, "example feature"]
    ) -> Float[np.ndarray, "example class"]:
        """Probability of each class; rows sum to one."""
        return np.asarray(self._booster.predict_proba(inputs.astype(np.float32)), np.float64)


def random_forest(**settings: Any) -> Callable[[int], Classifier]:
    """Seed -> class-balanced random forest (Breiman 2001).

    Args:
      **settings: of scikit-learn's `RandomForestClassifier`.
    """
    return lambda seed: RandomForestClassifier(
        **settings, class_weight="balanced", random_state=seed
    )


def xgboost_trees(**settings: Any) -> Callable[[int], Classifier]:
    """Seed -> XGBoost (Chen and Guestrin 2016) with histograms, on one core.

    Args:
      **settings: of `xgboost.XGBClassifier`.
    """
    shared = {"tree_method": "hist", "max_bin": 32, "subsample": 0.8, "n_jobs": 1, "verbosity": 0}
    return lambda seed: BoostedTrees(
        xgboost.XGBClassifier(**{**shared, **settings}, random_state=seed)
    )


def lightgbm_trees(**settings: Any) -> Callable[[int], Classifier]:
    """Seed -> LightGBM (Ke 2017), on one core.

    Without an L2 penalty the first leaves of rare classes are so large that boosting diverges.

    Args:
      **settings: of `lightgbm.LGBMClassifier`.
    """
    shared = {
        "max_bin": 31,
        "subsample": 0.8,
        "subsample_freq": 1,
        "min_child_samples": 5,
        "reg_lambda": 10.0,
        "n_jobs": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    return lambda seed: BoostedTrees(
        lightgbm.LGBMClassifier(**{**shared, **settings}, random_state=seed)
    )
