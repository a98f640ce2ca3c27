"""Training: it learns, it resumes exactly, and it is the same on any number of devices."""

import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from sklearn.metrics import log_loss

from moa_jax.baselines.fusion import Fusion
from moa_jax.baselines.interface import FittedMethod
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.models.experts import VIEWS
from moa_jax.schemas import InputError
from moa_jax.training.expert_scales import SCALE_BOUNDS, expert_logits, fit_expert_scales
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.recipe import Recipe
from moa_jax.training.runs.checkpoints import Checkpoints
from moa_jax.training.runs.metric_writer import read_metrics
from moa_jax.training.runs.predictor import load_predictor
from tests.synthetic import make_knowledge_graph, make_raw_examples, tiny_config

pytestmark = pytest.mark.slow

GRAPH = make_knowledge_graph()
PRIOR = tiny_config().scale_prior


def make_run(workdir, *, validation=True, **overrides):
    config = tiny_config(**overrides)
    held_out = make_raw_examples(12, seed=1) if validation else None
    return Recipe(config, GRAPH).run(make_raw_examples(), held_out, workdir)


def assert_equal_trees(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


def as_rows(scales, experts=None):
    """View -> expert -> scale as the model's array."""
    rows = [[scales[view][name] for name in experts or scales[view]] for view in VIEWS]
    return np.asarray(rows, np.float32)


def fit_scales(predictor, validation, *, prior_strength=PRIOR):
    """Scales fitted around those of the predictor."""
    rows = np.asarray(predictor.params["expert_scales"]).tolist()
    experts = predictor.task.model.experts
    start = {
        view: dict(zip(experts, row, strict=True)) for view, row in zip(VIEWS, rows, strict=True)
    }
    asked = {view: (own, validation) for view, own in expert_logits(predictor, validation).items()}
    return fit_expert_scales(start, asked, prior_strength=prior_strength)


def true_moas():
    return make_raw_examples().labels.argmax(1)


def test_a_small_set_is_learned_by_heart(tmp_path):
    run = make_run(
        tmp_path,
        validation=False,
        training={
            "num_steps": 120,
            "eval_every": 120,
            "batch_size": 24,
            "optimiser": {"learning_rate": 0.02},
        },
        model={"gene_dropout": 0.0, "bit_dropout": 0.0, "dropout": 0.0},
    )
    predictor = run.train()
    probs = predictor.predict(make_raw_examples())
    assert (probs["fusion"].argmax(1) == true_moas()).all()
    assert (probs["expression"].argmax(1) == true_moas()).mean() > 0.9
    losses = [line["loss"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert losses[-1] < 0.2 * losses[0]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    return workdir, make_run(workdir).train()


def test_a_resumed_run_ends_bitwise_equal(tmp_path, uninterrupted):
    folder, whole = uninterrupted
    make_run(tmp_path).train(num_steps=3)
    resumed = make_run(tmp_path).train()
    assert_equal_trees(resumed.params, whole.params)
    assert read_metrics(tmp_path / "metrics.jsonl") == read_metrics(folder / "metrics.jsonl")


def test_a_killed_run_resumes_bitwise_equal(tmp_path, uninterrupted):
    script = (
        "import pathlib, sys; from tests.training.test_fit import make_run;"
        "make_run(pathlib.Path(sys.argv[1])).train()"
    )
    root = pathlib.Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=root)
    deadline = time.monotonic() + 120
    # Kill it as soon as a first checkpoint begins to appear: in the middle of a save.
    while not list(tmp_path.glob("checkpoints/*")) and time.monotonic() < deadline:
        assert process.poll() in (None, 0)
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = make_run(tmp_path).train()
    assert_equal_trees(resumed.params, uninterrupted[1].params)


def test_the_best_step_is_the_one_that_predicts(tmp_path):
    predictor = make_run(tmp_path, training={"num_steps": 12}).train()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    scores = {
        line["step"]: line["validation/fusion/macro_auprc"]
        for line in lines
        if "validation/fusion/macro_auprc" in line
    }
    assert list(scores) == [3, 6, 9, 12]
    assert predictor.progress.best_step == max(scores, key=lambda step: (scores[step], step))
    assert predictor.progress.best_score == max(scores.values())


@pytest.mark.parametrize(
    "scores", [(0.1, 0.5, 0.3), (0.5, 0.2, 0.1), (0.1, 0.2, 0.4), (None, None)]
)
def test_the_checkpoint_to_use_is_the_best_else_the_latest(tmp_path, scores):
    state = make_run(tmp_path).initial_state()
    checkpoints = Checkpoints(tmp_path / "checkpoints", create=True)
    for step, value in enumerate(scores):
        checkpoints.save(state.replace(step=jax.numpy.asarray(step)), {"step": step}, value)
    checkpoints.close()
    again = Checkpoints(tmp_path / "checkpoints", create=False)
    known = [-1.0 if value is None else value for value in scores]
    expected = len(scores) - 1 if None in scores else int(np.argmax(known))
    assert again.step_to_use() == expected
    assert again.describe(expected) == {"step": expected}
    assert again.latest_step() == len(scores) - 1
    again.close()


def test_training_stops_when_validation_stalls(tmp_path):
    still = {"num_steps": 30, "patience": 2, "optimiser": {"learning_rate": 0.0}}
    make_run(tmp_path, training=still).train()
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert max(steps) == 9


def test_a_folder_of_another_run_is_refused(uninterrupted):
    folder, _ = uninterrupted
    with pytest.raises(InputError, match="seed=0, not 7; choose another --workdir"):
        make_run(folder, seed=7).train()


def test_lines_after_the_checkpoint_are_forgotten_on_resume(tmp_path, uninterrupted):
    make_run(tmp_path).train(num_steps=3)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 4, "loss": 99.0}) + '\n{"step": 5, "lo')
    make_run(tmp_path).train()
    expected = read_metrics(uninterrupted[0] / "metrics.jsonl")
    assert read_metrics(tmp_path / "metrics.jsonl") == expected


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="at step 2"):
        make_run(tmp_path, training={"optimiser": {"learning_rate": float("nan")}}).train()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A fusion method's folder, its three views fitted, and the model that chose."""
    folder = tmp_path_factory.mktemp("recipe")
    train, validation = make_raw_examples(), make_raw_examples(12, seed=1)
    model = Fusion(tiny_config(), folder).fit(train, validation, GRAPH, seed=0)
    fitted = {view: model.with_view(view) for view in VIEWS}
    graph = fitted["fusion"].fit.predictor.graph
    selection = load_predictor(folder / "selection", graph, make_fusion_task, num_devices=1)
    return folder, fitted, selection


def test_the_recipe_refits_on_all_compounds_with_the_chosen_steps_and_scales(recipe):
    folder, fitted, selection = recipe
    predictor = fitted["fusion"].fit.predictor
    steps = [line["step"] for line in read_metrics(folder / "metrics.jsonl")]
    assert max(steps) == selection.progress.best_step
    train, validation = make_raw_examples(), make_raw_examples(12, seed=1)
    everything = np.concatenate([train.expression, validation.expression])
    np.testing.assert_allclose(predictor.features.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        predictor.params["expert_scales"], as_rows(fit_scales(selection, validation)), rtol=1e-5
    )


def test_a_fusion_method_shows_how_it_was_chosen(recipe):
    _, fitted, selection = recipe
    validation = make_raw_examples(12, seed=1)
    for view, method in fitted.items():
        assert isinstance(method, FittedMethod)
        report = json.loads(json.dumps(dict(method.report)))
        scales = as_rows(report["expert_scales"])
        np.testing.assert_allclose(scales, as_rows(fit_scales(selection, validation)))
        params = {**selection.params, "expert_scales": scales}
        expected = dataclasses.replace(selection, params=params).predict(validation)[view]
        np.testing.assert_allclose(method.validation_probs, expected, rtol=1e-5)
        assert report["best_step"] == selection.progress.best_step
        assert [step for step, _ in report["validation_curve"]] == [3, 6]
    curve = dict(fitted["fusion"].report["validation_curve"])
    assert curve[selection.progress.best_step] == selection.progress.best_score
    # The scales matter: without them the answers are others.
    assert not np.allclose(
        fitted["fusion"].validation_probs, selection.predict(validation)["fusion"]
    )


def test_without_validation_compounds_nothing_is_chosen(tmp_path):
    train = make_raw_examples()
    nothing = train.take(np.array([], int))
    fitted = Fusion(tiny_config(), tmp_path).fit(train, nothing, GRAPH, seed=0)
    assert fitted.validation_probs.shape == (0, 3)
    assert fitted.report == {"validation_curve": []}
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert max(steps) == tiny_config().training.num_steps


def test_the_scales_are_not_trained(uninterrupted):
    np.testing.assert_array_equal(
        uninterrupted[1].params["expert_scales"],
        as_rows(tiny_config().expert_scales, tiny_config().model.experts),
    )


def test_kernels_do_not_change_while_networks_are_trained(uninterrupted):
    run = make_run(uninterrupted[0])
    given = run.initial_state().non_trainable
    params = uninterrupted[1].params
    assert_equal_trees({name: params[name] for name in given}, given)


@pytest.mark.parametrize(
    ("experts", "sentence"),
    [
        (("signature", "oracle"), "model.experts names oracle; the experts are signature, "),
        ((), "expected one or more, each once"),
        (("joint", "joint"), "expected one or more, each once"),
    ],
)
def test_experts_that_cannot_be_are_refused(tmp_path, experts, sentence):
    with pytest.raises(InputError, match=sentence):
        make_run(tmp_path, model={"experts": experts})


def test_a_strong_prior_keeps_the_scales(uninterrupted):
    predictor, validation = uninterrupted[1], make_raw_examples(12, seed=1)
    kept = fit_scales(predictor, validation, prior_strength=1e9)
    np.testing.assert_allclose(as_rows(kept), predictor.params["expert_scales"], rtol=1e-3)


def test_fitted_scales_are_a_minimum_of_the_validation_loss(uninterrupted):
    predictor, validation = uninterrupted[1], make_raw_examples(12, seed=1)
    best = as_rows(fit_scales(predictor, validation, prior_strength=0.0))

    def loss(scales, view):
        params = {**predictor.params, "expert_scales": jax.numpy.asarray(scales)}
        probs = dataclasses.replace(predictor, params=params).predict(validation)[view]
        pooled, labels, _ = pool_by_compound(probs, validation.labels, validation.groups)
        return log_loss(labels.argmax(1), pooled, labels=range(labels.shape[1]))

    for row, view in enumerate(VIEWS):
        for expert in range(best.shape[1]):
            for factor in (0.8, 1.25):
                moved = best.copy()
                moved[row, expert] = np.clip(moved[row, expert] * factor, *SCALE_BOUNDS)
                assert loss(moved, view) >= loss(best, view) - 1e-5


def test_another_number_of_devices_restores_the_same_answers(uninterrupted):
    folder, one = uninterrupted
    graph = graph_arrays(GRAPH, restart=0.5, num_steps=3)
    many = load_predictor(folder, graph, make_fusion_task, num_devices=4)
    assert many.mesh.size == 4
    examples = make_raw_examples(10, seed=2)
    for view, probs in one.predict(examples).items():
        np.testing.assert_allclose(many.predict(examples)[view], probs, rtol=1e-5, atol=1e-6)


def loss_and_gradients(run):
    state = run.initial_state()

    def loss(params, batch, graph):
        params = {**params, **state.non_trainable}
        return run.task.loss(params, batch, graph, jax.random.key(6), state.step)[0]

    noise = jax.random.normal(jax.random.key(5), (200_000,))
    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * noise[: leaf.size].reshape(leaf.shape), state.params
    )
    return jax.device_get(jax.jit(jax.value_and_grad(loss))(params, run.batch(0), run.graph))


def test_eight_devices_give_the_loss_and_gradients_of_one(tmp_path):
    assert jax.device_count() == 8
    one, eight = (
        loss_and_gradients(make_run(tmp_path, num_devices=count, training={"batch_size": 64}))
        for count in (1, 8)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, eight)


def test_the_step_needs_few_collectives(tmp_path):
    run = make_run(tmp_path, num_devices=8, training={"batch_size": 64})
    lowered = run.train_step.lower(run.initial_state(), run.batch(0), run.graph)
    program = lowered.compile().as_text()
    collectives = re.findall(
        r"= \S+ (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)"
        r"(?:-start)?\(|= \(.*?\) (all-reduce|all-gather|all-to-all)(?:-start)?\(",
        program,
    )
    assert 1 <= len(collectives) <= 3, collectives


def test_an_unknown_folder_holds_no_model(tmp_path):
    graph = graph_arrays(GRAPH, restart=0.5, num_steps=3)
    with pytest.raises(InputError, match="there are no checkpoints in"):
        load_predictor(tmp_path / "nothing", graph, make_fusion_task)


def test_a_checkpoint_opens_without_our_code(uninterrupted):
    folder, predictor = uninterrupted
    newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    best = folder / "checkpoints" / str(predictor.progress.best_step)
    params = ocp.StandardCheckpointer().restore(best / "params")
    assert_equal_trees(params, predictor.params)
    description = json.loads((newest / "description" / "metadata").read_text())
    assert description["features"]["moas"] == list(predictor.features.moas)
    assert description["config"]["training"]["num_steps"] == 6
