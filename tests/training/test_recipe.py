"""Fitting of a fusion model, and its answers for compounds that it was not trained on."""

import dataclasses

import numpy as np
import pytest

from moa_jax.models.experts import VIEWS
from moa_jax.schemas import InputError, concatenate
from moa_jax.training.fusion_fit import fit_fusion
from tests.small_sets import ALCOHOLS
from tests.synthetic import make_knowledge_graph, make_raw_examples, tiny_config

pytestmark = pytest.mark.slow

GRAPH = make_knowledge_graph()
KERNELS = {"experts": ("signature_kernel", "structure_kernel")}


def compounds(num_examples, *, first=0, seed=0):
    """Examples of compounds that share no structure with any other."""
    raw = make_raw_examples(num_examples, seed=seed)
    unit = first + np.arange(num_examples) // 2
    return dataclasses.replace(
        raw,
        smiles=tuple(ALCOHOLS[row] for row in unit),
        groups=tuple(f"GROUP{row:03d}" for row in unit),
    )


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    train, validation = compounds(24), compounds(12, first=12, seed=1)
    folder = tmp_path_factory.mktemp("kernels")
    return (
        train,
        validation,
        fit_fusion(tiny_config(model=KERNELS), train, validation, GRAPH, folder),
    )


def test_kernels_answer_for_every_compound_without_it(kernels, tmp_path):
    """Solving again without one compound, with the fitted scales, gives the same answers."""
    train, validation, fit = kernels
    everything = concatenate(train, validation)
    scales = fit.choices["expert_scales"]
    group = "GROUP004"
    rest = np.flatnonzero(np.array(everything.groups) != group)
    own = np.flatnonzero(np.array(everything.groups) == group)
    config = tiny_config(model=KERNELS, scale_prior=1e12, expert_scales=scales)
    nobody = train.take(np.arange(0))
    without = fit_fusion(config, everything.take(rest), nobody, GRAPH, tmp_path / "without")
    for view in VIEWS:
        out_of_fold = fit.out_of_fold[view]
        rows = np.flatnonzero(np.array(out_of_fold.examples.groups) == group)
        answered = own[: len(rows)]
        # Means of cell lines and standard deviations of genes are those of all compounds.
        np.testing.assert_allclose(
            out_of_fold.probs[rows],
            without.predictor.predict(everything.take(answered))[view],
            atol=0.02 if view != "structure" else 1e-4,
        )
        np.testing.assert_array_equal(out_of_fold.learnable, out_of_fold.examples.labels)


def test_validation_is_answered_as_all_compounds_are(kernels):
    train, validation, fit = kernels
    for view in ("fusion", "expression"):
        out_of_fold = fit.out_of_fold[view]
        assert out_of_fold.examples.groups == (*train.groups, *validation.groups)
        np.testing.assert_array_equal(
            fit.validation_probs[view], out_of_fold.probs[train.num_examples :]
        )
    # The model that was trained on them gives other answers.
    learned = fit.predictor.predict(validation)["fusion"]
    assert np.abs(learned - fit.validation_probs["fusion"]).max() > 1e-3


def test_compounds_of_other_mechanisms_are_answered_and_not_learned_from(kernels, tmp_path):
    train, validation, fit = kernels
    others = dataclasses.replace(
        compounds(6, first=18, seed=2),
        labels=np.zeros((6, train.labels.shape[1]), np.float32),
        other_moas=(("another",),) * 4 + ((),) * 2,
    )
    again = fit_fusion(
        tiny_config(model=KERNELS), train, validation, GRAPH, tmp_path, unlabelled=others
    )
    out_of_fold = again.out_of_fold["fusion"]
    assert out_of_fold.examples.groups[-4:] == others.groups[:4]
    assert len(out_of_fold.probs) == len(fit.out_of_fold["fusion"].probs) + 4
    assert not out_of_fold.learnable[-4:].any()
    np.testing.assert_allclose(
        out_of_fold.probs[:-4], fit.out_of_fold["fusion"].probs, rtol=1e-4, atol=1e-6
    )
    answers = again.predictor.predict(others)["fusion"]
    np.testing.assert_allclose(out_of_fold.probs[-4:], answers[:4], rtol=1e-5)


def test_networks_answer_for_validation(tmp_path):
    config = tiny_config(model={"experts": ("molecule",)})
    train, validation = compounds(24), compounds(12, first=12, seed=1)
    fit = fit_fusion(config, train, validation, GRAPH, tmp_path)
    for view in VIEWS:
        assert fit.out_of_fold[view].examples.groups == validation.groups
        np.testing.assert_array_equal(fit.out_of_fold[view].probs, fit.validation_probs[view])
    assert (
        np.abs(fit.predictor.predict(validation)["fusion"] - fit.validation_probs["fusion"]).max()
        > 1e-3
    )


def test_a_solved_model_is_a_checkpoint_by_itself(kernels, tmp_path):
    """No step is done, and a second start finds the same model."""
    train, validation, fit = kernels
    config = tiny_config(model=KERNELS)
    again = [fit_fusion(config, train, validation, GRAPH, tmp_path) for _ in range(2)]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0"]
    assert not (tmp_path / "metrics.jsonl").exists()
    assert set(fit.predictor.params) == {*KERNELS["experts"], "expert_scales"}
    examples = compounds(6, first=3, seed=4)
    for view, probs in fit.predictor.predict(examples).items():
        for other in again:
            np.testing.assert_array_equal(other.predictor.predict(examples)[view], probs)
    with pytest.raises(InputError, match="holds a run on other examples"):
        fit_fusion(config, train, compounds(12, first=12, seed=9), GRAPH, tmp_path)
    config.kernels.signature.ridge = 0.7
    with pytest.raises(InputError, match=r"kernels\.signature\.ridge=0\.1, not 0\.7"):
        fit_fusion(config, train, validation, GRAPH, tmp_path)
