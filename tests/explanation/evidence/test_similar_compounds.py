"""Contributions of references sum to the experts' logits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.features import encode
from moa_jax.explanation.evidence.similar_compounds import (
    compound_evidence,
    kernel_evidence,
)
from moa_jax.kernels.references import read_references
from moa_jax.models.experts import EXPERTS
from moa_jax.schemas import InputError
from moa_jax.training.runs.run_folder import open_run
from tests.synthetic import batch_of, make_given, make_graph, make_model, make_raw_examples

pytestmark = pytest.mark.slow
KERNELS = ("signature_kernel", "network_kernel", "structure_kernel")


@pytest.fixture(scope="module")
def explained(tiny_run):
    """A model, examples (one without a structure), and their evidence."""
    predictor = open_run(tiny_run, num_devices=1).predictor
    examples = make_raw_examples(6, seed=5)
    examples = dataclasses.replace(examples, smiles=(None, *examples.smiles[1:]))
    return (
        predictor,
        examples,
        kernel_evidence(predictor, predictor.encode(examples), read_references(tiny_run)),
    )


def test_contributions_sum_to_the_experts_logits(explained):
    predictor, examples, evidence = explained
    assert tuple(evidence) == tuple(
        expert for expert in predictor.task.model.experts if expert in KERNELS
    )
    encoded = encode(examples, predictor.features)
    (batch,) = evaluation_batches(encoded, 8, num_shards=1)
    output = jax.jit(
        lambda params, batch, graph: predictor.task.model.apply(
            {"params": params}, batch, graph, train=False
        )
    )(predictor.params, batch, predictor.graph)
    scales = np.asarray(predictor.params["expert_scales"])
    for expert, own in evidence.items():
        column = predictor.task.model.experts.index(expert)
        for row in range(examples.num_examples):
            # The first example shows expression alone.
            scale = scales[1, column] if row == 0 else scales[0, column]
            has_modality = not (row == 0 and expert == "structure_kernel")
            for moa in range(3):
                np.testing.assert_allclose(
                    own.contributions(row, moa).sum(),
                    has_modality * scale * output.experts[expert][row, moa],
                    atol=1e-5,
                )
    everything = compound_evidence(evidence, 2, 1)
    total = sum(own.contributions(2, 1).sum() for own in evidence.values())
    assert everything["contribution"].sum() == pytest.approx(total, abs=1e-12)
    assert everything["from_similarity"].is_monotonic_decreasing


@pytest.mark.parametrize("expert", KERNELS)
def test_the_kernel_is_the_experts_own(expert):
    model = make_model(experts=(expert,))
    batch, graph, given = jax.tree.map(
        jnp.asarray, (batch_of(), make_graph(), make_given()[expert])
    )
    params = {"expert_scales": jnp.ones((3, 1)), expert: given}
    said = model.apply({"params": params}, batch, graph, train=False).experts[expert]
    kernel = EXPERTS[expert].comparison(model).compare(given, batch, graph)
    np.testing.assert_allclose(kernel @ given["coefficients"], said, atol=1e-5)


def test_similarity_is_counted_from_an_example_that_resembles_nothing(explained):
    predictor, _, evidence = explained
    blank = dict.fromkeys(KERNELS, np.exp(-1.0)) | {"structure_kernel": 0.0}
    table = compound_evidence(evidence, 4, 2)
    for expert, own in evidence.items():
        assert own.blank == pytest.approx(blank[expert])
        rows = table[table["expert"] == expert]
        coefficients = np.asarray(predictor.params[expert]["coefficients"])[:, 2].sum()
        np.testing.assert_allclose(
            rows["contribution"].sum() - rows["from_similarity"].sum(),
            own.direct.scale[4] * blank[expert] * coefficients,
            atol=1e-5,
        )
    # An orthogonal reference adds nothing by its similarity.
    own = evidence["signature_kernel"]
    orthogonal = dataclasses.replace(own, kernel=np.full_like(own.kernel, own.blank))
    assert not orthogonal.from_similarity(4, 2).any()


def test_similarities_are_cosine_and_tanimoto(explained):
    predictor, examples, evidence = explained
    given = jax.device_get(predictor.params["signature_kernel"])
    encoded = encode(examples, predictor.features)
    centre = (encoded.expression - given["offsets"][encoded.cell_line]) * given["gene_scale"]
    references = given["references"]
    cosine = centre @ references.T
    cosine /= np.linalg.norm(centre, axis=1)[:, None] * np.linalg.norm(references, axis=1)
    np.testing.assert_allclose(evidence["signature_kernel"].similarity, cosine, atol=1e-5)
    table = compound_evidence(evidence, 3, 0)
    same = table[table["expert"].eq("structure_kernel") & table["similarity"].gt(0.9999)]
    # CC(C)N[C@H](C)C(=O)O of the fourth compound; its own structure is a reference.
    smiles = evidence["structure_kernel"].references.set_index("group")["smiles"]
    assert [smiles[group] for group in same["group"]] == [examples.smiles[3]] * len(same)


def test_compounds_are_summed_over_their_signatures(explained):
    _, _, evidence = explained
    table = compound_evidence(evidence, 1, 2)
    own = evidence["signature_kernel"]
    row = table[table["expert"].eq("signature_kernel")].iloc[0]
    members = own.references["group"].eq(row["group"]).to_numpy()
    assert row["num_references"] == members.sum() == 2
    assert row["cell_lines"] == ("A375", "MCF7")
    assert row["contribution"] == pytest.approx(own.contributions(1, 2)[members].sum())
    assert row["similarity"] == own.similarity[1][members].max()
    assert row["moas"] == own.references["moas"][members].iloc[0]


def test_another_runs_table_is_refused(tiny_run, explained):
    predictor, examples, _ = explained
    table = read_references(tiny_run).iloc[1:]
    with pytest.raises(InputError, match="rows for signature_kernel, but its checkpoint has"):
        kernel_evidence(predictor, predictor.encode(examples), table)
