import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.data.examples.batches import make_batch
from moa_jax.data.examples.features import encode
from moa_jax.explanation.attribution.affine_paths import gradients_along_path, split_linear
from moa_jax.explanation.attribution.gradients import gauss_legendre
from moa_jax.explanation.attribution.target import AttributionTarget
from moa_jax.models.kernel_functions import signature_kernel
from tests.explanation.attribution.linear_models import every_moa, tiny_predictor
from tests.synthetic import make_raw_examples

NUM_ROWS, NUM_GENES, NUM_REFERENCES, NUM_MOAS = 3, 11, 23, 2
RNG = np.random.default_rng(0)
WEIGHTS = jnp.float32(RNG.normal(size=(NUM_GENES, NUM_MOAS)))
REFERENCES = jnp.float32(RNG.normal(size=(NUM_REFERENCES, NUM_GENES)))
COEFFICIENTS = jnp.float32(RNG.normal(size=(NUM_REFERENCES, NUM_MOAS)))
MASK = jnp.arange(NUM_GENES) != 4
PATH = tuple(jnp.float32(RNG.normal(size=(2, NUM_ROWS, NUM_GENES))))
DIRECTIONS = jnp.float32(RNG.normal(size=(2, NUM_ROWS, NUM_MOAS)))
PLACES, QUADRATURE = map(jnp.float32, gauss_legendre(7))


def kernel(x):
    similar = signature_kernel(x - 0.1, jnp.tile(MASK, (len(x), 1)), REFERENCES, width=1.0)
    return similar @ COEFFICIENTS


def rearranged(x):
    """Affine in many ways, then not."""
    x = jnp.where(MASK, 2.0 - x, 0.5) / jnp.arange(1.0, NUM_GENES + 1)
    x = jnp.concatenate([x[:, ::-1], jnp.ones((len(x), 2)), x[:, jnp.array([3, 1])]], axis=1)
    x = jnp.pad(x.T, ((1, 0), (0, 0)), constant_values=3.0).T[:, 1 : NUM_GENES + 1]
    return jnp.exp((x - x.mean(axis=1, keepdims=True)).cumsum(axis=1) @ WEIGHTS / 9)


def with_control_flow(x):
    """Operations that hold functions, and a gradient that is stopped."""
    _, steps = jax.lax.scan(lambda c, _: (jnp.sin(c), c), x @ WEIGHTS, None, length=3)
    return jax.nn.log_softmax(jax.nn.relu(x) @ WEIGHTS) * jax.lax.stop_gradient(steps.sum(axis=0))


FUNCTIONS = {
    "kernel": kernel,
    "rearranged": rearranged,
    "with_control_flow": with_control_flow,
    "affine": lambda x: x @ WEIGHTS + 1.0,
    "product": lambda x: (x @ WEIGHTS) * x[:, :2],
    "rounded": lambda x: x.astype(jnp.bfloat16).astype(jnp.float32) @ WEIGHTS,
    "jit": jax.jit(jax.jit(kernel)),
    "constant": lambda x: jnp.ones((len(x), NUM_MOAS)),
}


def summed(function, path, directions=DIRECTIONS):
    return gradients_along_path(function, path, PLACES, QUADRATURE, directions)


def one_by_one(function, path, directions=DIRECTIONS):
    """The same without any sorting."""

    def slope(place, direction):
        return jax.grad(lambda x: jnp.sum(function(x) * direction))(path[0] + place * path[1])

    slopes = jax.vmap(jax.vmap(slope, (0, None)), (None, 0))(PLACES, directions)
    return jnp.einsum("p,tp...->t...", QUADRATURE, slopes)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sums_are_those_of_gradients_at_points(name):
    function = FUNCTIONS[name]
    found, expected = summed(function, PATH), one_by_one(function, PATH)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_split_into_affine_lines_and_the_rest(name):
    function, (x, y) = FUNCTIONS[name], PATH
    lines, rest = split_linear(function, x)
    np.testing.assert_allclose(rest(lines(y)), function(y), rtol=1e-5, atol=1e-5)
    for here, first, second in zip(lines(0.3 * x + 0.7 * y), lines(x), lines(y), strict=True):
        np.testing.assert_allclose(here, 0.3 * first + 0.7 * second, rtol=1e-5, atol=1e-5)


def test_the_integral_of_a_cubes_slope_is_the_cubes_difference():
    found = summed(lambda x: x**3 @ WEIGHTS, PATH) * PATH[1]
    cubes = (PATH[0] + PATH[1]) ** 3 - PATH[0] ** 3
    slope = jnp.einsum("gm,tem->teg", WEIGHTS, DIRECTIONS)
    np.testing.assert_allclose(found, slope * cubes, rtol=1e-4, atol=1e-4)


def test_the_sum_can_be_compiled_mapped_and_differentiated():
    paths = (jnp.stack([PATH[0], -PATH[0]]), jnp.stack([PATH[1], PATH[1]]))
    mapped = jax.jit(jax.vmap(lambda *path: summed(kernel, path)))(*paths)
    alone = [one_by_one(kernel, (start, PATH[1])) for start in paths[0]]
    np.testing.assert_allclose(mapped, np.stack(alone), rtol=1e-5, atol=1e-5)
    second, expected = (
        jax.grad(lambda x, way=way: jnp.sum(way(kernel, (x, PATH[1])) ** 2))(PATH[0])
        for way in (summed, one_by_one)
    )
    np.testing.assert_allclose(second, expected, rtol=1e-4, atol=1e-5)


def products(jaxpr, inside=False):
    """Shapes of both operands of every product, and whether it runs at every place."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield inside, *(one.aval.shape for one in equation.invars)
        for parameter in equation.params.values():
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from products(inner, inside or equation.primitive.name == "scan")


def test_products_with_the_references_are_no_part_of_the_walk():
    traced = jax.make_jaxpr(lambda *path: summed(kernel, path))(*PATH)
    found = {True: [], False: []}
    for inside, *shapes in products(traced.jaxpr):
        found[inside].append(any({NUM_REFERENCES, NUM_GENES} <= set(shape) for shape in shapes))
    assert found[True]
    assert not any(found[True])
    assert any(found[False])


def test_a_model_with_all_experts():
    predictor = tiny_predictor(
        ("signature", "molecule", "joint", "signature_kernel", "network_kernel")
    )
    examples = encode(make_raw_examples(12, seed=1), predictor.features)
    batch = make_batch(examples, np.arange(4), 4, num_shards=1)
    directions = jnp.swapaxes(every_moa(4), 0, 1)

    def explain(way):
        def explained(params, batch, graph):
            outputs = AttributionTarget(predictor.task).outputs(params, batch, graph)
            path = jnp.full_like(batch.expression, 0.1), batch.expression - 0.1
            return way(lambda point: jax.nn.log_softmax(outputs(point)), path, directions)

        return jax.jit(explained)(predictor.params, batch, predictor.graph)

    found, expected = explain(summed), explain(one_by_one)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
