"""Training the network that corrects the closed form, on leave-one-compound-out answers."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import fusion, kernels
from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.models.experts import VIEWS
from moa_jax.models.protein_network import NetworkAnswer
from moa_jax.schemas import ACTIVATES, INHIBITS, InputError, LeftOut, concatenate
from moa_jax.training.correction.cross_fit import correct, cross_fit, folds_of, train_on_all
from moa_jax.training.correction.solution import solve
from moa_jax.training.expert_scales import added_scale
from moa_jax.training.fit import Run
from moa_jax.training.fusion.target_losses import TargetLosses, target_losses
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.fusion_fit import fit_fusion
from moa_jax.training.recipe import Recipe
from moa_jax.training.runs.metric_writer import read_metrics
from moa_jax.training.runs.predictor import load_predictor
from tests.synthetic import NUM_MOAS, batch_of, make_knowledge_graph, make_raw_examples, replace

pytestmark = pytest.mark.slow

GRAPH = make_knowledge_graph()
TRAIN, VALIDATION = 24, 12


def examples(count=TRAIN, seed=0, prefix=""):
    """Compounds of a mechanism inhibit one gene and activate another."""
    made = make_raw_examples(count, seed=seed)
    moas = made.labels.argmax(axis=1).tolist()
    return dataclasses.replace(
        made,
        groups=tuple(prefix + group for group in made.groups),
        targets=tuple((f"GENE{100 + moa}", f"GENE{104 + moa % 3}") for moa in moas),
        actions=((INHIBITS, ACTIVATES),) * count,
    )


def config(**training):
    made = fusion.get_config()
    settings = {
        "batch_size": 8,
        "num_steps": 6,
        "eval_every": 3,
        "log_every": 1,
        "patience": 10,
        **training,
    }
    made.update(
        {
            "num_devices": 1,
            "training": settings,
            "model": {
                **{"features": 8, "hidden": 12, "num_heads": 2, "knowledge_features": 6},
                **{"atom_features": 8, "molecule_layers": 1, "knowledge_layers": 1},
            },
        }
    )
    return made


@functools.cache
def solution():
    """The closed form of training and validation examples."""
    everything = concatenate(examples(), examples(VALIDATION, seed=1, prefix="V"))
    return solve(Recipe(config(), GRAPH), everything)


def recipe(num_devices=1, **training):
    made = config(**training)
    made.num_devices = num_devices
    return Recipe(made, GRAPH)


def assert_equal_trees(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_without_training_it_answers_like_the_closed_form(tmp_path):
    train, validation = examples(), examples(VALIDATION, seed=1, prefix="V")
    still = config(optimiser={"learning_rate": 0.0})
    fit = fit_fusion(still, train, validation, GRAPH, tmp_path / "network")
    alone = kernels.get_config()
    alone.num_devices = 1
    closed = fit_fusion(alone, train, validation, GRAPH, tmp_path / "closed")
    new = examples(10, seed=2)
    for view in VIEWS:
        for mine, theirs in (
            (fit.predictor.predict(new), closed.predictor.predict(new)),
            (fit.validation_probs, closed.validation_probs),
        ):
            np.testing.assert_allclose(mine[view], theirs[view], rtol=1e-3, atol=1e-5)


def test_what_ranks_compounds_worse_is_not_added(tmp_path):
    """Steps of the wrong size: the network answers worse, and the closed form remains."""
    wild = recipe(num_steps=3, optimiser={"learning_rate": 30.0, "clip_norm": 1e9})
    corrected = correct(wild, solution(), tmp_path)
    assert {own["protein_network"] for own in corrected.scales.values()} == {0.0}
    assert np.abs(corrected.added["fusion"]).max() > 1.0
    np.testing.assert_array_equal(corrected.params["expert_scales"][:, -1], 0.0)
    # The runs of the folds are gone; their losses stay.
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_compound_is_answered_by_a_network_that_was_not_trained_on_it(tmp_path):
    """By hand: the network of each fold, asked about the compounds of this fold."""
    solved = solution()
    groups = solved.answers.examples.groups
    added = cross_fit(recipe(), solved, tmp_path)
    fold = folds_of(groups, 2, seed=0)
    assert {
        len({fold[row] for row in np.flatnonzero(np.array(groups) == name)}) for name in groups
    } == {1}
    for number in range(2):
        asked = np.flatnonzero(fold == number)
        predictor = load_predictor(
            tmp_path / str(number), recipe().arrays, make_fusion_task, num_devices=1
        )
        batch = next(evaluation_batches(solved.inputs.take(asked), len(asked), num_shards=1))
        expected = jax.jit(predictor.task.added)(predictor.params, batch, predictor.graph)
        expected = expected["mechanisms"]
        np.testing.assert_allclose(added["fusion"][asked], expected, rtol=1e-4, atol=1e-5)


def ranked_compounds(*, unmoved, gaining, losing):
    """Compounds, their logits, and what is added: from 1.5 times of it on, two ranks change."""
    count = unmoved + gaining + losing
    labels = np.eye(NUM_MOAS, dtype=np.float32)[[0] * unmoved + [1] * gaining + [0] * losing]
    groups = tuple(str(number) for number in range(count))
    made = dataclasses.replace(make_raw_examples(count), groups=groups, labels=labels)
    logits, added = np.zeros((2, count, NUM_MOAS))
    logits[:] = [1.2, 0.0, -1.0]
    added[unmoved:, 1] = 1.0
    return logits, added, made


def test_the_scale_of_what_is_added_is_the_smallest_with_the_best_ranks():
    logits, added, made = ranked_compounds(unmoved=1, gaining=4, losing=0)
    assert added_scale(logits, added, made) == 1.5
    assert added_scale(logits, -added, made) == 0.0
    assert added_scale(logits, 0.0 * added, made) == 0.0


@pytest.mark.parametrize(("gaining", "losing", "scale"), [(2, 1, 0.0), (3, 1, 1.5), (10, 7, 0.0)])
def test_a_gain_within_one_standard_error_is_left_out(gaining, losing, scale):
    """By hand: with k gains and l losses of 1/2 among n, the mean exceeds its standard error where
    (k - l)^2 > k + l - (k - l)^2 / n."""
    net, total = (gaining - losing) ** 2, gaining + losing
    assert (net > total - net / 20) == (scale > 0)
    logits, added, made = ranked_compounds(unmoved=20 - total, gaining=gaining, losing=losing)
    assert added_scale(logits, added, made) == scale


def test_a_batch_is_learned_by_heart(tmp_path):
    eager = recipe(
        batch_size=36,
        num_steps=150,
        eval_every=150,
        drop_expression=0.0,
        drop_structure=0.0,
        optimiser={"learning_rate": 0.02, "weight_decay": 0.0},
    )
    train_on_all(eager, solution(), tmp_path)
    lines = [line for line in read_metrics(tmp_path / "metrics.jsonl") if "loss" in line]
    # Two targets of a compound share the probability: half is the most.
    for name, least in (
        ("loss_protein_network", 0.0),
        ("loss_targets", (1.0 - 0.5**0.7) / 0.7),
        ("loss_actions", 0.0),
    ):
        assert lines[-1][name] - least < 0.5 * (lines[0][name] - least)


def test_a_resumed_run_ends_bitwise_equal(tmp_path):
    whole = train_on_all(recipe(), solution(), tmp_path / "whole")
    stop = pytest.MonkeyPatch()
    run = Run.train
    stop.setattr(Run, "train", lambda self: run(self, num_steps=3))
    train_on_all(recipe(), solution(), tmp_path / "parts")
    stop.undo()
    again = train_on_all(recipe(), solution(), tmp_path / "parts")
    assert_equal_trees(again.params, whole.params)
    assert read_metrics(tmp_path / "parts" / "metrics.jsonl") == read_metrics(
        tmp_path / "whole" / "metrics.jsonl"
    )


def test_eight_devices_answer_like_one(tmp_path):
    answers = []
    for count in (1, 8):
        still = recipe(num_devices=count, batch_size=16, drop_expression=0.0, drop_structure=0.0)
        still.config.model.update(
            {"gene_dropout": 0.0, "bit_dropout": 0.0, "dropout": 0.0, "cell_line_dropout": 0.0}
        )
        predictor = train_on_all(still, solution(), tmp_path / str(count))
        answers.append(predictor.predict(examples(8, seed=4))["fusion"])
    np.testing.assert_allclose(*answers, rtol=1e-3, atol=1e-4)


def test_a_mechanism_of_one_compound_is_not_trained_on():
    train = examples()
    labels = train.labels.copy()
    labels[:2] = [0.0, 0.0, 1.0]
    labels[2:] = np.eye(2, 3)[np.arange(22) // 2 % 2]
    inputs = solve(Recipe(config(), GRAPH), dataclasses.replace(train, labels=labels)).inputs
    np.testing.assert_array_equal(inputs.label_mask[:2], [[True, True, False]] * 2)
    assert inputs.label_mask[2:].all()
    np.testing.assert_array_equal(inputs.left_out.own_moas, labels)


@pytest.mark.parametrize("q", [0.0, 0.7])
def test_losses_of_targets_and_actions_by_hand(q):
    """Of three proteins the last is a target of the first example alone, and so left out there."""
    targets = np.zeros((4, 2, 3), np.float32)
    targets[0, 0, [0, 2]] = 0.7
    targets[1, :, 1] = 0.5
    targets[2, 1, 1] = 1.0
    logits = np.array([[1.0, 0.0, 9.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    actions = np.array([[0.5, 0.0, 9.0], [1.0, 1.0, 1.0], [0.0, 2.0, 0.0], [3.0, 3.0, 3.0]])
    known = LeftOut(
        logits=np.zeros((4, 4, NUM_MOAS), np.float32),
        proteins=np.zeros((4, 2, 6), np.float32),
        own_targets=np.zeros((4, 6), np.float32),
        own_moas=np.zeros((4, NUM_MOAS), np.float32),
        targets=targets.reshape(4, 6),
    )
    batch = replace(batch_of(4), left_out=known, weight=np.array([1.0, 2.0, 3.0, 4.0], np.float32))
    params = {
        "carry": np.zeros((3, 7), np.float32),
        "rows": np.arange(3, dtype=np.int32),
        "counts": np.array([4.0, 5.0, 1.0], np.float32),
    }
    on_device = functools.partial(jnp.asarray, dtype=jnp.float32)
    answer = NetworkAnswer(
        mechanisms=jnp.zeros((4, NUM_MOAS)),
        targets=on_device(logits),
        actions=on_device(actions),
        attention=jnp.zeros((4, 3)),
        evidence=jnp.zeros((4, 2, 2, 3)),
        carried=jnp.zeros((4, 2, 2, 3)),
        passed=jnp.zeros((4, 2, 3)),
    )
    batch, params = jax.tree.map(jnp.asarray, (batch, params))
    found = target_losses(answer, params, batch, TargetLosses(2.0, 10.0, q))
    cost = lambda prob: (1.0 - prob**q) / q if q else -np.log(prob)  # noqa: E731 (three uses)
    of_targets = (
        1.0 * cost(1.0 / (1.0 + np.exp(-1.0)))
        + 2.0 * cost(1.0 / (1.0 + 2.0 * np.exp(-2.0)))
        + 3.0 * cost(1.0 / 3.0)
    )
    np.testing.assert_allclose(found["targets"], 2.0 * of_targets, rtol=1e-5)
    of_actions = 1.0 * np.log1p(np.exp(-0.5)) + 3.0 * np.log1p(np.exp(2.0))
    np.testing.assert_allclose(found["actions"], 10.0 * of_actions, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mix_up_alpha": 0.2}, "cannot be trained with training.mix_up_alpha above 0"),
        ({"co_teaching": {"enabled": True}}, "cannot be trained with training.co_teaching.enabled"),
    ],
)
def test_training_that_the_answers_do_not_fit_is_refused(tmp_path, change, sentence):
    with pytest.raises(InputError, match=sentence):
        train_on_all(recipe(**change), solution(), tmp_path)
