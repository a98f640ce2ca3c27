"""Reads a model as a function of the activity of its graph's nodes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array, Float

from moa_jax.explanation.attribution.affine_paths import is_among, results_of, value_of

# Primitives that pass an array on as it is.
_COPIES = ("copy", "copy_p", "stop_gradient", "device_put", "sharding_constraint")


# Place of a product among the model's, and its value -> what the model goes on with.
Change = Callable[[int, Float[Array, "example node"]], Float[Array, "example node"]]


def change_activity(
    function: Callable[[Float[Array, "gene node"]], Array],
    propagation: Float[Array, "gene node"],
    change: Change,
) -> Array:
    """What a function of the propagation matrix returns where nodes have another activity.

    Models compute the activity of all nodes as `signatures @ propagation`, each expert from the
    signatures in its own units. The function is traced and evaluated operation by operation, and
    goes on with what `change` makes of these products, so that no model needs to know that it is
    explained.

    Args:
      function: uses its argument in such products alone.
      propagation: the matrix.
      change: called once for every product, in one order for one function.

    Raises:
      ValueError: the function uses the matrix in another way, or not at all.
    """
    traced = jax.make_jaxpr(function)(propagation)
    if not any(variable in traced.jaxpr.invars for variable in _inputs(traced.jaxpr)):
        raise ValueError("the model reads no activity of graph nodes, so none explains it.")
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
    """The products themselves, in the order in which `change_activity` meets them."""
    found: list[Float[Array, "example node"]] = []

    def note(place: int, product: Float[Array, "example node"]) -> Float[Array, "example node"]:
        del place
        found.append(product)
        return product

    change_activity(function, propagation, note)
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
                f"the model uses the propagation matrix in {name}; expected a product with "
                "signatures from the left alone."
            )
        values.update(zip(equation.outvars, found, strict=True))
    return [value_of(variable, values) for variable in jaxpr.outvars]


def _is_activity(equation: Any) -> bool:
    """Whether an equation is `signatures @ propagation`."""
    if equation.primitive.name != "dot_general":
        return False
    (left, right), batched = equation.params["dimension_numbers"]
    return (tuple(left), tuple(right), *map(tuple, batched)) == ((1,), (0,), (), ())
