"""The settings that each method tries, at most `tuning.BUDGET`, the safest first.

Without validation examples the first one is used. Expensive methods try fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from moa_jax.baselines.classifiers.classifier import Classifier, ClassifierLearner
from moa_jax.baselines.classifiers.early_fusion import ExpressionAndMorgan
from moa_jax.baselines.classifiers.gene_selection import with_selected_features
from moa_jax.baselines.classifiers.late_fusion import LateFusion, arithmetic_mean
from moa_jax.baselines.classifiers.logistic import (
    EXPRESSION_LOGISTIC,
    MORGAN_LOGISTIC,
    expression_logistic,
    logistic,
    morgan_logistic,
)
from moa_jax.baselines.classifiers.stacking import Stacked
from moa_jax.baselines.classifiers.support_vectors import kernel_machine
from moa_jax.baselines.classifiers.trees import lightgbm_trees, random_forest, xgboost_trees
from moa_jax.baselines.inputs import MorganBits, StandardisedExpression
from moa_jax.baselines.interface import Learner
from moa_jax.baselines.similarity.structure_neighbours import TanimotoKnn

# The only setting of a reference baseline, which is not tuned.
AS_KNOWN = "as known"
# C of the two experts of a late fusion: expression, structure.
_EXPERTS = ((0.003, 0.3), (0.01, 1.0), (0.003, 1.0), (0.003, 0.1))


def _on_expression(make_classifier: Callable[[int], Classifier]) -> ClassifierLearner:
    return ClassifierLearner(make_classifier, StandardisedExpression)


def _on_structures(make_classifier: Callable[[int], Classifier]) -> ClassifierLearner:
    return ClassifierLearner(make_classifier, MorganBits, once_per_structure=True)


def _early(make_classifier: Callable[[int], Classifier]) -> ClassifierLearner:
    return ClassifierLearner(make_classifier, ExpressionAndMorgan)


def _xgboost(
    on: Callable[[Callable[[int], Classifier]], ClassifierLearner], *, column_share: float
) -> Mapping[str, Learner]:
    """Boosted trees on some inputs, each tree on a share of the columns."""
    return {
        f"{rounds} rounds of depth {depth}": on(
            xgboost_trees(
                n_estimators=rounds,
                max_depth=depth,
                learning_rate=6 / rounds,
                colsample_bytree=column_share,
            )
        )
        for rounds, depth in ((30, 3), (20, 4))
    }


EXPRESSION: dict[str, Mapping[str, Learner]] = {
    "expression_logistic": {AS_KNOWN: EXPRESSION_LOGISTIC},
    "expression_logistic_tuned": {
        f"C={penalty}": expression_logistic(penalty) for penalty in (0.01, 0.003, 0.03, 0.1)
    },
    "expression_linear_svm": {
        f"C={penalty}, scale={scale}": _on_expression(kernel_machine(penalty, scale))
        for penalty, scale in ((1.0, 3.0), (0.3, 3.0), (3.0, 3.0), (1.0, 10.0))
    },
    "expression_rbf_svm": {
        f"C={penalty}, gamma={gamma}, scale={scale}": _on_expression(
            kernel_machine(penalty, scale, gamma=gamma)
        )
        for penalty, gamma, scale in (
            (3.0, 1.0, 3.0),
            (1.0, 1.0, 3.0),
            (3.0, 0.3, 3.0),
            (3.0, 1.0, 1.0),
        )
    },
    "expression_random_forest": {
        f"{num_trees} trees, {max_features} genes a node": _on_expression(
            random_forest(n_estimators=num_trees, max_features=max_features, max_samples=0.5)
        )
        for num_trees, max_features in ((200, 31), (200, 10))
    },
    "expression_xgboost": _xgboost(_on_expression, column_share=0.05),
    "expression_lightgbm": {
        f"{rounds} rounds, L2 {l2}": _on_expression(
            lightgbm_trees(
                n_estimators=rounds,
                num_leaves=7,
                learning_rate=6 / rounds,
                colsample_bytree=0.1,
                reg_lambda=l2,
            )
        )
        for rounds, l2 in ((60, 10.0), (30, 10.0), (60, 30.0))
    },
    "wrfen_xgboost": {
        f"{num_genes} genes": _on_expression(
            with_selected_features(
                xgboost_trees(
                    n_estimators=30, max_depth=3, learning_rate=0.2, colsample_bytree=0.15
                ),
                num_genes,
            )
        )
        for num_genes in (100, 200)
    },
}

STRUCTURE: dict[str, Mapping[str, Learner]] = {
    "morgan_logistic": {AS_KNOWN: MORGAN_LOGISTIC},
    "morgan_logistic_tuned": {
        f"C={penalty}": morgan_logistic(penalty) for penalty in (0.3, 0.1, 1.0, 3.0)
    },
    "morgan_knn": {
        f"{num_neighbours} neighbours, similarity^{power:g}": TanimotoKnn(num_neighbours, power)
        for num_neighbours, power in ((5, 2.0), (3, 1.0), (10, 2.0), (30, 2.0))
    },
    "morgan_random_forest": {
        f"leaves of {size}, {max_features} bits a node": _on_structures(
            random_forest(n_estimators=300, min_samples_leaf=size, max_features=max_features)
        )
        for size, max_features in ((1, 45), (2, 45), (1, 150))
    },
}

FUSION: dict[str, Mapping[str, Learner]] = {
    "early_logistic": {
        f"C={penalty}, structure x{weight:g}": logistic(
            penalty, lambda weight=weight: ExpressionAndMorgan(weight)
        )
        for penalty, weight in ((0.01, 6.0), (0.003, 6.0), (0.01, 3.0), (0.03, 6.0))
    },
    "early_xgboost": _xgboost(_early, column_share=0.15),
    "product_of_logistics": {AS_KNOWN: LateFusion()},
    "product": {
        f"C={first} and {second}": LateFusion(expression_logistic(first), morgan_logistic(second))
        for first, second in _EXPERTS
    },
    "mean": {
        f"C={first} and {second}": LateFusion(
            expression_logistic(first), morgan_logistic(second), arithmetic_mean
        )
        for first, second in _EXPERTS
    },
    "stacked": {
        f"C={first} and {second}": Stacked(expression_logistic(first), morgan_logistic(second))
        for first, second in ((0.01, 0.3), (0.03, 1.0))
    },
}
