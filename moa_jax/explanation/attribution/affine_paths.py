"""Gradients along a straight path, with the function's leading linear operations run once.

The first operations of a function are often linear: it subtracts offsets, scales, masks, multiplies
by weights or references. They map a straight path `start + place * slope` to another straight
path, so they are run on its start and slope only. The remaining operations are run at every place,
and their gradients are summed over the places before the linear operations are differentiated. A
matrix product costs two products forward and one backward, instead of one each for every point.
The result is the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array, Float

# Operations that are linear in all operands jointly, or in the first one.
_LINEAR_IN_ALL = ("add", "add_any", "sub", "concatenate", "pad")
_LINEAR_IN_FIRST = (
    "neg",
    "div",
    "reshape",
    "transpose",
    "broadcast_in_dim",
    "squeeze",
    "expand_dims",
    "rev",
    "slice",
    "dynamic_slice",
    "gather",
    "reduce_sum",
    "cumsum",
    "copy",
    "copy_p",
)
# Linear in each operand while the other is fixed.
_PRODUCTS = ("mul", "dot_general", "conv_general_dilated")


def gradients_along_path(
    function: Callable[[Float[Array, "*inputs"]], Float[Array, "*outputs"]],
    path: tuple[Float[Array, "*inputs"], Float[Array, "*inputs"]],
    places: Float[Array, " place"],
    weights: Float[Array, " place"],
    directions: Float[Array, "target *outputs"],
) -> Float[Array, "target *inputs"]:
    """Sum over places of weight times the gradient of `sum(direction * function(point))`.

    Places are visited one after the other, so their number does not affect the memory.

    Args:
      function: the function to differentiate.
      path: start and slope; the point at a place is `start + place * slope`.
      places: where gradients are taken.
      weights: weight of each place.
      directions: scores as weights of the outputs.
    """
    lines, rest = split_linear(function, path[0])
    starts, slopes = jax.jvp(lines, path[:1], path[1:])
    if not starts:
        # The function does not read its inputs.
        return jnp.zeros((len(directions), *path[0].shape), path[0].dtype)

    def add(total: list[Array], step: tuple[Array, Array]) -> tuple[list[Array], None]:
        place, weight = step
        here = [start + place * slope for start, slope in zip(starts, slopes, strict=True)]
        _, pullback = jax.vjp(rest, here)
        (found,) = jax.vmap(pullback)(directions)
        return [one + weight * more for one, more in zip(total, found, strict=True)], None

    nothing = [jnp.zeros((len(directions), *start.shape), start.dtype) for start in starts]
    total, _ = jax.lax.scan(add, nothing, (places, weights))
    _, pullback = jax.vjp(lines, path[0])
    return jax.vmap(pullback)(total)[0]


def split_linear(
    function: Callable[[Float[Array, "*inputs"]], Float[Array, "*outputs"]],
    inputs: Float[Array, "*inputs"],
) -> tuple[
    Callable[[Float[Array, "*inputs"]], list[Array]],
    Callable[[list[Array]], Float[Array, "*outputs"]],
]:
    """Splits a function into `rest(lines(inputs))`, where `lines` is affine.

    The function is traced and its operations are sorted. Operations that do not depend on the
    inputs are evaluated at once.

    Args:
      function: the function to split.
      inputs: inputs of the shape that it is split for.
    """
    traced = jax.make_jaxpr(function)(inputs)
    # Traced again with nested jitted functions inlined, so that their operations are sorted too.
    traced = jax.make_jaxpr(lambda point: _inlined(traced.jaxpr, traced.consts, [point]))(inputs)
    (argument,), (result,) = traced.jaxpr.invars, traced.jaxpr.outvars
    fixed = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    # Variables that are affine in the inputs, and those that depend on the inputs at all.
    affine, moving = {argument}, {argument}
    linear, others = [], []
    for equation in traced.jaxpr.eqns:
        given = [place for place, one in enumerate(equation.invars) if is_among(one, moving)]
        if not given:
            _run([equation], fixed)
            continue
        moving.update(equation.outvars)
        is_affine = all(equation.invars[place] in affine for place in given)
        if is_affine and _is_linear(equation, given):
            linear.append(equation)
            affine.update(equation.outvars)
        else:
            others.append(equation)
    read = [one for equation in others for one in equation.invars] + [result]
    handed_over = list(dict.fromkeys(one for one in read if is_among(one, affine)))

    def lines(inputs: Float[Array, "*inputs"]) -> list[Array]:
        values = _run(linear, {**fixed, argument: inputs})
        return [values[one] for one in handed_over]

    def rest(given: list[Array]) -> Float[Array, "*outputs"]:
        values = {**fixed, **dict(zip(handed_over, given, strict=True))}
        return value_of(result, _run(others, values))

    return lines, rest


def _is_linear(equation: Any, given: Sequence[int]) -> bool:
    """Whether an operation is affine in the given operands jointly."""
    name = equation.primitive.name
    if name == "convert_element_type":
        # A cast that rounds is not linear.
        old, new = equation.invars[0].aval.dtype, equation.params["new_dtype"]
        return jnp.promote_types(old, new) == new
    return (
        name in _LINEAR_IN_ALL
        or (name in _LINEAR_IN_FIRST and given == [0])
        or (name in _PRODUCTS and len(given) == 1)
        or (name == "select_n" and 0 not in given)
    )


def _inlined(jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """Evaluates a jaxpr with the jitted functions that it calls inlined."""
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            given = [value_of(one, values) for one in equation.invars]
            found = _inlined(inner.jaxpr, inner.consts, given)
            values.update(zip(equation.outvars, found, strict=True))
        else:
            _run([equation], values)
    return [value_of(one, values) for one in jaxpr.outvars]


def _run(equations: Sequence[Any], values: dict[Any, Any]) -> dict[Any, Any]:
    """Evaluates equations and adds their results to the values."""
    for equation in equations:
        found = results_of(equation, [value_of(one, values) for one in equation.invars])
        values.update(zip(equation.outvars, found, strict=True))
    return values


def value_of(variable: Any, values: Mapping[Any, Any]) -> Any:
    """Value of an operand, which is a literal or a variable."""
    return variable.val if isinstance(variable, Literal) else values[variable]


def is_among(variable: Any, variables: set[Any]) -> bool:
    """Whether an operand is one of the variables; a literal is not."""
    return not isinstance(variable, Literal) and variable in variables


def results_of(equation: Any, operands: list[Any]) -> list[Any]:
    """Evaluates one equation."""
    parameters = equation.primitive.get_bind_params(equation.params)
    found = equation.primitive.bind(*operands, **parameters)
    return found if equation.primitive.multiple_results else [found]
