"""How the fusion model's networks can be trained: each way of it, from its configuration."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from configs import kernels
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.schemas import InputError
from moa_jax.training.fusion.mix_up import mix_up
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.losses.co_teaching import CoTeachingObjective
from moa_jax.training.losses.early_learning import TARGETS
from moa_jax.training.recipe import Recipe
from moa_jax.training.runs.metric_writer import read_metrics
from tests.synthetic import make_knowledge_graph, make_raw_examples, tiny_config

pytestmark = pytest.mark.slow

GRAPH = make_knowledge_graph()
ARRAYS = graph_arrays(GRAPH, restart=0.5, num_steps=2)
# Compiles fastest of the networks.
MOLECULE = {"experts": ("molecule",)}
# So that a step is a function of parameters and batch alone.
STILL = {"gene_dropout": 0.0, "bit_dropout": 0.0, "dropout": 0.0, "cell_line_dropout": 0.0}


def make_run(workdir, *, training=None, model=MOLECULE, **overrides):
    config = tiny_config(training=training or {}, model=model, **overrides)
    return Recipe(config, GRAPH).run(make_raw_examples(), make_raw_examples(12, seed=1), workdir)


def assert_equal_trees(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def assert_close_trees(left, right, tolerance):
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance),
        left,
        right,
    )


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            {"loss": {"name": "hinge"}},
            "loss.name is 'hinge', expected one of label_distribution, binary_cross_entropy, "
            "focal, .*transition_correction, early_learning",
        ),
        ({"loss": {"name": "focal", "gamma": -1.0}}, "focal has gamma=-1.0"),
        ({"precision": "half"}, "precision is 'half', expected one of float32, bfloat16"),
        ({"micro_batches": 3}, "micro_batches is 3, which does not divide the 8 examples"),
        ({"curriculum": {"first_share": 1.5}}, "curriculum.first_share is 1.5, expected a number"),
        (
            {"co_teaching": {"enabled": True}, "curriculum": {"first_share": 0.5}},
            "co_teaching.enabled and curriculum.first_share below 1, which cannot be combined",
        ),
        ({"mix_up_alpha": -0.1}, "mix_up_alpha is -0.1, expected 0 or more"),
    ],
)
def test_training_that_cannot_be_is_refused_in_one_sentence(tmp_path, training, message):
    with pytest.raises(InputError, match=message) as refusal:
        make_run(tmp_path, training=training)
    assert str(refusal.value).count(". ") == 0


def test_heads_that_cannot_share_the_features_are_refused(tmp_path):
    model = {"experts": ("joint",), "num_heads": 3}
    with pytest.raises(InputError, match="num_heads is 3, expected a divisor of"):
        make_run(tmp_path, model=model)


def test_networks_without_their_settings_are_refused(tmp_path):
    features = make_run(tmp_path).features
    config = kernels.get_config()
    config.model.experts = ("signature",)
    with pytest.raises(InputError, match=r"has no model\.joint_fusion; take the settings of conf"):
        make_fusion_task(config, features, (GRAPH.num_genes, GRAPH.num_terms))


def test_settings_that_kernel_experts_lack_or_do_not_know_are_refused(tmp_path):
    features = make_run(tmp_path).features
    config = kernels.get_config()
    config.model.experts = ("network_kernel",)
    with pytest.raises(
        InputError, match=r"names network_kernel, but .* no model\.network_kernel_w"
    ):
        make_fusion_task(config, features, (GRAPH.num_genes, GRAPH.num_terms))
    config = kernels.get_config()
    with config.unlocked():
        config.model.signature_kernel_length = 1.0
    with pytest.raises(
        InputError, match=r"has model\.signature_kernel_length; the settings of the"
    ):
        make_fusion_task(config, features, (GRAPH.num_genes, GRAPH.num_terms))


def test_the_loss_of_mix_up_is_that_of_the_mixed_batch(tmp_path):
    plain, mixed = (
        make_run(tmp_path / str(alpha), training={"mix_up_alpha": alpha}) for alpha in (0.0, 0.4)
    )
    state, batch = plain.initial_state(), plain.batch(0)
    params = {**state.params, **state.non_trainable}
    mix_rng, rng = jax.random.split(jax.random.key(3))
    expected = plain.task.loss(
        params, mix_up(mix_rng, batch, alpha=0.4), plain.graph, rng, jnp.asarray(0)
    )
    found = mixed.task.loss(params, batch, plain.graph, jax.random.key(3), jnp.asarray(0))
    assert_close_trees(found, expected, 1e-6)
    assert float(found[0]) != float(
        plain.task.loss(params, batch, plain.graph, rng, jnp.asarray(0))[0]
    )


def test_twins_are_not_pretrained(tmp_path):
    config = tiny_config(training=CO_TEACHING, model=MOLECULE)
    features = make_run(tmp_path).features
    with config.unlocked():
        config.pretraining = {}
    with pytest.raises(InputError, match=r"pretraining and training\.co_teaching\.enabled"):
        make_fusion_task(config, features, (GRAPH.num_genes, GRAPH.num_terms))


EARLY = {"loss": {"name": "early_learning"}}


@pytest.fixture(scope="module")
def early_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early")
    run = make_run(folder, training=EARLY)
    return folder, run, run.train()


def test_early_learning_keeps_its_memory_over_a_restart(tmp_path, early_run):
    folder, _, whole = early_run
    stopped = make_run(tmp_path, training=EARLY).train(num_steps=3)
    again = make_run(tmp_path, training=EARLY)
    # Up to the second update the networks predict 1/2.
    targets = stopped.params[TARGETS]["molecule"]
    assert (np.array(targets) != 0.5).any(axis=1).sum() == 8
    assert_equal_trees(again.train().params, whole.params)
    assert read_metrics(tmp_path / "metrics.jsonl") == read_metrics(folder / "metrics.jsonl")


def test_the_memory_is_that_of_the_rows_that_a_step_saw(early_run):
    """One step by hand: targets .7 * .5 + .3 p for the rows of the batch, .5 for the others."""
    _, run, _ = early_run
    state, batch = run.initial_state(), run.batch(0)
    rng = jax.random.fold_in(state.rng, 0)
    params = {**state.params, **state.non_trainable}
    seen, rng = run.task._seen(batch, rng)
    answer = run.task._answer(seen, run.graph)
    logits = answer(params, rng)["molecule"]
    expected = np.full((24, 3), 0.5)
    rows = np.array(batch.row)
    expected[rows] = 0.7 * 0.5 + 0.3 * expit(np.array(logits))
    after, _ = run.train_step(state, batch, run.graph)
    np.testing.assert_allclose(after.non_trainable[TARGETS]["molecule"], expected, rtol=1e-5)
    np.testing.assert_array_equal(run.train_examples.labels[rows], batch.labels)


CO_TEACHING = {"co_teaching": {"enabled": True, "forget_rate": 0.5, "gradual_fraction": 1.0}}


def test_co_teaching_forgets_more_and_more_within_a_run(tmp_path):
    run = make_run(tmp_path, training=CO_TEACHING, model={**MOLECULE, **STILL})
    assert isinstance(run.task.objective, CoTeachingObjective)
    state, batch = run.initial_state(), run.batch(0)
    params = {**state.params, **state.non_trainable}
    logits = np.array(
        [
            run.task.model.apply(
                {"params": {**state.params[member], **state.non_trainable}},
                batch,
                run.graph,
                train=False,
            ).experts["molecule"]
            for member in ("first", "second")
        ]
    )
    assert logits.shape == (2, 8, 3)
    labels, has_modality = np.array(batch.labels), np.array(batch.structure_mask)
    assert has_modality.all()
    costs = -(labels * log_softmax(logits, axis=-1)).sum(axis=-1)
    weight = np.array(batch.weight)
    for step, num_kept in ((0, 8), (3, 6), (6, 4), (60, 4)):
        given = np.argsort(costs, axis=1)[::-1, :num_kept]
        expected = sum(
            (costs[twin, rows] * weight[rows]).sum() / weight[rows].sum() * weight.sum()
            for twin, rows in enumerate(given)
        )
        total, _ = run.task.loss(
            params, batch, run.graph, jax.random.key(0), jnp.asarray(step, jnp.int32)
        )
        np.testing.assert_allclose(total, expected, rtol=1e-5)
        # The step of a run is the one of its state.
        placed = jax.tree.map(jnp.copy, state).replace(step=jnp.asarray(step, jnp.int32))
        _, metrics = run.train_step(placed, batch, run.graph)
        np.testing.assert_allclose(metrics["loss"] * weight.sum(), expected, rtol=1e-5)


def test_the_first_of_two_answers_and_both_are_kept_for_a_restart(tmp_path):
    model = {"experts": ("molecule", "signature_kernel")}
    run = make_run(tmp_path / "whole", training=CO_TEACHING, model=model)
    assert set(run.initial_state().params) == {"first", "second"}
    predictor = run.train()
    assert set(predictor.params) == {"molecule", "expert_scales", "signature_kernel"}
    make_run(tmp_path / "parts", training=CO_TEACHING, model=model).train(num_steps=3)
    again = make_run(tmp_path / "parts", training=CO_TEACHING, model=model).train()
    assert_equal_trees(again.params, predictor.params)
    output = predictor.task.model.apply(
        {"params": predictor.params}, run.batch(0), run.graph, train=False
    )
    views = predictor.task.views(predictor.params, run.batch(0), run.graph)
    np.testing.assert_allclose(views["fusion"], jax.nn.softmax(output.logits), rtol=1e-5)


def test_co_teaching_on_eight_devices_is_that_on_one(tmp_path):
    answers = []
    for num_devices in (1, 8):
        run = make_run(
            tmp_path / str(num_devices),
            training=CO_TEACHING,
            model={**MOLECULE, **STILL},
            num_devices=num_devices,
        )
        answers.append(run.train().predict(run.train_examples)["fusion"])
    np.testing.assert_allclose(*answers, rtol=1e-3)
    assert answers[0].std() > 1e-3


def test_micro_batches_give_the_step_of_the_whole_batch(tmp_path):
    model = {"experts": ("molecule",), **STILL}
    still = {"drop_expression": 0.0, "drop_structure": 0.0, "optimiser": {"clip_norm": 1e9}}
    found = []
    for devices, pieces in ((1, 1), (1, 4), (2, 2)):
        run = make_run(
            tmp_path,
            training={**still, "micro_batches": pieces},
            model=model,
            num_devices=devices,
        )
        state, batch = run.initial_state(), run.batch(0)

        # First moments of Adam after one step are a tenth of the gradients.
        after, metrics = run.train_step(state, batch, run.graph)
        moments = after.opt_state[1][0].mu
        found.append(jax.device_get((moments, metrics["loss"], metrics["grad_norm"])))
    assert float(found[0][2]) > 0.01
    for other in found[1:]:
        assert_close_trees(found[0], other, 1e-6)


def test_the_batch_is_the_same_in_pieces(tmp_path):
    whole = make_run(tmp_path, training={"micro_batches": 1}).batch(5)
    pieces = make_run(tmp_path, training={"micro_batches": 2}).batch(5)
    for field in dataclasses.fields(whole):
        if field.name != "molecules":
            np.testing.assert_array_equal(getattr(whole, field.name), getattr(pieces, field.name))


def test_low_precision_computes_low_and_keeps_parameters_and_losses_high(tmp_path):
    model = {"experts": ("molecule",), **STILL}
    runs = {
        precision: make_run(tmp_path, training={"precision": precision}, model=model)
        for precision in ("float32", "bfloat16")
    }
    low = runs["bfloat16"]
    state, batch = low.initial_state(), low.batch(0)
    lowered = low.train_step.lower(state, batch, low.graph).as_text()
    products = [line for line in lowered.splitlines() if "dot_general" in line]
    assert products
    assert all("bf16" in line for line in products)
    after, metrics = {}, {}
    for precision, run in runs.items():
        after[precision] = run.initial_state()
        # The first two answer 1/3.
        for step in range(4):
            after[precision], metrics[precision] = run.train_step(
                after[precision], run.batch(step), run.graph
            )
    floats = [
        leaf
        for leaf in jax.tree.leaves((after["bfloat16"].params, after["bfloat16"].opt_state))
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    assert {leaf.dtype for leaf in floats} == {jnp.dtype("float32")}
    exact, rounded = (float(metrics[precision]["loss"]) for precision in runs)
    # bfloat16 has 8 bits: the two are similar, but not equal.
    assert rounded == pytest.approx(exact, rel=0.02)
    assert rounded != exact
    grad_norms = [float(metrics[precision]["grad_norm"]) for precision in runs]
    assert grad_norms[0] == pytest.approx(grad_norms[1], rel=0.05)


def test_the_host_waits_for_values_only_when_they_are_logged(tmp_path, monkeypatch):
    run = make_run(tmp_path, training={"log_every": 3, "eval_every": 6})
    fetched, by_step = [], []
    for name in ("__array__", "__float__", "__int__", "__bool__"):
        original = getattr(type(jnp.zeros(())), name)

        def counted(array, *args, original=original, **kwargs):
            fetched.append(array.shape)
            return original(array, *args, **kwargs)

        monkeypatch.setattr(type(jnp.zeros(())), name, counted)
    step = run.train_step

    def watched(state, batch, graph):
        if len(by_step) == 5:
            raise KeyboardInterrupt
        by_step.append(len(fetched))
        return step(state, batch, graph)

    run.train_step = watched
    with pytest.raises(KeyboardInterrupt):
        run.train()
    start = by_step[0]
    # The values of the metrics, and the learning rate beside them.
    assert by_step == [start, start, start, start + 6, start + 6]
    assert len(fetched) == start + 6
