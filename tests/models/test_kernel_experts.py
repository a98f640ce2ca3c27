"""Kernels against slow definitions, and what they must not depend on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.models.kernel_experts import (
    KernelExpert,
    KernelInputs,
    NetworkComparison,
    StructureComparison,
    reference_signatures,
)
from moa_jax.models.kernel_functions import (
    COUNT_LEVELS,
    centred,
    node_activity,
    signature_kernel,
    structure_kernel,
    with_shrunk_bead_differences,
)
from tests.synthetic import make_graph

RNG = np.random.default_rng(0)


def test_the_signature_kernel_is_gaussian_on_the_unit_sphere():
    """exp(w (cos - 1)) = exp(-w/2 |a/|a| - b/|b||^2)."""
    a, b = (RNG.normal(size=(rows, 7)).astype(np.float32) for rows in (4, 5))
    kernel = signature_kernel(jnp.asarray(a), jnp.ones(a.shape, bool), jnp.asarray(b), width=1.7)
    unit = [matrix / np.linalg.norm(matrix, axis=1, keepdims=True) for matrix in (a, b)]
    distance = ((unit[0][:, None] - unit[1][None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(kernel, np.exp(-1.7 / 2 * distance), rtol=1e-5)


def test_only_measured_genes_are_compared():
    a, b = (RNG.normal(size=(3, 6)).astype(np.float32) for _ in range(2))
    mask = np.array([True, True, False, True, False, True])
    full = np.broadcast_to(mask, a.shape)
    noisy = np.where(mask, a, 99.0).astype(np.float32)
    kernel = signature_kernel(jnp.asarray(noisy), jnp.asarray(full), jnp.asarray(b), width=1.0)
    expected = signature_kernel(
        jnp.asarray(a[:, mask]), jnp.ones((3, 4), bool), jnp.asarray(b[:, mask]), width=1.0
    )
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)


def test_a_signature_without_genes_has_cosine_zero():
    kernel = signature_kernel(
        jnp.ones((1, 3)), jnp.zeros((1, 3), bool), jnp.ones((2, 3)), width=2.0
    )
    np.testing.assert_allclose(kernel, np.exp(-2.0), rtol=1e-6)


def test_a_scaled_signature_is_the_same_signature():
    a = jnp.asarray(RNG.normal(size=(2, 5)), jnp.float32)
    ones = jnp.ones(a.shape, bool)
    np.testing.assert_allclose(
        signature_kernel(3.0 * a, ones, a, width=1.0),
        signature_kernel(a, ones, a, width=1.0),
        rtol=1e-5,
    )


def test_differences_within_a_bead_are_damped_and_sums_stay():
    signatures = jnp.asarray([[3.0, -1.0, 5.0, 7.0]] * 2)
    mask = jnp.asarray([[True] * 4, [True, False, True, True]])
    partners = jnp.asarray([1, 0, 2, 3])
    found = with_shrunk_bead_differences(signatures, mask, partners, jnp.float32(0.25))
    # 1 +- .25 * 2; alone on its bead, or beside a gene that was not measured, nothing changes.
    np.testing.assert_allclose(found[0], [1.5, 0.5, 5.0, 7.0])
    np.testing.assert_allclose(found[1, jnp.array([0, 2, 3])], [3.0, 5.0, 7.0])
    as_they_are = with_shrunk_bead_differences(signatures, mask, partners, jnp.float32(1.0))
    np.testing.assert_allclose(as_they_are, signatures)


@pytest.mark.parametrize("left", [0.4, 1.0, 0.0])
def test_references_come_back_as_they_were(left):
    references = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
    given = {"bead_partners": jnp.asarray([2, 1, 0, 3]), "bead_difference": jnp.float32(left)}
    kept = with_shrunk_bead_differences(references, jnp.ones((3, 4), bool), **given)
    back = reference_signatures({**given, "references": kept})
    same = slice(None) if left else jnp.array([1, 3])
    np.testing.assert_allclose(back[:, same], references[:, same], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back.sum(axis=1), references.sum(axis=1), rtol=1e-5)


def slow_minmax(a, b, views):
    """Sum of smaller over sum of larger counts, of counts rounded down to the levels."""
    rank = lambda count: sum(int(count) >= level for level in COUNT_LEVELS)  # noqa: E731 (used twice)
    values, start = [], 0
    for size in views:
        pairs = [
            (rank(x), rank(y))
            for x, y in zip(a[start : start + size], b[start : start + size], strict=True)
        ]
        either = sum(map(max, pairs))
        values.append(sum(map(min, pairs)) / either if either else 0.0)
        start += size
    return np.mean(values)


@pytest.mark.parametrize("views", [(9,), (4, 5), (2, 3, 4)])
def test_the_structure_kernel_is_the_mean_tanimoto_of_the_views(views):
    a = RNG.integers(0, 7, (5, 9), np.uint8) * (RNG.random((5, 9)) < 0.5).astype(np.uint8)
    b = RNG.integers(0, 7, (3, 9), np.uint8)
    a[2] = 0
    kernel = structure_kernel(jnp.asarray(a), jnp.asarray(b), views=views)
    expected = [[slow_minmax(x, y, views) for y in b] for x in a]
    np.testing.assert_allclose(kernel, expected, rtol=1e-6)
    own = structure_kernel(jnp.asarray(b), jnp.asarray(b), views=views)
    np.testing.assert_allclose(np.diag(own), 1.0, rtol=1e-6)
    assert np.linalg.eigvalsh(own).min() > -1e-6


def test_centring_takes_away_what_is_usual_in_the_cell_line():
    expression = jnp.asarray([[1.0, 2.0], [1.0, 2.0]])
    centre = centred(
        expression,
        jnp.asarray([0, 1]),
        jnp.asarray([10.0, 1.0]),
        jnp.asarray([[0.0, 0.0], [0.5, 3.0]]),
    )
    np.testing.assert_allclose(centre, [[10.0, 2.0], [5.0, -1.0]])


def test_node_activity_is_the_propagated_signature_with_weighed_kinds_of_nodes():
    signatures = RNG.normal(size=(3, 4)).astype(np.float32)
    propagation = RNG.normal(size=(4, 8)).astype(np.float32)
    mask = np.array([True, True, False, True])
    noisy = np.where(mask, signatures, 50.0).astype(np.float32)
    activity = node_activity(
        jnp.asarray(noisy),
        jnp.asarray(np.broadcast_to(mask, (3, 4))),
        jnp.asarray(propagation),
        num_genes=6,
        term_share=0.4,
    )
    expected = signatures[:, mask] @ propagation[mask]
    # Weights up to one factor: of six genes .6, of two terms .4.
    expected[:, :6] *= np.sqrt(0.6 / 6)
    expected[:, 6:] *= np.sqrt(0.4 / 2)
    np.testing.assert_allclose(activity, np.sqrt(6) * expected, rtol=1e-5)


@pytest.mark.parametrize(("share", "nodes"), [(0.0, slice(0, 6)), (1.0, slice(6, 8))])
def test_a_kind_of_node_without_weight_is_not_compared(share, nodes):
    a, b = (jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32) for _ in range(2))
    propagation = jnp.asarray(RNG.normal(size=(4, 8)), jnp.float32)
    ones = jnp.ones((3, 4), bool)

    def kernel(propagation, num_genes, share):
        found = [
            node_activity(some, ones, propagation, num_genes=num_genes, term_share=share)
            for some in (a, b)
        ]
        return signature_kernel(found[0], jnp.ones(found[0].shape, bool), found[1], width=1.0)

    # Alone, the nodes of one kind are compared as they are.
    alone = propagation[:, nodes]
    np.testing.assert_allclose(
        kernel(propagation, 6, share), kernel(alone, alone.shape[1], 0.0), rtol=1e-5
    )


def network_expert(nodes, propagation, seed=1):
    """Expression -> logits, the expert's parameters, and expression of two examples."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731 (three uses)
    given = {
        "gene_scale": np.ones(4, np.float32),
        "offsets": np.zeros((1, 4), np.float32),
        "references": normal(5, nodes),
        "coefficients": normal(5, 3),
    }
    given = jax.tree.map(jnp.asarray, given)
    expert = KernelExpert(3, 0, NetworkComparison(width=1.5, num_genes=nodes, term_share=0.0))
    graph = dataclasses.replace(make_graph(), propagation=propagation)

    def logits(expression):
        inputs = KernelInputs(
            expression,
            jnp.ones((2, 4), bool),
            jnp.zeros(2, jnp.int32),
            jnp.zeros((2, 1), jnp.uint8),
        )
        return expert.apply({"params": given}, inputs, graph).logits

    return logits, given, jnp.asarray(normal(2, 4))


def test_with_an_identity_for_a_graph_the_network_expert_compares_signatures():
    logits, given, expression = network_expert(4, jnp.eye(4))
    kernel = signature_kernel(expression, jnp.ones((2, 4), bool), given["references"], width=1.5)
    np.testing.assert_allclose(logits(expression), kernel @ given["coefficients"], rtol=1e-5)


def test_derivatives_of_the_network_expert_reach_the_genes():
    """By the chain rule the gradient over genes is the propagated one over nodes."""
    propagation = jnp.asarray(RNG.normal(size=(4, 7)), jnp.float32)
    logits, given, expression = network_expert(7, propagation)

    def of_nodes(activity):
        ones = jnp.ones(activity.shape, bool)
        kernel = signature_kernel(activity, ones, given["references"], width=1.5)
        return (kernel @ given["coefficients"])[:, 0].sum()

    activity = expression @ propagation
    np.testing.assert_allclose(of_nodes(activity), logits(expression)[:, 0].sum(), rtol=1e-4)
    np.testing.assert_allclose(
        jax.grad(lambda expression: logits(expression)[:, 0].sum())(expression),
        jax.grad(of_nodes)(activity) @ propagation.T,
        atol=1e-4,
    )


def test_evidence_for_proteins_comes_from_the_same_kernel():
    counts = RNG.integers(0, 5, (4, 6)).astype(np.uint8)
    normal = lambda *shape: RNG.normal(size=shape).astype(np.float32)  # noqa: E731 (three uses)
    given = {
        "references": counts,
        "coefficients": normal(4, 3),
        "action_coefficients": normal(4, 8),
    }
    inputs = KernelInputs(normal(2, 1), np.ones((2, 1), bool), np.zeros(2, np.int32), counts[:2])
    given, inputs = jax.tree.map(jnp.asarray, (given, inputs))
    comparison = StructureComparison((2, 4))
    answer = KernelExpert(3, 8, comparison).apply({"params": given}, inputs, make_graph())
    kernel = structure_kernel(inputs.substructures, given["references"], views=(2, 4))
    np.testing.assert_allclose(answer.logits, kernel @ given["coefficients"], rtol=1e-5)
    np.testing.assert_allclose(answer.proteins, kernel @ given["action_coefficients"], rtol=1e-5)
    # Nobody reads it: there is none.
    answer = KernelExpert(3, 0, comparison).apply({"params": given}, inputs, make_graph())
    assert answer.proteins.shape == (2, 0)
