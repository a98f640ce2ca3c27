"""Every method by its name."""

from __future__ import annotations

from collections.abc import Callable

from moa_jax.baselines.interface import Method
from moa_jax.baselines.late_fusion import LateFusion
from moa_jax.baselines.logistic import expression_logistic, morgan_logistic
from moa_jax.baselines.prevalence import Prevalence
from moa_jax.baselines.similarity import CosineKnn
from moa_jax.schemas import InputError

# In the order of the results table.
METHODS: dict[str, Callable[[], Method]] = {
    "prevalence": Prevalence,
    "cosine_knn": CosineKnn,
    "expression_logistic": expression_logistic,
    "morgan_logistic": morgan_logistic,
    "product_of_logistics": LateFusion,
}


def make_method(name: str) -> Method:
    """The method called `name`, with its default settings.

    Raises:
      InputError: there is no such method.
    """
    if name not in METHODS:
        raise InputError(f"there is no method {name!r}; the methods are {', '.join(METHODS)}.")
    return METHODS[name]()
