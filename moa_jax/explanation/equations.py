"""Single equations of a traced function, for what evaluates one in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jax.extend.core import Literal


def value_of(variable: Any, values: Mapping[Any, Any]) -> Any:
    """What an operand is: a literal's own value, or that of its variable."""
    return variable.val if isinstance(variable, Literal) else values[variable]


def is_among(variable: Any, variables: set[Any]) -> bool:
    """Whether an operand is one of some variables; a literal is none."""
    return not isinstance(variable, Literal) and variable in variables


def results_of(equation: Any, operands: list[Any]) -> list[Any]:
    """What an equation makes of its operands."""
    parameters = equation.primitive.get_bind_params(equation.params)
    found = equation.primitive.bind(*operands, **parameters)
    return found if equation.primitive.multiple_results else [found]
