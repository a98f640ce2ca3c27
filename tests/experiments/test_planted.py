"""False interactions beside the true ones, and the factors that training gives to both."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.explanation_audit.planting import (
    PairFactors,
    embeddings,
    factor_rows,
    pair_factors,
    plant_interactions,
    undirected,
)
from moa_jax.models.encoders.evidence import MAX_LOG_FACTOR, EvidencePassing
from moa_jax.schemas import EdgeSet, InputError
from tests.experiments.network_models import network_predictor
from tests.models.test_protein_network import ROWS
from tests.synthetic import NUM_GENES, batch_of, make_knowledge_graph

pytestmark = pytest.mark.slow


def graph_of(pairs, weight):
    """The tiny graph with other interactions, on as many landmarks as they need."""
    pairs = np.asarray(pairs, np.int32)
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    edges = EdgeSet(*ends[order].T, np.tile(np.asarray(weight, np.float32), 2)[order])
    return dataclasses.replace(make_knowledge_graph(int(pairs.max()) + 1), interacts=edges)


def test_planted_interactions_are_new_and_their_ends_are_drawn_by_degree():
    # Fifty hubs that each know twenty of the other genes, which know nobody else.
    pairs = [(hub, 50 + (20 * hub + other) % 950) for hub in range(50) for other in range(20)]
    true = graph_of(pairs, np.linspace(0.4, 0.9, len(pairs)))
    planted = plant_interactions(true, share=0.3, seed=0)
    known, found = (
        dict(zip(map(tuple, pairs.tolist()), weights.tolist(), strict=True))
        for pairs, weights in (undirected(graph.interacts) for graph in (true, planted))
    )
    assert planted.interacts.num_edges == 2 * len(found) == 2 * 1300
    assert {pair: found[pair] for pair in known} == known
    new = [pair for pair in found if pair not in known]
    assert len(new) == 300
    assert all(first < second for first, second in new)
    assert {found[pair] for pair in new} <= set(known.values())
    # Half of the ends of true interactions are hubs; so are those of planted ones.
    assert np.mean(np.array(new) < 50) == pytest.approx(0.5, abs=0.08)
    again = plant_interactions(true, share=0.3, seed=0).interacts
    np.testing.assert_array_equal(again.senders, planted.interacts.senders)


def test_a_graph_without_room_is_refused():
    complete = graph_of([(a, b) for b in range(6) for a in range(b)], np.full(15, 0.5))
    with pytest.raises(InputError, match="only 0 of 2 false interactions"):
        plant_interactions(complete, share=0.1, seed=0)


def test_factors_are_those_that_the_model_passes_evidence_with():
    true = make_knowledge_graph()
    ends = np.array([(0, 1), (1, 0)], np.int32)
    edges = true.interacts
    both = np.concatenate([np.stack([edges.senders, edges.receivers], axis=1), ends])
    order = np.lexsort((both[:, 1], both[:, 0]))
    weight = np.append(edges.weight, [0.7, 0.7]).astype(np.float32)
    planted = dataclasses.replace(true, interacts=EdgeSet(*both[order].T, weight[order]))
    predictor = network_predictor(planted)
    found = pair_factors(predictor, planted, true, seed=0)
    assert found.pairs[found.is_planted].tolist() == [[0, 1]]
    inside = set(ROWS.tolist())
    assert found.num_ends.tolist() == [len(inside & {a, b}) for a, b in found.pairs.tolist()]

    model, params = predictor.task.model, predictor.params
    apply = jax.jit(functools.partial(model.apply, train=False))
    batch = jax.tree.map(jnp.asarray, batch_of())
    state = apply({"params": params}, batch, predictor.graph).state
    genes = np.asarray(state.nodes)[:NUM_GENES]
    np.testing.assert_allclose(embeddings(predictor, NUM_GENES), genes, rtol=1e-5, atol=1e-5)
    own = {"params": params["protein_network"]["passing"]}
    # Each edge's weight times factor, over the sum of its receiver.
    shares = EvidencePassing(NUM_GENES).apply(own, state.nodes, predictor.graph).interacts
    kernel = np.asarray(own["params"]["interacts"]["kernel"])
    for (first, second), log_factor in zip(found.pairs, found.log_factor, strict=True):
        likeness = [
            genes[one] @ kernel @ genes[other] / np.sqrt(len(kernel))
            for one, other in ((first, second), (second, first))
        ]
        assert log_factor == pytest.approx(np.mean(MAX_LOG_FACTOR * np.tanh(likeness)), abs=1e-4)
    # Gene 0 has two neighbours; their shares compare as their weights times factors.
    into = np.flatnonzero(planted.interacts.receivers == 0)
    weights = planted.interacts.weight[into] * np.exp(
        MAX_LOG_FACTOR
        * np.tanh(genes[planted.interacts.senders[into]] @ kernel @ genes[0] / len(kernel) ** 0.5)
    )
    np.testing.assert_allclose(shares.weight[into], weights / weights.sum(), rtol=1e-4)


def test_planted_and_true_interactions_are_compared_by_their_ends():
    rng = np.random.default_rng(0)
    pairs = np.array([(a, b) for b in range(40) for a in range(b)])
    planted, ends = rng.random(len(pairs)) < 0.3, rng.integers(3, size=len(pairs))
    values = np.round(rng.normal(size=len(pairs)) + ~planted * (ends == 2), 1)
    factors = PairFactors(pairs, planted, ends, values, np.zeros((2, len(pairs))))
    rows = {row["interactions"]: row for row in factor_rows(factors, seed=0)}
    assert rows["all"]["planted"] == planted.sum()
    inside = ends == 2
    row = rows["between proteins with evidence"]
    expected = roc_auc_score(~planted[inside], values[inside])
    assert row["AUROC"].startswith(f"{expected:.3f} [0.6")
    gap = values[inside & ~planted].mean() - values[inside & planted].mean()
    assert row["true - planted"].startswith(f"{gap:+.3f} [+0.")
    assert row["mean log factor, planted"] == pytest.approx(values[inside & planted].mean())
    assert row["sd of both"] == pytest.approx(values[inside].std())
    # Equal factors, as before training, tell nothing apart.
    assert row["AUROC, shuffled keys"] == "0.500 (0.500 to 0.500)"
    assert "[-" in rows["neither end"]["true - planted"]
