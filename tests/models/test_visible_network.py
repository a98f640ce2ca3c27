"""The visible network against a slow one, term by term, whose parameters go by names."""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.baselines.neural.ontology_network import levelled_graph
from moa_jax.data.examples.ontology_levels import term_levels
from moa_jax.models.visible_network import TermStates, VisibleNetwork
from moa_jax.schemas import InputError
from tests.small_sets import edge_set, knowledge_graph
from tests.synthetic import NUM_LANDMARKS, NUM_MOAS, batch_of, replace

pytestmark = pytest.mark.slow

STATE = 2
# A diamond: `bottom` under `left` and `right` under `top`, with a link past them; `side` has no
# term below it, `lone` neither child nor parent, `empty` no gene. Rows are in no useful order.
TERMS = ("top", "bottom", "lone", "right", "empty", "left", "side")
IS_A = (("bottom", "left"), ("left", "top"), ("right", "top"), ("side", "top"), ("empty", "right"))
PART_OF = (("bottom", "right"), ("bottom", "top"))
# Gene 3 is not measured in the batches, gene 5 is no landmark.
ANNOTATED = (
    *((0, "bottom"), (1, "bottom"), (1, "lone"), (2, "left"), (3, "left"), (4, "right")),
    *((2, "top"), (4, "side"), (5, "top")),
)
ABOVE = {
    "bottom": {"bottom", "left", "right", "top"},
    **{term: {term, "top"} for term in ("left", "right", "side")},
    "top": {"top"},
    "lone": {"lone"},
}


def ontology(terms=TERMS, *, turn=1, part_of=PART_OF, annotated=ANNOTATED):
    """The graph with its terms in this order and its edges read in that direction."""
    row = {term: place for place, term in enumerate(terms)}
    link = lambda pairs: edge_set([(row[a], row[b]) for a, b in pairs][::turn])  # noqa: E731 (two)
    base = knowledge_graph(NUM_LANDMARKS)
    table = base.terms.iloc[[0] * len(terms)].reset_index(drop=True).assign(go_id=list(terms))
    annotations = [(gene, row[term]) for gene, term in annotated][::turn]
    return dataclasses.replace(
        base,
        terms=table,
        annotated_to=edge_set(annotations, evidence=("IDA",) * len(annotations)),
        is_a=link(IS_A),
        part_of=link(part_of),
    )


def numbers(name, *shape):
    """Numbers that hang on a name alone."""
    return np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape).astype(np.float32)


def named_params(terms=TERMS, *, annotated=ANNOTATED, part_of=PART_OF, state=STATE):
    """Parameters of the network for terms in this order: by receiver, then sender."""
    row = {term: place for place, term in enumerate(terms)}
    graph = ontology(terms, annotated=annotated, part_of=part_of)
    height = {
        terms[place]: level for level, found in enumerate(term_levels(graph)) for place in found
    }
    measured = [(gene, term) for gene, term in annotated if gene < NUM_LANDMARKS]
    genes = sorted(set(measured), key=lambda pair: (row[pair[1]], pair[0]))
    links = sorted(
        {*IS_A, *part_of}, key=lambda pair: (height[pair[1]], row[pair[1]], row[pair[0]])
    )
    stack = lambda parts: jnp.asarray(np.stack(parts))  # noqa: E731 (five uses)
    return {
        "terms": {
            "bias": stack([numbers(f"bias {term}", state) for term in terms]),
            "genes": stack([numbers(f"{gene} in {term}", state) for gene, term in genes]),
            "children": stack([numbers(f"{a} in {b}", state, state) for a, b in links]),
        },
        "heads": stack([numbers(f"head {term}", state, NUM_MOAS) for term in terms]),
        "bias": jnp.asarray(numbers("bias", NUM_MOAS)),
    }


def slow_states(batch):
    """States by name, one term, one edge and one example at a time."""
    genes = np.where(batch.gene_mask, batch.expression, 0.0)
    states = {}

    def state(term):
        if term not in states:
            total = np.tile(numbers(f"bias {term}", STATE), (len(genes), 1))
            for example, values in enumerate(genes):
                for gene, annotated in ANNOTATED:
                    if annotated == term and gene < NUM_LANDMARKS:
                        total[example] += values[gene] * numbers(f"{gene} in {term}", STATE)
                for child, parent in (*IS_A, *PART_OF):
                    if parent == term:
                        matrix = numbers(f"{child} in {term}", STATE, STATE)
                        total[example] += state(child)[example] @ matrix
            states[term] = np.tanh(total)
        return states[term]

    return {term: state(term) for term in TERMS}


def network(terms=TERMS, **overrides):
    rest = {"gene_dropout": 0.0, "dropout": 0.0, "roots_only": False}
    settings = {"term_features": STATE} | rest
    return VisibleNetwork(num_moas=NUM_MOAS, num_terms=len(terms), **(settings | overrides))


def answer(batch, terms=TERMS, *, turn=1, roots_only=False):
    apply = jax.jit(network(terms, roots_only=roots_only).apply, static_argnames="train")
    graph = levelled_graph(ontology(terms, turn=turn))
    batch = jax.tree.map(jnp.asarray, batch)
    return apply({"params": named_params(terms)}, batch, graph, train=False)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("terms", [TERMS, TERMS[::-1], tuple(sorted(TERMS))])
def test_it_equals_a_slow_network_whatever_the_order(terms, turn):
    batch = batch_of()
    output, slow = answer(batch, terms, turn=turn), slow_states(batch)
    says = {term: slow[term] @ numbers(f"head {term}", STATE, NUM_MOAS) for term in terms}
    for place, term in enumerate(terms):
        np.testing.assert_allclose(output.term_logits[place], says[term], rtol=1e-5, atol=1e-5)
    total = sum(says.values()) / len(TERMS) ** 0.5 + numbers("bias", NUM_MOAS)
    np.testing.assert_allclose(output.logits, total, rtol=1e-5, atol=1e-5)
    # The roots are the terms without parents.
    roots = (says["top"] + says["lone"]) / 2**0.5 + numbers("bias", NUM_MOAS)
    of_roots = answer(batch, terms, turn=turn, roots_only=True).logits
    np.testing.assert_allclose(of_roots, roots, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gene", range(NUM_LANDMARKS))
def test_a_gene_reaches_its_terms_and_what_is_above_them_alone(gene):
    batch = replace(batch_of(), gene_mask=np.ones((8, NUM_LANDMARKS), bool))
    raised = batch.expression.copy()
    raised[:, gene] += 0.5
    before, after = answer(batch).term_logits, answer(replace(batch, expression=raised)).term_logits
    reached = set().union(*(ABOVE[term] for known, term in ANNOTATED if known == gene))
    for place, term in enumerate(TERMS):
        assert (before[place] == after[place]).all() == (term not in reached), term
        assert (before[place] != after[place]).any(axis=-1).all() == (term in reached), term


def test_genes_that_are_not_measured_change_nothing():
    batch = batch_of()
    garbled = np.where(batch.gene_mask, batch.expression, 1e3).astype(np.float32)
    expected = answer(batch)
    np.testing.assert_array_equal(
        answer(replace(batch, expression=garbled)).logits, expected.logits
    )


def test_the_order_and_repetition_of_edges_change_nothing():
    twice = ontology(annotated=(*ANNOTATED, *ANNOTATED), part_of=(*PART_OF, ("left", "top")))
    once, turned = levelled_graph(ontology()), levelled_graph(ontology(turn=-1))
    for other in (levelled_graph(twice), turned):
        for ours, theirs in zip(jax.tree.leaves(once), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_levels_stand_above_all_their_children():
    found = [[TERMS[row] for row in level] for level in term_levels(ontology())]
    assert found == [["bottom", "lone", "empty", "side"], ["right", "left"], ["top"]]
    graph = levelled_graph(ontology())
    laid_out = graph.ontology
    assert [TERMS[row] for row in laid_out.roots] == ["top", "lone"]
    # `top` receives one gene and four terms, `bottom` two genes.
    np.testing.assert_allclose(laid_out.levels[2].children.weight, 5**-0.5)
    assert laid_out.levels[0].children.weight.shape == (0,)
    into_bottom = laid_out.annotated_to.receivers == TERMS.index("bottom")
    np.testing.assert_allclose(laid_out.annotated_to.weight[into_bottom], 2**-0.5)


def test_a_cycle_is_refused_in_one_sentence():
    message = (
        r"^the knowledge graph's is_a and part_of form a cycle over the terms "
        r"bottom -> left -> bottom; expected a directed acyclic graph\.$"
    )
    with pytest.raises(InputError, match=message):
        levelled_graph(
            ontology(
                ("bottom", "left", "right", "top", "side", "lone", "empty"),
                part_of=(("left", "bottom"),),
            )
        )
    with pytest.raises(InputError, match="cycle over the terms lone -> lone; expected"):
        levelled_graph(ontology(part_of=(("lone", "lone"),)))


def test_an_ontology_without_links_is_a_layer():
    flat = levelled_graph(dataclasses.replace(ontology(), is_a=edge_set(), part_of=edge_set()))
    batch = jax.tree.map(jnp.asarray, batch_of())
    params = network().init(jax.random.key(0), batch, flat, train=False)
    assert len(flat.ontology.levels) == 1
    assert "children" not in params["params"]["terms"]
    heads = numbers("heads", len(TERMS), STATE, NUM_MOAS)
    params = {"params": {**params["params"], "heads": heads}}
    logits = network().apply(params, batch, flat, train=False).term_logits
    annotated = [term in {term for _, term in ANNOTATED[:-1]} for term in TERMS]
    np.testing.assert_array_equal((logits != 0).any(axis=(1, 2)), annotated)


def test_an_ontology_that_no_measured_gene_enters_is_refused():
    with pytest.raises(InputError, match="no measured gene is annotated with a term"):
        levelled_graph(ontology(annotated=((5, "top"),)))


def test_first_states_have_one_scale_whatever_enters():
    genes, terms = 200, tuple(f"term {row}" for row in range(50))
    rng = np.random.default_rng(0)
    base = knowledge_graph(genes)
    pairs = [(gene, row) for row in range(50) for gene in rng.choice(genes, 2 + 3 * row, False)]
    graph = levelled_graph(
        dataclasses.replace(
            base,
            terms=base.terms.iloc[[0] * 50].reset_index(drop=True).assign(go_id=list(terms)),
            annotated_to=edge_set(pairs, evidence=("IDA",) * len(pairs)),
            is_a=edge_set(),
        )
    )
    batch = batch_of()
    expression = rng.normal(size=(8, genes)).astype(np.float32)
    batch = replace(batch, expression=expression, gene_mask=np.ones((8, genes), bool))
    module = network(terms, term_features=20)
    params = module.init(jax.random.key(0), batch, graph, train=False)
    terms = {"params": params["params"]["terms"]}
    states = TermStates(50, 20).apply(terms, jnp.asarray(expression.T), graph.ontology)
    before_tanh = np.arctanh(states)
    scale = before_tanh.std(axis=(1, 2))
    assert scale.min() > 0.6
    assert scale.max() < 1.6


def test_dropout_hides_genes_and_states_in_training_alone():
    batch, graph = jax.tree.map(jnp.asarray, batch_of()), levelled_graph(ontology())
    params = {"params": named_params()}
    rngs = {"dropout": jax.random.key(0)}
    rested = network(gene_dropout=0.5, dropout=0.5).apply(params, batch, graph, train=False)
    np.testing.assert_allclose(rested.logits, answer(batch).logits, rtol=1e-5, atol=1e-6)
    heads = network(dropout=0.5).apply(params, batch, graph, train=True, rngs=rngs)
    assert not np.allclose(heads.logits, rested.logits)
    genes = network(gene_dropout=0.5).apply(params, batch, graph, train=True, rngs=rngs)
    assert not np.allclose(genes.logits, rested.logits)
