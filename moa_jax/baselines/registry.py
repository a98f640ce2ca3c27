"""Every method by its name."""

from __future__ import annotations

from collections.abc import Callable

from moa_jax.baselines.interface import Learner, Method
from moa_jax.baselines.late_fusion import LateFusion
from moa_jax.baselines.logistic import EXPRESSION_LOGISTIC, MORGAN_LOGISTIC
from moa_jax.baselines.prevalence import Prevalence
from moa_jax.baselines.similarity import CosineKnn
from moa_jax.baselines.tuning import Tuned
from moa_jax.schemas import InputError

# Methods at the fixed settings under which they are known, in the order of the results table.
REFERENCE_LINES: dict[str, Callable[[], Learner]] = {
    "prevalence": Prevalence,
    "cosine_knn": CosineKnn,
    "expression_logistic": lambda: EXPRESSION_LOGISTIC,
    "morgan_logistic": lambda: MORGAN_LOGISTIC,
    "product_of_logistics": LateFusion,
}
METHODS = tuple(REFERENCE_LINES)


def make_method(name: str) -> Method:
    """The method called `name`.

    Raises:
      InputError: there is no such method.
    """
    if name not in METHODS:
        raise InputError(f"there is no method {name!r}; the methods are {', '.join(METHODS)}.")
    return Tuned(name, {"as known": REFERENCE_LINES[name]()})
