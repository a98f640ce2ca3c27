"""Random parameters everywhere: heads that start at zero would hide mistakes."""

import jax


def randomised(params, *, seed=1, scale=0.3):
    """Parameters away from where they are."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return tree.unflatten(
        [
            leaf + scale * jax.random.normal(key, leaf.shape)
            for key, leaf in zip(keys, leaves, strict=True)
        ]
    )


def drawn(module, *inputs, seed=1, scale=0.5, **options):
    """Normal parameters of a module whose first ones are never computed."""
    shapes = jax.eval_shape(
        lambda *inputs: module.init(jax.random.key(0), *inputs, **options)["params"], *inputs
    )
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return tree.unflatten(
        [scale * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    )
