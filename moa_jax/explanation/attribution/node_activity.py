"""A model as a function of the activity of the graph's nodes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array, Float

from moa_jax.explanation.attribution.affine_paths import is_among, results_of, value_of

# Primitives that return their operand unchanged.
_COPIES = ("copy", "copy_p", "stop_gradient", "device_put", "sharding_constraint")

# Index of a product among the model's, and its value -> value that replaces it.
Change = Callable[[int, Float[Array, "example node"]], Float[Array, "example node"]]


def change_activity(
    function: Callable[[Float[Array, "gene node"]], Array],
    propagation: Float[Array, "gene node"],
    change: Change,
) -> Array:
    """Evaluates a function of the propagation matrix with other node activities.

    Models compute the activity of all nodes as `signatures @ propagation`, each expert from
    signatures in its own units. The function is traced and evaluated operation by operation, and
    each of these products is replaced by `change`, so that models need no code for explanations.

    Args:
      function: uses its argument only in such products.
      propagation: the matrix.
      change: called once per product, always in the same order.

    Raises:
      ValueError: the function uses the matrix in another way, or not at all.
    """
    traced = jax.make_jaxpr(function)(propagation)
    if not any(variable in traced.jaxpr.invars for variable in _inputs(traced.jaxpr)):
        raise ValueError("the model does not read node activities, so they cannot explain it.")
    places = itertools.count()
    (result,) = _evaluate(
        traced.jaxpr,
        traced.consts,
        [propagation],
        [True],
        lambda product: change(next(places), product),
    )
    return result


def activities(
    function: Callable[[Float[Array, "gene node"]], Array],
    propagation: Float[Array, "gene node"],
) -> list[Float[Array, "example node"]]:
    """The products themselves, in the order of `change_activity`."""
    found: list[Float[Array, "example node"]] = []

    def record(index: int, product: Float[Array, "example node"]) -> Float[Array, "example node"]:
        del index
        found.append(product)
        return product

    change_activity(function, propagation, record)
    return found


def _inputs(jaxpr: Jaxpr) -> list[Any]:
    return [
        variable
        for equation in jaxpr.eqns
        for variable in equation.invars
        if not isinstance(variable, Literal)
    ]


def _evaluate(
    jaxpr: Jaxpr,
    consts: list[Any],
    arguments: list[Any],
    is_propagation: list[bool],
    change: Callable[[Array], Array],
) -> list[Any]:
    """Evaluates a jaxpr some of whose arguments are the propagation matrix."""
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    marked = {variable for variable, mark in zip(jaxpr.invars, is_propagation, strict=True) if mark}

    for equation in jaxpr.eqns:
        given = [value_of(variable, values) for variable in equation.invars]
        marks = [is_among(variable, marked) for variable in equation.invars]
        name = equation.primitive.name
        is_activity = any(marks) and _is_activity(equation)
        if is_activity or not any(marks):
            found = results_of(equation, given)
            if is_activity:
                found = [change(found[0])]
        elif name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            found = _evaluate(inner.jaxpr, inner.consts, given, marks, change)
        elif name in _COPIES:
            found = given
            marked.update(equation.outvars)
        else:
            raise ValueError(
                f"the model uses the propagation matrix in {name}; expected only products "
                "`signatures @ propagation`."
            )
        values.update(zip(equation.outvars, found, strict=True))
    return [value_of(variable, values) for variable in jaxpr.outvars]


def _is_activity(equation: Any) -> bool:
    """Whether an equation is `signatures @ propagation`."""
    if equation.primitive.name != "dot_general":
        return False
    (left, right), batched = equation.params["dimension_numbers"]
    return (tuple(left), tuple(right), *map(tuple, batched)) == ((1,), (0,), (), ())
