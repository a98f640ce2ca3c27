"""The fusion model honours its masks and does not care how things are stored."""

import dataclasses
import operator

import jax
import numpy as np
import pytest

from moa_jax.models.experts import EXPERTS, VIEWS
from moa_jax.models.networks import NETWORKS
from moa_jax.schemas import GraphArrays
from tests import synthetic
from tests.models.random_params import randomised
from tests.synthetic import NUM_PROTEINS, batch_of, make_given, make_graph, make_model, replace

pytestmark = pytest.mark.slow

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def initialise(model):
    init = jax.jit(model.init, static_argnames="train")
    return init(jax.random.key(0), batch_of(), make_graph(), train=False)["params"]


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def params(model):
    params = initialise(model)
    assert not set(make_given()) & set(params)
    return {**randomised(params), **make_given()}


@pytest.fixture(scope="module")
def run(model, params):
    apply = jax.jit(
        lambda params, batch, graph: model.apply({"params": params}, batch, graph, train=False)
    )
    return lambda batch, graph=None, params=params: apply(params, batch, graph or make_graph())


def assert_same(left, right, fields=("logits", "state.fused", "state.node_attention")):
    for field in fields:
        get = operator.attrgetter(field)
        np.testing.assert_allclose(get(left), get(right), err_msg=field, **TOLERANCE)


def test_a_fresh_model_says_nothing(model):
    apply = jax.jit(model.apply, static_argnames="train")
    params = {**initialise(model), **make_given()}
    output = apply({"params": params}, batch_of(), make_graph(), train=False)
    for expert in set(NETWORKS) & set(model.experts):
        np.testing.assert_array_equal(output.experts[expert], 0.0)


def test_masked_expression_has_no_influence(run):
    batch = batch_of()
    mask = np.arange(8) % 2 == 0
    noise = np.where(mask[:, None], 0.0, 100.0).astype(np.float32)
    masked = replace(batch, expression_mask=mask)
    changed = replace(masked, expression=batch.expression + noise)
    assert_same(run(masked), run(changed))
    assert np.abs(run(batch).logits - run(changed).logits)[~mask].max() > 1e-3
    np.testing.assert_array_equal(run(masked).state.node_attention[~mask], 0.0)


def test_masked_structure_has_no_influence(run):
    batch = batch_of()
    mask = np.arange(8) % 2 == 0
    masked = replace(batch, structure_mask=batch.structure_mask & mask)
    owner_masked = ~mask[batch.molecules.owner]
    molecules = replace(
        batch.molecules,
        atom_features=batch.molecules.atom_features + 50.0 * owner_masked[..., None],
    )
    fingerprint = np.where(mask[:, None], batch.fingerprint, 1 - batch.fingerprint)
    changed = replace(
        masked,
        molecules=molecules,
        fingerprint=fingerprint.astype(np.float32),
        substructures=np.where(mask[:, None], batch.substructures, np.uint8(9)),
    )
    fields = ("logits", "state.fused", "state.node_attention", "state.atom_attention")
    assert_same(run(masked), run(changed), fields)
    np.testing.assert_array_equal(
        np.asarray(run(masked).state.atom_attention)[np.asarray(owner_masked)], 0.0
    )


def test_unmeasured_genes_unknown_dose_and_time_have_no_influence(run):
    batch = batch_of()
    changed = replace(
        batch,
        expression=np.where(batch.gene_mask, batch.expression, 9.0).astype(np.float32),
        log_dose=np.where(batch.dose_mask, batch.log_dose, 9.0).astype(np.float32),
        log_time=np.where(batch.time_mask, batch.log_time, 9.0).astype(np.float32),
    )
    assert_same(run(batch), run(changed))


def test_padding_atoms_and_bonds_have_no_influence(run):
    batch = batch_of()
    molecules = batch.molecules
    assert not molecules.atom_mask.all()
    assert not molecules.bond_mask.all()
    changed = replace(
        batch,
        molecules=replace(
            molecules,
            atom_features=np.where(molecules.atom_mask[..., None], molecules.atom_features, 7.0),
            bond_features=np.where(molecules.bond_mask[..., None], molecules.bond_features, 7.0),
            senders=np.where(molecules.bond_mask, molecules.senders, 3),
            receivers=np.where(molecules.bond_mask, molecules.receivers, 1),
            owner=np.where(molecules.atom_mask, molecules.owner, 2),
        ),
    )
    assert_same(run(batch), run(changed), ("logits", "state.fused", "state.atom_attention"))


def test_shards_change_nothing(run):
    assert_same(run(batch_of(num_shards=1)), run(batch_of(num_shards=4)))


def test_examples_do_not_see_each_other(run):
    whole = run(batch_of())
    examples = synthetic.make_examples()
    alone = run(synthetic.make_batch(examples, np.array([3]), 1, num_shards=1))
    np.testing.assert_allclose(alone.logits[0], whole.logits[3], **TOLERANCE)


def test_attention_is_a_distribution(run):
    batch = batch_of()
    output = run(batch)
    np.testing.assert_allclose(output.state.node_attention.sum(-1), 1.0, **TOLERANCE)
    per_owner = jax.ops.segment_sum(
        output.state.atom_attention[0], batch.molecules.owner[0], num_segments=8
    )
    expected = np.repeat(batch.structure_mask[:, None].astype(float), 2, axis=1)
    np.testing.assert_allclose(per_owner, expected, **TOLERANCE)


def test_edge_order_does_not_matter(run):
    graph = make_graph()
    rng = np.random.default_rng(0)

    def shuffled(edge_arrays):
        order = rng.permutation(len(edge_arrays.senders))
        return jax.tree.map(lambda leaf: leaf[order], edge_arrays)

    changed = dataclasses.replace(
        graph,
        **{
            name: shuffled(getattr(graph, name))
            for name in ("interacts", "annotated_to", "is_a", "part_of")
        },
    )
    assert_same(run(batch_of()), run(batch_of(), changed))


def test_relabelled_nodes_give_the_same_answer(run, params):
    graph = make_graph()
    # Unmeasured genes 5 and 6 change places, and the terms are reversed.
    genes = np.array([0, 1, 2, 3, 4, 6, 5], np.int32)
    terms = np.array([3, 2, 1, 0], np.int32)

    def moved(edge_arrays, senders, receivers):
        return dataclasses.replace(
            edge_arrays,
            senders=senders[edge_arrays.senders],
            receivers=receivers[edge_arrays.receivers],
        )

    columns = np.concatenate([np.argsort(genes), 7 + np.argsort(terms)])
    changed = GraphArrays(
        interacts=moved(graph.interacts, genes, genes),
        annotated_to=moved(graph.annotated_to, genes, terms),
        is_a=moved(graph.is_a, terms, terms),
        part_of=moved(graph.part_of, terms, terms),
        propagation=graph.propagation[:, columns],
    )
    knowledge = dict(params["knowledge"])
    knowledge["gene"] = knowledge["gene"][np.argsort(genes)]
    knowledge["term"] = knowledge["term"][np.argsort(terms)]
    kernel = dict(params["network_kernel"])
    kernel["references"] = kernel["references"][:, columns]
    batch = batch_of()
    assert_same(
        run(batch),
        run(batch, changed, {**params, "knowledge": knowledge, "network_kernel": kernel}),
        ("logits", "state.fused"),
    )


def test_the_answer_is_the_scaled_product_of_the_experts(run, params):
    """Each view has its own scales; an expert whose modality is masked takes no part."""
    batch = batch_of()
    expression = np.arange(8) % 4 != 0
    batch = replace(batch, expression_mask=expression)
    structure = np.asarray(batch.structure_mask)
    output = run(batch)
    views = [
        "fusion" if both == neither else "expression" if both else "structure"
        for both, neither in zip(expression, structure, strict=True)
    ]
    assert set(views) == set(VIEWS)
    rows = np.asarray(params["expert_scales"])[[VIEWS.index(view) for view in views]]
    reads = {"signature": expression, "molecule": structure, "joint": np.ones(8, bool)}
    reads |= {"signature_kernel": expression, "structure_kernel": structure}
    reads |= {"network_kernel": expression}
    reads |= {"signature_proteins": expression, "structure_proteins": structure}
    expected = sum(
        (rows[:, place] * reads[expert])[:, None] * np.asarray(output.experts[expert])
        for place, expert in enumerate(name for name in EXPERTS if not EXPERTS[name].corrects)
    )
    np.testing.assert_allclose(output.logits, expected, **TOLERANCE)


def test_the_graph_handed_in_reaches_the_network_kernel_alone(run):
    graph = make_graph()
    other = dataclasses.replace(graph, propagation=graph.propagation[::-1].copy())
    left, right = run(batch_of(), graph).experts, run(batch_of(), other).experts
    assert np.abs(left["network_kernel"] - right["network_kernel"]).max() > 1e-3
    np.testing.assert_array_equal(left["signature_kernel"], right["signature_kernel"])


def test_experts_through_proteins_multiply_evidence_with_prototypes(run, params):
    output = run(batch_of())
    # No expert reads the evidence of the network kernel.
    assert set(output.proteins) == {"signature_kernel", "structure_kernel"}
    for reader, kernel in (
        ("signature_proteins", "signature_kernel"),
        ("structure_proteins", "structure_kernel"),
    ):
        assert output.proteins[kernel].shape == (8, 2 * NUM_PROTEINS)
        expected = np.asarray(output.proteins[kernel]) @ params["mechanism_prototypes"]
        np.testing.assert_allclose(output.experts[reader], expected, **TOLERANCE)


def test_kernels_alone_need_no_network(params):
    model = make_model(experts=("structure_kernel", "signature_kernel"))
    kept = {**make_given(), "expert_scales": np.ones((3, 2), np.float32)}
    apply = jax.jit(model.apply, static_argnames="train")
    output = apply({"params": kept}, batch_of(), make_graph(), train=False)
    assert output.state is None
    assert set(output.experts) == {"structure_kernel", "signature_kernel"}
