"""Members trained together equal their own runs; an ensemble's answers can be distilled."""

import jax
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from moa_jax.data.graph_arrays import graph_arrays
from moa_jax.schemas import InputError
from moa_jax.training.distillation import soft_labels, softened
from moa_jax.training.fit import Run
from moa_jax.training.fusion_task import make_fusion_task
from moa_jax.training.members import mean_answer, train_members
from moa_jax.training.metric_writer import read_metrics
from tests.synthetic import make_knowledge_graph, make_raw_examples, tiny_config

GRAPH = make_knowledge_graph()
ARRAYS = graph_arrays(GRAPH, restart=0.5, num_steps=2)
SEEDS = (0, 5)


def make_run(workdir, *, seed, soft=None, **training):
    return Run(
        tiny_config(training=training, model={"experts": ("molecule",)}, seed=seed),
        make_raw_examples(),
        make_raw_examples(12, seed=1),
        make_task=make_fusion_task,
        genes=GRAPH.genes.iloc[: GRAPH.num_landmarks],
        graph=ARRAYS,
        graph_size=(GRAPH.num_genes, GRAPH.num_terms),
        workdir=workdir,
        soft_labels=soft,
    )


def assert_close_trees(left, right):
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5),
        left,
        right,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    predictors = [make_run(folder / str(seed), seed=seed).train() for seed in SEEDS]
    return folder, predictors


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    return folder, train_members([make_run(folder / str(seed), seed=seed) for seed in SEEDS])


def test_members_equal_their_own_runs(alone, together):
    for one, member, seed in zip(alone[1], together[1], SEEDS, strict=True):
        assert_close_trees(member.params, one.params)
        assert member.progress.best_step == one.progress.best_step
        lines = [
            read_metrics(folder / str(seed) / "metrics.jsonl") for folder in (alone[0], together[0])
        ]
        for expected, found in zip(*lines, strict=True):
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    first, second = (jax.tree.leaves(member.params) for member in together[1])
    assert not all(np.allclose(one, other) for one, other in zip(first, second, strict=True))


def test_members_go_on_after_a_stop_that_left_one_behind(tmp_path, together):
    make_run(tmp_path / "0", seed=0).train(num_steps=3)
    found = train_members([make_run(tmp_path / str(seed), seed=seed) for seed in SEEDS])
    for one, member in zip(found, together[1], strict=True):
        assert_close_trees(one.params, member.params)


def test_a_member_that_has_stalled_rests(tmp_path):
    still = {"num_steps": 30, "patience": 2, "optimiser": {"learning_rate": 0.0}}
    runs = [make_run(tmp_path / str(seed), seed=seed, **still) for seed in SEEDS]
    train_members(runs)
    for run in runs:
        assert max(line["step"] for line in read_metrics(run.workdir / "metrics.jsonl")) == 9


def test_members_of_other_settings_are_refused(tmp_path):
    runs = [
        make_run(tmp_path / "0", seed=0),
        make_run(tmp_path / "1", seed=1, optimiser={"learning_rate": 0.5}),
    ]
    with pytest.raises(InputError, match="differ in more than their seeds"):
        train_members(runs)
    with pytest.raises(InputError, match="share a folder"):
        train_members([runs[0], make_run(tmp_path / "0", seed=1)])


def test_an_ensemble_answers_by_its_mean(together):
    examples = make_raw_examples(10, seed=2)
    said = [member.predict(examples) for member in together[1]]
    for view, probs in mean_answer(together[1], examples).items():
        np.testing.assert_allclose(probs, (said[0][view] + said[1][view]) / 2, rtol=1e-6)


def test_answers_are_softened_like_logits():
    logits = np.random.default_rng(0).normal(size=(4, 5)) * 3
    found = softened(softmax(logits, axis=1), temperature=2.5)
    np.testing.assert_allclose(found, softmax(logits / 2.5, axis=1), rtol=1e-9)
    hard = softened(np.eye(3), temperature=4.0)
    np.testing.assert_allclose(hard, np.eye(3), atol=0.002)


def test_soft_labels_mix_the_teachers_with_the_own_labels(together):
    examples = make_raw_examples()
    found = soft_labels(together[1], examples, temperature=2.0, hard_share=0.25)
    soft = softened(mean_answer(together[1], examples)["fusion"], temperature=2.0)
    np.testing.assert_allclose(found, 0.75 * soft + 0.25 * examples.labels, rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)


def soft_targets():
    """Labels that no example has: every second one's MoAs change places."""
    labels = 0.7 * np.roll(make_raw_examples().labels, 1, axis=1) + 0.1
    return (labels / labels.sum(axis=1, keepdims=True)).astype(np.float32)


def test_a_student_sees_soft_labels_at_its_temperature(tmp_path):
    run = make_run(tmp_path, seed=0, soft=soft_targets(), loss={"temperature": 2.0})
    state, batch = run.initial_state(), run.batch(0)
    np.testing.assert_array_equal(batch.labels, soft_targets()[np.array(batch.row)])
    rng = jax.random.fold_in(state.rng, 0)
    output = run.task.heard_in_training({**state.params, **state.given}, batch, run.graph, rng)
    logits = np.array(output.experts["molecule"])
    costs = -4.0 * (np.array(batch.labels) * log_softmax(logits / 2.0, axis=1)).sum(axis=1)
    _, metrics = run.train_step(state, batch, run.graph)
    weight = np.array(batch.weight)
    np.testing.assert_allclose(metrics["loss"], (weight * costs).sum() / weight.sum(), rtol=1e-5)


def test_a_student_learns_what_its_teachers_say(tmp_path):
    """The teachers say what the labels do not."""
    settings = {"num_steps": 60, "eval_every": 60, "batch_size": 24, "patience": 10}
    settings |= {"log_every": 60, "optimiser": {"learning_rate": 0.03}}
    run = make_run(tmp_path / "student", seed=0, soft=soft_targets(), **settings)
    examples = make_raw_examples()
    found = run.train().predict(examples)["structure"]
    # Six structures for two MoAs each: no closer than the mean of equal structures.
    by_structure = {
        smiles: soft_targets()[[one == smiles for one in examples.smiles]].mean(axis=0)
        for smiles in examples.smiles
    }
    wanted = np.array([by_structure[smiles] for smiles in examples.smiles]).argmax(axis=1)
    assert (found.argmax(axis=1) == wanted).mean() > 0.9


def test_a_run_with_other_soft_labels_is_refused(tmp_path):
    make_run(tmp_path, seed=0, soft=soft_targets(), num_steps=3).train()
    with pytest.raises(InputError, match="holds a run on other examples"):
        make_run(tmp_path, seed=0, num_steps=3).train()
