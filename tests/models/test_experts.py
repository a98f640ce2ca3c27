"""The registry of experts: who answers in which view, and what a new expert takes."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.explanation.evidence.similar_compounds import kernel_evidence
from moa_jax.kernels.references import read_references
from moa_jax.models.experts import EXPERTS, NETWORKS, Expert, answers_in, has_all_shown
from moa_jax.models.kernel_experts import StructureComparison
from moa_jax.training.fusion_fit import fit_fusion
from tests.synthetic import make_knowledge_graph, make_raw_examples, tiny_config


def test_experts_are_networks_kernels_or_read_the_proteins_of_kernels():
    kernels = ("signature_kernel", "network_kernel", "structure_kernel")
    readers = ("signature_proteins", "structure_proteins")
    assert (*NETWORKS, *kernels, *readers) == tuple(EXPERTS)
    for name in readers:
        kernel = EXPERTS[EXPERTS[name].through_proteins]
        assert kernel.comparison
        # It answers where the kernel expert does that it reads.
        assert kernel.reads_expression == EXPERTS[name].reads_expression
        assert kernel.reads_structure == EXPERTS[name].reads_structure


@pytest.mark.parametrize("name", EXPERTS)
def test_a_comparison_reads_the_settings_that_its_entry_names(name):
    expert, read = EXPERTS[name], []

    class Recorder(dict):
        def __getitem__(self, key):
            read.append(key)
            return 0.5

    if expert.comparison:
        expert.comparison(
            types.SimpleNamespace(
                kernel_settings=Recorder(), num_genes=3, substructure_families=(2,)
            )
        )
    assert tuple(read) == expert.settings


# Experts that read both modalities.
BOTH = {"joint", "protein_network"}


@pytest.mark.parametrize(
    ("view", "answering"),
    [
        ("fusion", set(EXPERTS)),
        (
            "expression",
            {"signature", "signature_kernel", "network_kernel", "signature_proteins"} | BOTH,
        ),
        ("structure", {"molecule", "structure_kernel", "structure_proteins"} | BOTH),
    ],
)
def test_a_view_is_answered_by_the_experts_whose_modality_it_shows(view, answering):
    assert {name for name in EXPERTS if answers_in(name, view)} == answering


def test_an_example_is_answered_in_a_view_if_it_has_all_that_the_view_shows():
    expression, structure = np.array([True, True, False]), np.array([True, False, True])
    found = {
        view: has_all_shown(view, expression, structure).tolist()
        for view in ("fusion", "expression", "structure")
    }
    assert found == {
        "fusion": [True, False, False],
        "expression": [True, True, False],
        "structure": [True, False, True],
    }


class Lengths(StructureComparison):
    """Compares the numbers of substructures, whichever they are."""

    def represent(self, params, inputs, graph):
        return jnp.asarray(inputs.substructures).sum(axis=1, keepdims=True, dtype=jnp.int32)

    def kernel(self, represented, inputs, references):
        apart = jnp.log1p(represented) - jnp.log1p(references).T
        return jnp.exp(-(apart**2))


def test_a_new_expert_is_a_comparison_an_entry_and_settings(tmp_path, monkeypatch):
    """It is solved, left out, stored, weighed and explained without another line of code."""
    monkeypatch.setitem(
        EXPERTS, "length_kernel", Expert(False, True, "length", comparison=lambda _: Lengths(()))
    )
    config = tiny_config(model={"experts": ("length_kernel",)})
    with config.unlocked():
        config.kernels.length = {"ridge": 0.1, "max_references": 100}
        for scales in config.expert_scales.values():
            scales.length_kernel = 2.0
    examples = make_raw_examples(24)
    train, validation = examples.take(np.arange(18)), examples.take(np.arange(18, 24))
    fit = fit_fusion(config, train, validation, make_knowledge_graph(), tmp_path)

    # Six structures; methane and its like have three sizes at least.
    references = read_references(tmp_path)
    assert references["expert"].unique().tolist() == ["length_kernel"]
    assert references["smiles"].nunique() == len(references) == 6
    evidence = kernel_evidence(fit.predictor, fit.predictor.encode(examples), references)[
        "length_kernel"
    ]
    own = [references["smiles"].tolist().index(smiles) for smiles in examples.smiles]
    np.testing.assert_allclose(evidence.kernel[np.arange(24), own], 1.0, rtol=1e-6)
    params = fit.predictor.params["length_kernel"]
    logits = evidence.kernel @ np.asarray(params["coefficients"], np.float64)
    scale = fit.choices["expert_scales"]["structure"]["length_kernel"]
    powers = np.exp(scale * logits)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fit.predictor.predict(examples)["structure"], expected, rtol=1e-4)
    # Without expression it answers as in the view of structures; without structure it says nothing.
    alone = dataclasses.replace(examples, has_expression=np.zeros(24, bool))
    np.testing.assert_allclose(fit.predictor.predict(alone)["fusion"], expected, rtol=1e-4)
    bare = dataclasses.replace(examples, smiles=(None,) * 24)
    np.testing.assert_allclose(fit.predictor.predict(bare)["fusion"], 1 / 3, rtol=1e-6)
