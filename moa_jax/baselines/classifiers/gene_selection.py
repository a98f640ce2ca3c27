"""WRFEN: gene selection by a weighted sum of random-forest and elastic-net importance.

Lu, Chen and Qin 2021 (BMC Bioinformatics 22:13) select genes in this way before XGBoost, to predict
cell viability. Here the forest classifies the mechanisms, and a multi-task elastic net predicts
their indicators, so that a gene is selected for all mechanisms or for none.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import MultiTaskElasticNet
from sklearn.utils.class_weight import compute_sample_weight

from moa_jax.baselines.classifiers.classifier import Classifier
from moa_jax.baselines.classifiers.trees import random_forest

# The forest only has to rank genes, and the elastic net to find the strongest ones.
_FOREST = {"n_estimators": 100, "max_features": 16}
_PENALTY_SHARE = 0.2
_MAX_SWEEPS = 30


def elastic_net_importance(
    inputs: Float[np.ndarray, "example feature"],
    classes: Int[np.ndarray, " example"],
) -> Float[np.ndarray, " feature"]:
    """Norm of each feature's coefficients in one elastic net for all class indicators.

    Classes have equal weights. The penalty is a fixed share of the smallest one that removes all
    features, half of it L1 (over features, each with all its coefficients) and half L2.
    """
    weight = np.sqrt(compute_sample_weight("balanced", classes))[:, None]
    indicator = (classes[:, None] == np.unique(classes)).astype(np.float64)
    target = weight * (indicator - np.average(indicator, axis=0, weights=weight[:, 0] ** 2))
    scaled = weight * (inputs - np.average(inputs, axis=0, weights=weight[:, 0] ** 2))
    largest = np.linalg.norm(scaled.T @ target, axis=1).max() / (len(inputs) * 0.5)
    net = MultiTaskElasticNet(
        alpha=max(_PENALTY_SHARE * largest, np.finfo(float).tiny),
        l1_ratio=0.5,
        fit_intercept=False,
        max_iter=_MAX_SWEEPS,
    )
    with warnings.catch_warnings():
        # The order of the genes converges long before the coefficients.
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(scaled, target)
    return np.linalg.norm(net.coef_, axis=0)


class SelectedFeatures:
    """A classifier on the features of highest fused importance.

    Attributes:
      classes_: after `fit`, the classes in the order of the columns of `predict_proba`.
    """

    classes_: Int[np.ndarray, " class"]

    def __init__(
        self,
        make_classifier: Callable[[int], Classifier],
        num_features: int,
        seed: int,
    ) -> None:
        self._make_classifier = make_classifier
        self._num_features = num_features
        self._seed = seed

    def fit(
        self, inputs: Float[np.ndarray, "example feature"], classes: Int[np.ndarray, " example"]
    ) -> SelectedFeatures:
        """Selects features and fits the classifier to them."""
        forest = random_forest(**_FOREST)(self._seed)
        forest.fit(inputs, classes)
        parts = (forest.feature_importances_, elastic_net_importance(inputs, classes))
        by_forest, by_net = (part / max(part.sum(), np.finfo(float).tiny) for part in parts)
        order = np.argsort(-(by_forest + by_net), kind="stable")
        self.selected = np.sort(order[: self._num_features])
        self._classifier = self._make_classifier(self._seed)
        self._classifier.fit(inputs[:, self.selected], classes)
        self.classes_ = self._classifier.classes_
        return self

    def predict_proba(
        self, inputs: Float[np.ndarray, "example feature"]
    ) -> Float[np.ndarray, "example class"]:
        """Probability of each class; rows sum to one."""
        return self._classifier.predict_proba(inputs[:, self.selected])


def with_selected_features(
    make_classifier: Callable[[int], Classifier], num_features: int
) -> Callable[[int], Classifier]:
    """Seed -> a classifier on selected features.

    Args:
      make_classifier: seed -> classifier of the selected features.
      num_features: how many are kept, by the sum of the forest's and the elastic net's importance,
        each scaled to a sum of one.
    """
    return lambda seed: SelectedFeatures(make_classifier, num_features, seed)
