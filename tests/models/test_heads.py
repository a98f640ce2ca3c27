"""Heads of the joint expert in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from moa_jax.models.heads import PrototypeHead, TargetHead, word_shares
from tests.models.random_params import drawn

NAMES = ("beta receptor agonist", "Beta receptor antagonist", "kinase inhibitor")
STATE = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
GENES = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
MOA_TARGETS = np.array([[1, 0, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0, 0], [0] * 6], np.float32)
INPUTS = tuple(map(jnp.asarray, (STATE, GENES, MOA_TARGETS)))


def test_names_share_their_words():
    shares = word_shares(NAMES)
    # agonist, antagonist, beta, inhibitor, kinase, receptor
    third, half = 3**-0.5, 2**-0.5
    np.testing.assert_allclose(
        shares,
        [[third, 0, third, 0, 0, third], [0, third, third, 0, 0, third], [0, 0, 0, half, half, 0]],
        rtol=1e-6,
    )


def test_prototypes_are_their_words_targets_and_own_part():
    head = PrototypeHead(NAMES, 4)
    params = drawn(head, *INPUTS)
    p = jax.tree.map(np.asarray, params)
    prototypes = p["own"] + word_shares(NAMES) @ p["words"]
    prototypes = prototypes + MOA_TARGETS @ GENES @ p["targets"]["kernel"]
    point = STATE @ p["point"]["kernel"] + p["point"]["bias"]
    found = head.apply({"params": params}, *INPUTS)
    np.testing.assert_allclose(found, point @ prototypes.T / 2 + p["bias"], rtol=1e-5, atol=1e-5)


def test_a_step_for_one_moa_moves_those_that_share_words_or_targets():
    """What a frequent MoA teaches its prototype reaches a rare one with a similar name."""
    head = PrototypeHead(NAMES, 4)
    params = drawn(head, *INPUTS)
    still = {**params, "bias": jnp.zeros(3)}

    def first_logit(trained):
        return head.apply({"params": {**still, **trained}}, *INPUTS)[0, 0]

    trained = {name: still[name] for name in ("words", "own")}
    step = jax.tree.map(lambda leaf, slope: leaf + slope, trained, jax.grad(first_logit)(trained))
    before = head.apply({"params": still}, *INPUTS)[0]
    moved = head.apply({"params": {**still, **step}}, *INPUTS)[0] - before
    # Of the first prototype's step two of its three words' parts are the second's, too.
    size = (params["point"]["kernel"].T @ STATE[0] + params["point"]["bias"]) / 2
    length = float(size @ size)
    np.testing.assert_allclose(moved, [2 * length, 2 / 3 * length, 0.0], rtol=1e-4, atol=1e-5)


def test_heads_say_nothing_at_first():
    for head, inputs in ((PrototypeHead(NAMES, 4), INPUTS), (TargetHead(), INPUTS[:2])):
        params = head.init(jax.random.key(0), *inputs)
        np.testing.assert_array_equal(head.apply(params, *inputs), 0.0)


def test_a_gene_s_score_is_its_embedding_times_the_query():
    params = drawn(TargetHead(), *INPUTS[:2])
    p = jax.tree.map(np.asarray, params)
    query = STATE @ p["query"]["kernel"] + p["query"]["bias"]
    found = TargetHead().apply({"params": params}, *INPUTS[:2])
    np.testing.assert_allclose(found, query @ GENES.T / 3**0.5 + p["bias"], rtol=1e-5, atol=1e-5)
    order = np.array([3, 1, 0, 2, 5, 4])
    moved = {**params, "bias": params["bias"][order]}
    relabelled = TargetHead().apply({"params": moved}, INPUTS[0], INPUTS[1][order])
    np.testing.assert_allclose(relabelled, found[:, order], rtol=1e-5, atol=1e-6)
