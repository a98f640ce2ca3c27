"""Neural methods at a tiny size: the interface, learning by heart, resuming, what is reported."""

import dataclasses
import json

import numpy as np
import pytest

from moa_jax.baselines.interface import FittedMethod, Method
from moa_jax.baselines.neural.config import landmark_interactions
from moa_jax.baselines.neural.embeddings import CompoundVotes, LogisticOnSpace
from moa_jax.baselines.neural.method import with_common_scale
from moa_jax.baselines.neural.modalities import Modalities
from moa_jax.baselines.registry import METHODS, make_method, trains_in_folder
from moa_jax.data.examples.features import encode, fit_features
from moa_jax.data.examples.labels import strata
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.schemas import InputError, concatenate
from moa_jax.training.runs.metric_writer import read_metrics
from tests.small_sets import edge_set, knowledge_graph, planted_examples

pytestmark = pytest.mark.slow

GRAPH = dataclasses.replace(
    knowledge_graph(5), interacts=edge_set([(0, 1), (1, 0), (0, 5), (5, 0)], [0.9, 0.9, 0.7, 0.7])
)
NEURAL_METHODS = tuple(name for name in METHODS if trains_in_folder(name))
PRIOR = np.full(3, 1 / 3)
NOT_ON_EXPRESSION = {"molecule_gnn"}


def tiny(name, folder, *, num_candidates=1, **training):
    """The method with networks and schedules of a size for tests."""
    method = make_method(name, folder)
    candidates = dict(list(method.candidates.items())[:num_candidates])
    settings = {"batch_size": 16, "num_steps": 4, "eval_every": 2, "log_every": 2}
    for config in candidates.values():
        for key, value in config.model.items():
            if isinstance(value, tuple):
                config.model[key] = (8,) * len(value)
            elif isinstance(value, int):
                config.model[key] = min(value, 8)
        config.training.update(settings | training)
    return dataclasses.replace(method, candidates=candidates)


@pytest.fixture(scope="module")
def parts():
    """18 training, 6 validation and 6 test compounds of three MoAs, two signatures each."""
    planted = planted_examples()
    cut = np.split(np.arange(60), [36, 48])
    return tuple(planted.take(rows) for rows in cut)


@pytest.fixture(scope="module")
def fitted(parts, tmp_path_factory):
    """Every method, fitted once."""
    folder = tmp_path_factory.mktemp("neural")
    return {
        name: tiny(name, folder / name).fit(*parts[:2], GRAPH, seed=0) for name in NEURAL_METHODS
    }


def without_structure(some, rows):
    smiles = [None if row in rows else text for row, text in enumerate(some.smiles)]
    return dataclasses.replace(some, smiles=tuple(smiles))


def without_expression(some, rows):
    has = ~np.isin(np.arange(some.num_examples), rows)
    expression = np.where(has[:, None], some.expression, np.nan).astype(np.float32)
    return dataclasses.replace(some, has_expression=has, expression=expression)


@pytest.mark.parametrize("name", NEURAL_METHODS)
def test_every_method_keeps_the_interface(name, parts, fitted, tmp_path):
    train, validation, test = parts
    method = tiny(name, tmp_path)
    assert isinstance(method, Method)
    assert method.name == name
    assert isinstance(fitted[name], FittedMethod)
    probs = fitted[name].predict(test)
    assert probs.shape == (12, 3)
    assert ((probs >= 0) & (probs <= 1)).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-6)
    hidden = dataclasses.replace(test, labels=np.zeros_like(test.labels))
    np.testing.assert_array_equal(probs, fitted[name].predict(hidden))
    assert fitted[name].predict(test.take(np.array([], int))).shape == (0, 3)
    # Another folder, the same seed: the same answers to the last bit.
    again = method.fit(train, validation, GRAPH, seed=0)
    np.testing.assert_array_equal(probs, again.predict(test))
    np.testing.assert_array_equal(fitted[name].validation_probs, again.validation_probs)


@pytest.mark.parametrize("name", NEURAL_METHODS)
def test_the_validation_curve_is_reported(name, parts, fitted):
    validation = parts[1]
    report = json.loads(json.dumps(dict(fitted[name].report)))
    assert [step for step, _ in report["validation_curve"]] == [2, 4]
    scores = dict(report["validation_curve"])
    assert report["best_step"] == max(scores, key=lambda step: (scores[step], step))
    best = report["validation_macro_auprc"][report["settings"]]
    assert best == scores[report["best_step"]]
    pooled = pool_by_compound(fitted[name].validation_probs, validation.labels, validation.groups)
    assert macro_auprc(*pooled[:2]) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("name", NEURAL_METHODS)
def test_what_an_example_lacks_is_answered_by_the_prevalence(name, parts, fitted):
    test = without_expression(without_structure(parts[2], [0, 1]), [0, 2])
    probs = fitted[name].predict(test)
    assert np.isfinite(probs).all()
    np.testing.assert_allclose(probs[0], PRIOR)
    whole = fitted[name].predict(parts[2])
    if name == "intermediate_fusion":
        assert not np.allclose(probs[1], whole[1], atol=1e-6)
        assert not np.allclose(probs[2], whole[2], atol=1e-6)
    else:
        lacking = 1 if name in NOT_ON_EXPRESSION else 2
        np.testing.assert_allclose(probs[lacking], PRIOR)
        np.testing.assert_allclose(probs[3 - lacking], whole[3 - lacking], rtol=1e-5)
    np.testing.assert_allclose(probs[3:], whole[3:], rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["expression_mlp", "string_gcn", "contrastive_knn", "intermediate_fusion"]
)
def test_planted_mechanisms_are_learned(name, parts, tmp_path):
    train, validation, test = parts
    method = tiny(name, tmp_path, num_steps=60, eval_every=20, patience=9)
    for config in method.candidates.values():
        config.training.optimiser.learning_rate = 0.02
        config.model.gene_dropout = config.model.dropout = 0.0
    fitted = method.fit(train, validation, GRAPH, seed=0)
    assert (fitted.predict(test).argmax(axis=1) == strata(test)).mean() > 0.9


def test_structures_are_learned_by_heart(parts, tmp_path):
    ends = np.array(["O", "N", "S"])[strata(parts[0])]
    smiles = [text[:-1] + end for text, end in zip(parts[0].smiles, ends, strict=True)]
    train = dataclasses.replace(parts[0], smiles=tuple(smiles))
    method = tiny("molecule_gnn", tmp_path, num_steps=90, eval_every=90)
    for config in method.candidates.values():
        config.training.optimiser.update({"learning_rate": 0.02, "weight_decay": 0.0})
        config.model.update({"dropout": 0.0, "hidden": 32})
        config.training.ema_decay = 0.8
    fitted = method.fit(train, train.take(np.array([], int)), GRAPH, seed=0)
    assert (fitted.predict(train).argmax(axis=1) == strata(train)).mean() > 0.9


def test_the_best_setting_is_trained_again_on_everything(parts, tmp_path):
    train, validation, test = parts
    method = tiny("expression_mlp", tmp_path, num_candidates=2, num_steps=20, eval_every=5)
    hopeless, hopeful = method.candidates.values()
    hopeless.training.optimiser.learning_rate = 0.0
    hopeful.training.optimiser.learning_rate = 0.05
    fitted = method.fit(train, validation, GRAPH, seed=0)
    scores = fitted.report["validation_macro_auprc"]
    assert fitted.report["settings"] == list(method.candidates)[1] == max(scores, key=scores.get)
    steps = [line["step"] for line in read_metrics(tmp_path / "final" / "metrics.jsonl")]
    assert max(steps) == fitted.report["best_step"]
    everything = concatenate(train, validation)
    np.testing.assert_allclose(
        fitted.fitted.predictor.features.mean, everything.expression.mean(axis=0), rtol=1e-5
    )
    assert not np.array_equal(fitted.predict(test)[0], PRIOR)


def test_an_interrupted_fit_goes_on_where_it_was(parts, fitted, tmp_path, monkeypatch):
    train, validation, test = parts
    method = tiny("expression_mlp", tmp_path)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("moa_jax.baselines.neural.method.validation_curve", stop)
        with pytest.raises(KeyboardInterrupt):
            method.fit(train, validation, GRAPH, seed=0)
    before = sorted((tmp_path / "selection_0" / "checkpoints").iterdir())
    resumed = method.fit(train, validation, GRAPH, seed=0)
    assert sorted((tmp_path / "selection_0" / "checkpoints").iterdir()) == before
    np.testing.assert_array_equal(resumed.predict(test), fitted["expression_mlp"].predict(test))
    assert resumed.report == fitted["expression_mlp"].report
    with pytest.raises(InputError, match="seed=0, not 1; choose another --workdir"):
        method.fit(train, validation, GRAPH, seed=1)


def test_another_seed_gives_another_network(parts, fitted, tmp_path):
    train, validation, test = parts
    other = tiny("expression_mlp", tmp_path).fit(train, validation, GRAPH, seed=1)
    assert not np.array_equal(other.predict(test), fitted["expression_mlp"].predict(test))


@pytest.mark.parametrize("name", ["vae_logistic", "contrastive_knn", "intermediate_fusion"])
def test_a_class_absent_in_training_gets_no_probability(name, parts, tmp_path):
    train, validation, _ = (part.take(np.flatnonzero(strata(part) != 2)) for part in parts)
    probs = tiny(name, tmp_path).fit(train, validation, GRAPH, seed=0).predict(parts[2])
    np.testing.assert_array_equal(probs[:, 2], 0)
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", NEURAL_METHODS)
def test_training_without_any_input_answers_the_prevalence(name, parts, tmp_path):
    train, validation, test = (
        without_expression(without_structure(part, range(99)), range(99)) for part in parts
    )
    fitted = tiny(name, tmp_path).fit(train, validation, GRAPH, seed=0)
    np.testing.assert_allclose(fitted.predict(test), np.tile(PRIOR, (12, 1)))
    assert fitted.report == {}


def test_structures_without_expression_are_trained_on(parts, tmp_path):
    train, validation, test = parts
    bare = without_expression(train, range(train.num_examples))
    fitted = tiny("molecule_gnn", tmp_path / "bare").fit(bare, validation, GRAPH, seed=0)
    whole = tiny("molecule_gnn", tmp_path / "whole").fit(train, validation, GRAPH, seed=0)
    np.testing.assert_array_equal(fitted.predict(test), whole.predict(test))
    mixed = without_expression(train, range(18))
    probs = tiny("intermediate_fusion", tmp_path / "mixed").fit(mixed, validation, GRAPH, seed=0)
    assert np.isfinite(probs.predict(test)).all()


def test_structures_are_learned_from_once_per_compound(parts):
    train = parts[0]
    seen = Modalities(expression=False, structure=True).training_examples(train)
    assert sorted(seen.groups) == sorted(set(train.groups))
    assert seen.num_examples == 18
    by_group = dict(zip(train.groups, train.labels.tolist(), strict=True))
    assert [by_group[group] for group in seen.groups] == seen.labels.tolist()


@pytest.mark.parametrize("name", NEURAL_METHODS)
def test_a_network_sees_its_modalities_and_nothing_else(name, parts, fitted):
    test = parts[2]
    others = {
        "expression": dataclasses.replace(test, expression=test.expression + 1),
        "structure": dataclasses.replace(test, smiles=("c1ccncc1",) * 12),
    }
    answer = fitted[name].predict(test)
    sees = dataclasses.asdict(fitted[name].fitted.modalities)
    for modality, other in others.items():
        assert np.array_equal(fitted[name].predict(other), answer) == (not sees[modality])


def test_compounds_vote_by_their_nearest_signature():
    """Three compounds of two signatures each, two genes, unit vectors at known angles."""
    angles = np.deg2rad([0, 90, 60, 180, 180, 240])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    known = planted_examples().take(np.arange(6))
    assert known.groups == ("G000", "G000", "G001", "G001", "G002", "G002")
    assert strata(known).tolist() == [0, 0, 1, 1, 2, 2]
    query = np.array([[1.0, 0.0]])
    votes = CompoundVotes(0.5).fit(points, known)({"space": query})["space"]
    # The nearest signatures have the cosines 1, 1/2 and -1/2.
    spread = np.std([1, 0, 0.5, -1, -1, -0.5])
    weights = np.exp(np.array([1, 0.5, -0.5]) / (0.5 * spread))
    np.testing.assert_allclose(votes, [weights / weights.sum()], rtol=1e-6)


def test_logistic_regression_reads_a_space(parts):
    train, _, test = parts
    probs = LogisticOnSpace(1.0).fit(train.expression, train)({"space": test.expression})["space"]
    np.testing.assert_array_equal(probs.argmax(axis=1), strata(test))


def test_genes_are_centred_and_share_one_scale(parts, fitted):
    train, validation, _ = parts
    features = with_common_scale(fit_features(train, GRAPH.genes.iloc[:5]))
    common = np.sqrt(np.mean(train.expression.astype(float).var(axis=0)))
    np.testing.assert_allclose(features.scale, np.full(5, common), rtol=1e-5)
    centred = train.expression - train.expression.mean(axis=0)
    np.testing.assert_allclose(encode(train, features).expression, centred / common, atol=1e-5)
    # All values together have a variance of 1; a gene keeps its share of it.
    assert encode(train, features).expression.var() == pytest.approx(1, abs=1e-4)
    for name in set(NEURAL_METHODS) - NOT_ON_EXPRESSION:
        scale = fitted[name].fitted.predictor.features.scale
        everything = concatenate(train, validation).expression.astype(float)
        np.testing.assert_allclose(scale, np.sqrt(everything.var(axis=0).mean()), rtol=1e-5)


def test_the_linear_embedding_has_no_hidden_layer(parts, tmp_path):
    train, validation, test = parts
    fitted = tiny("contrastive_knn", tmp_path).fit(train, validation, GRAPH, seed=0)
    predictor = fitted.fitted.predictor
    assert set(predictor.params) == {"embedding"}
    kernel, bias = (np.asarray(predictor.params["embedding"][key]) for key in ("kernel", "bias"))
    point = encode(test, predictor.features).expression @ kernel + bias
    unit = point / np.linalg.norm(point, axis=1, keepdims=True)
    np.testing.assert_allclose(predictor.predict(test)["space"], unit, atol=1e-5)


def test_the_gene_graph_holds_the_measured_genes_alone():
    seen = landmark_interactions(GRAPH).interacts
    assert list(zip(seen.senders.tolist(), seen.receivers.tolist(), strict=True)) == [
        (0, 1),
        (1, 0),
    ]
    np.testing.assert_allclose(seen.weight, 0.9)


def test_no_method_tries_more_than_the_budget(tmp_path):
    method = tiny("expression_mlp", tmp_path)
    config = next(iter(method.candidates.values()))
    with pytest.raises(ValueError, match="expression_mlp tries 5 settings, expected 1 to 4"):
        dataclasses.replace(method, candidates={str(row): config for row in range(5)})
