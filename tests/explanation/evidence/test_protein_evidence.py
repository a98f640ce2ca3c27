"""Contributions of references and of proteins sum to the logits of the model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.explanation.evidence.protein_evidence import (
    TABLE_COLUMNS,
    ProteinEvidence,
    protein_evidence,
    protein_table,
)
from moa_jax.explanation.evidence.similar_compounds import compound_evidence, kernel_evidence
from moa_jax.kernels.protein_carry import gene_rows
from moa_jax.models.protein_answers import protein_logits
from tests.explanation.attribution.linear_models import tiny_predictor
from tests.explanation.protein_models import (
    asked_examples,
    its_references,
    protein_predictor,
    training_examples,
)
from tests.synthetic import make_knowledge_graph

GRAPH = make_knowledge_graph()


@pytest.fixture(scope="module")
def asked():
    """A model, encoded examples, and its output for them."""
    predictor = protein_predictor()
    encoded = predictor.encode(asked_examples())
    (batch,) = evaluation_batches(encoded, 8, num_shards=1)
    output = jax.jit(
        lambda params, batch, graph: predictor.task.model.apply(
            {"params": params}, batch, graph, train=False
        )
    )(predictor.params, batch, predictor.graph)
    return predictor, encoded, output


def test_contributions_of_references_sum_to_the_logit_of_the_product(asked):
    predictor, encoded, output = asked
    evidence = kernel_evidence(predictor, encoded, its_references())
    assert {name: set(own.through_proteins) for name, own in evidence.items()} == {
        "signature_kernel": {"signature_proteins"},
        "structure_kernel": {"structure_proteins"},
    }
    for row in range(6):
        for moa in range(3):
            total = sum(own.contributions(row, moa).sum() for own in evidence.values())
            np.testing.assert_allclose(total, output.logits[row, moa], atol=1e-5)
            table = compound_evidence(evidence, row, moa)
            np.testing.assert_allclose(table["contribution"].sum(), total, atol=1e-9)
    # The example without signature and structure rests on nothing.
    assert not np.abs(output.logits[5]).any()


def test_the_part_through_proteins_is_that_of_the_experts_through_proteins(asked):
    predictor, encoded, output = asked
    own = kernel_evidence(predictor, encoded, its_references())["structure_kernel"]
    # The kernel of structures is 0 for an example that resembles nothing.
    scale = np.asarray(predictor.params["expert_scales"])[[0, 2], 3]
    for row, of_view in ((2, scale[0]), (1, scale[1])):
        expected = of_view * output.experts["structure_proteins"][row, 1]
        np.testing.assert_allclose(own.from_proteins(row, 1).sum(), expected, atol=1e-5)
        direct = own.from_similarity(row, 1) - own.from_proteins(row, 1)
        np.testing.assert_allclose(
            direct.sum(),
            own.direct.scale[row] * output.experts["structure_kernel"][row, 1],
            atol=1e-5,
        )


def test_contributions_of_proteins_sum_to_the_part_of_the_protein_experts(asked):
    predictor, encoded, output = asked
    evidence = protein_evidence(predictor, encoded, GRAPH)
    scales = np.asarray(predictor.params["expert_scales"])
    views, masks = (1, 2, 0, 0, 0), ((1, 0), (0, 1), (1, 1), (1, 1), (1, 1))
    for row, (view, mask) in enumerate(zip(views, masks, strict=True)):
        for moa in range(3):
            expected = sum(
                scales[view, 2 + place] * shown * output.experts[name][row, moa]
                for place, (name, shown) in enumerate(
                    zip(("signature_proteins", "structure_proteins"), mask, strict=True)
                )
            )
            found = evidence.contributions(np.array([row]), moa)
            assert found.shape == (2, len(evidence.proteins))
            np.testing.assert_allclose(found.sum(), expected, atol=1e-5)
    np.testing.assert_allclose(
        evidence.contributions(np.array([2, 3, 4]), 0),
        np.mean([evidence.contributions(np.array([row]), 0) for row in (2, 3, 4)], axis=0),
        atol=1e-6,
    )
    assert not evidence.contributions(np.array([5]), 0).any()


def test_parts_by_expert_sum_to_the_logits_of_targets(asked):
    predictor, encoded, output = asked
    evidence = protein_evidence(predictor, encoded, GRAPH)
    (batch,) = evaluation_batches(encoded, 8, num_shards=1)
    batch = jax.tree.map(jnp.asarray, batch)
    logits = np.asarray(protein_logits(predictor.params["proteins"], output.proteins, batch))
    columns = gene_rows(GRAPH, predictor.features.proteins)
    for row in range(6):
        parts = evidence.target_logits(np.array([row]))
        np.testing.assert_allclose(
            sum(parts.values()), logits[row][:, columns], rtol=1e-4, atol=1e-5
        )
    assert not evidence.target_logits(np.array([0]))["structure_kernel"].any()
    assert not evidence.target_logits(np.array([1]))["signature_kernel"].any()


def test_the_mechanisms_proteins_are_the_targets_of_its_training_compounds(asked):
    predictor, encoded, _ = asked
    evidence, train = protein_evidence(predictor, encoded, GRAPH), training_examples()
    for moa in range(3):
        rows = np.flatnonzero(train.labels[:, moa])
        assert evidence.targets_of(moa) == {name for row in rows for name in train.targets[row]}


def test_targets_of_the_asked_compound_change_nothing_but_their_own_column(asked):
    predictor, *_ = asked
    rows = np.array([2, 3])
    known = dataclasses.replace(
        asked_examples(), targets=(("GENE100",),) * 6, actions=(("inhibits",),) * 6
    )
    plain, other = (
        protein_table(
            protein_evidence(predictor, predictor.encode(examples), GRAPH),
            rows,
            0,
            network=np.zeros(len(predictor.features.proteins)),
            targets=targets,
            graph=GRAPH,
            ligands=np.arange(len(predictor.features.proteins)),
        )
        for examples, targets in ((asked_examples(), ()), (known, ("GENE100", "ELSE")))
    )
    own = other.pop("is_known_target")
    assert other["symbol"][own].tolist() == ["GENE100"]
    assert not plain.pop("is_known_target").any()
    pd.testing.assert_frame_equal(plain, other)


def test_a_model_without_experts_through_proteins_has_no_such_evidence(asked):
    predictor = tiny_predictor(("signature_kernel",))
    encoded = predictor.encode(asked_examples())
    assert protein_evidence(predictor, encoded, GRAPH) is None


def test_a_table_by_hand():
    # Two proteins: GENE105 (hub) and GENE106, which interact; one example of each kind of row.
    evidence = ProteinEvidence(
        proteins=("GENE105", "GENE106"),
        genes=np.array([5, 6]),
        for_mechanisms={
            "signature_proteins": np.array([[1.0, 2.0, 3.0, 4.0], [3.0, 0.0, 1.0, 0.0]]),
            "structure_proteins": np.array([[0.5, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]]),
        },
        for_targets={
            "signature_kernel": np.array([[1.0, 0.0, 0.0, 6.0], [1.0, 0.0, 0.0, 2.0]]),
            "structure_kernel": np.array([[2.0, 1.0, 0.0, 1.0], [2.0, 1.0, 0.0, 1.0]]),
        },
        prototypes=np.array([[0.0, 0.6], [0.0, 0.0], [0.0, 0.8], [0.0, 0.0]]),
        carry=np.array([[1.0, 0.5], [0.0, 1.0]]),
    )
    table = protein_table(
        evidence,
        np.array([0, 1]),
        1,
        network=np.array([0.25, -0.5]),
        graph=GRAPH,
        ligands=np.array([3, 1]),
        targets=("GENE105",),
    )
    assert tuple(table) == TABLE_COLUMNS
    # Means by action: signature [1, 0], [0, 4]; structure [2, 1], [0, 1]; then the carry.
    assert table["symbol"].tolist() == ["GENE106", "GENE105"]
    assert table["rank"].tolist() == [1, 2]
    assert table["from_signature"].tolist() == [4.5, 1.0]
    assert table["from_structure"].tolist() == [3.0, 2.0]
    assert table["score"].tolist() == [7.5, 3.0]
    assert table["action"].tolist() == ["activates", "inhibits"]
    # (2 + 0.5) * 0.6 and 2 * 0.8 of the first protein.
    np.testing.assert_allclose(table["contribution_inhibits"], [0.0, 1.5])
    np.testing.assert_allclose(table["contribution_activates"], [0.0, 1.6])
    np.testing.assert_allclose(table["contribution"], [0.0, 3.1])
    assert table["contribution_network"].tolist() == [-0.5, 0.25]
    assert table["is_target_of_mechanism"].tolist() == [False, True]
    assert table["num_ligands"].tolist() == [1, 3]
    assert table["neighbours"].tolist() == ["GENE105", "GENE106"]
    assert table["is_known_target"].tolist() == [False, True]
