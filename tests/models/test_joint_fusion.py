"""Every way to encode and to join the modalities honours its masks to the bit."""

import functools

import jax
import numpy as np
import pytest

from moa_jax.models.networks import JOINT_FUSIONS
from tests.models.random_params import drawn
from tests.synthetic import batch_of, make_graph, make_model, replace

pytestmark = pytest.mark.slow

MODELS = {
    **{
        kind: {"joint_fusion": kind, "experts": ("signature", "molecule", "joint")}
        for kind in JOINT_FUSIONS
    },
    "late": {"experts": ("signature", "molecule")},
    "without context": {
        "experts": ("molecule", "joint"),
        "knowledge_layers": 1,
        "molecule_layers": 1,
        "use_context": False,
    },
}


@functools.cache
def compiled(name):
    """Parameters and compiled answer of a model."""
    model = make_model(**MODELS[name])
    params = drawn(model, batch_of(), make_graph(), train=False)
    apply = jax.jit(
        lambda params, batch, graph: model.apply({"params": params}, batch, graph, train=False)
    )
    return params, apply


def run(name, batch, **changes):
    params, apply = compiled(name)
    return apply({**params, **changes}, batch, make_graph())


def says(state):
    """What a masked modality must not reach."""
    return state.fused, state.joined


def assert_same_bits(name, left, right, rows=slice(None)):
    left, right = run(name, left), run(name, right)
    np.testing.assert_array_equal(left.logits[rows], right.logits[rows])
    if name != "late":
        for ours, theirs in zip(
            jax.tree.leaves(says(left.state)),
            jax.tree.leaves(says(right.state)),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


HEARD = np.arange(8) % 2 == 0


@pytest.mark.parametrize("name", MODELS)
def test_the_content_of_masked_expression_changes_no_bit(name):
    batch = replace(batch_of(), expression_mask=HEARD)
    noise = np.random.default_rng(0).normal(size=batch.expression.shape).astype(np.float32)
    changed = replace(batch, expression=np.where(HEARD[:, None], batch.expression, 100 * noise))
    assert_same_bits(name, batch, changed)
    has_modality = replace(changed, expression_mask=np.ones(8, bool))
    difference = np.abs(run(name, has_modality).logits - run(name, changed).logits).max(axis=1)
    np.testing.assert_array_equal(difference > 0, ~HEARD)


@pytest.mark.parametrize("name", MODELS)
def test_the_content_of_masked_structure_changes_no_bit(name):
    batch = batch_of()
    batch = replace(batch, structure_mask=batch.structure_mask & HEARD)
    silent = ~HEARD[batch.molecules.owner]
    changed = replace(
        batch,
        molecules=replace(
            batch.molecules,
            atom_features=batch.molecules.atom_features + np.float32(50) * silent[..., None],
        ),
        fingerprint=np.where(HEARD[:, None], batch.fingerprint, 1 - batch.fingerprint),
    )
    assert_same_bits(name, batch, changed)
    has_modality = replace(changed, structure_mask=batch_of().structure_mask)
    difference = np.abs(run(name, has_modality).logits - run(name, changed).logits).max(axis=1)
    np.testing.assert_array_equal(difference > 0, ~HEARD & batch_of().structure_mask)


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_no_bit(name):
    batch = batch_of()
    molecules = batch.molecules
    changed = replace(
        batch,
        expression=np.where(batch.gene_mask, batch.expression, np.float32(9)),
        log_dose=np.where(batch.dose_mask, batch.log_dose, np.float32(9)),
        molecules=replace(
            molecules,
            atom_features=np.where(
                molecules.atom_mask[..., None], molecules.atom_features, np.float32(7)
            ),
            bond_features=np.where(
                molecules.bond_mask[..., None], molecules.bond_features, np.float32(7)
            ),
        ),
    )
    assert_same_bits(name, batch, changed)


@pytest.mark.parametrize("name", MODELS)
def test_an_example_without_modalities_gets_a_finite_answer(name):
    nothing = replace(
        batch_of(), expression_mask=np.zeros(8, bool), structure_mask=np.zeros(8, bool)
    )
    logits = np.asarray(run(name, nothing).logits)
    assert np.isfinite(logits).all()
    if name == "late":
        np.testing.assert_array_equal(logits, 0.0)


def test_gates_are_shares_of_the_modalities_that_are_there():
    """Against the formula: a softmax of linear scores over what is there, times tanh of values."""
    batch = replace(batch_of(), expression_mask=HEARD)
    output, params = run("gated", batch), jax.tree.map(np.asarray, compiled("gated")[0])
    gates = np.asarray(output.state.joined.gates)
    np.testing.assert_allclose(gates.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(gates[~HEARD, 0], 0.0)
    np.testing.assert_array_equal(gates[~batch.structure_mask, 1], 0.0)
    # With the same biases and no weights every gate is an equal share.
    gated = params["gated_fusion"]
    flat = {"gates": jax.tree.map(np.zeros_like, gated["gates"])}
    output = run("gated", batch, gated_fusion={**gated, **flat})
    number = HEARD.astype(int) + batch.structure_mask + 1
    expected = np.stack([HEARD, batch.structure_mask, np.ones(8, bool)], axis=1) / number[:, None]
    gates = np.asarray(output.state.joined.gates)
    np.testing.assert_allclose(gates, np.repeat(expected[..., None], 8, axis=2), rtol=1e-6)
    assert np.abs(output.state.joined.state).max() <= 1.0


def test_late_fusion_joins_nothing():
    assert not {"context", "fuse", "joint_logits"} & set(compiled("late")[0])
    output = run("late", batch_of())
    assert set(output.experts) == {"signature", "molecule"}
    assert output.state.joined is None
    assert output.state.fused is None
    assert output.state.node_attention is None


def test_a_model_without_context_does_not_hear_it():
    batch = batch_of()
    changed = replace(
        batch,
        cell_line=batch.cell_line[::-1].copy(),
        log_dose=batch.log_dose + 1,
        time_mask=~batch.time_mask,
    )
    assert_same_bits("without context", batch, changed)
    has_modality = np.abs(run("gated", changed).logits - run("gated", batch).logits).max()
    assert has_modality > 1e-3
