"""Lower precision inside a network, full precision around it."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from moa_jax.schemas import InputError

Tree = TypeVar("Tree")
# Name in a configuration -> type in which a network computes.
PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def refuse_unknown_precision(name: str) -> None:
    """Raises InputError where there is no such precision."""
    if name not in PRECISIONS:
        raise InputError(
            f"config.training.precision is {name!r}, expected one of {', '.join(PRECISIONS)}."
        )


def cast_floats(tree: Tree, dtype: Any) -> Tree:
    """The tree with its floating-point arrays in another type; the others stay as they are.

    The gradient of a cast is a cast back: parameters in float32 get gradients in float32.
    """

    def cast(leaf: jax.Array) -> jax.Array:
        leaf = jnp.asarray(leaf)
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)
