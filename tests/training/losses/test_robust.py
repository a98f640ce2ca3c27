"""Every robust loss against its closed form, its limits, and what must not change it."""

import itertools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from moa_jax.schemas import InputError
from moa_jax.training.losses.early_learning import EarlyLearning
from moa_jax.training.losses.factory import SIGMOID_LOSSES, make_loss
from moa_jax.training.losses.noise_correction import (
    FlipCorrection,
    TransitionCorrection,
    uniform_transition,
)
from moa_jax.training.losses.robust import (
    Asymmetric,
    Focal,
    GeneralisedCrossEntropy,
    HardBootstrapping,
    LabelSmoothing,
    SoftBootstrapping,
    SymmetricCrossEntropy,
)
from moa_jax.training.losses.sigmoid import BinaryCrossEntropy, WeightedPositives
from moa_jax.training.losses.softmax import label_distribution_cross_entropy

BCE = BinaryCrossEntropy()
THREE = uniform_transition(3, 0.3)
# One of each, with settings that no other has; all of them for three MoAs.
LOSSES = {
    loss.NAME: loss
    for loss in (
        BCE,
        Focal(2.0, 0.25),
        Asymmetric(1.0, 4.0, 0.05),
        GeneralisedCrossEntropy(0.7),
        SymmetricCrossEntropy(0.5, 2.0, -4.0),
        LabelSmoothing(0.2, 0.5),
        SoftBootstrapping(0.95),
        HardBootstrapping(0.8),
        FlipCorrection((0.1, 0.0, 0.2), (0.3, 0.2, 0.0)),
        TransitionCorrection(THREE),
    )
}
EARLY = EarlyLearning(BCE, 3.0, 0.7)
P, Q = 0.8, 0.3  # Probabilities of the two logits below.


def one_of_two(loss, labels=(1.0, 0.0)):
    """The loss of one example with probabilities P and Q."""
    logits = jnp.log(jnp.array([[P / (1 - P), Q / (1 - Q)]]))
    return float(loss(logits, jnp.array([labels]), jnp.ones((1, 2), bool))[0])


def some(seed=0, *, batch=6, scale=2.0):
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(scale * rng.normal(size=(batch, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(2, size=(batch, 3)), jnp.float32)
    return logits, labels, jnp.ones((batch, 3), bool)


def early(logits, labels, label_mask):
    return EARLY.towards(jnp.full(logits.shape, 0.9))(logits, labels, label_mask)


WEIGHTED = WeightedPositives(GeneralisedCrossEntropy(0.7), 5.0)
ALL = {**LOSSES, WEIGHTED.NAME: WEIGHTED, EARLY.NAME: early}


def test_the_registry_holds_every_loss():
    assert list(SIGMOID_LOSSES) == list(LOSSES)


# By hand: -log .8 = .2231436, -log .7 = .3566749.
@pytest.mark.parametrize(
    ("loss", "labels", "expected"),
    [
        (BCE, (1, 0), 0.5798185),
        (BCE, (0, 1), -np.log(0.2) - np.log(0.3)),
        # 2 (.25 * .2^2 * .2231436 + .75 * .3^2 * .3566749)
        (Focal(2.0, 0.25), (1, 0), 0.0526140),
        # .2 * .2231436 + (.3 - .05)^4 * -log(1 - .25)
        (Asymmetric(1.0, 4.0, 0.05), (1, 0), 0.0446287 + 0.00390625 * 0.2876821),
        # The negative lies below the margin.
        (Asymmetric(0.0, 2.0, 0.4), (1, 0), 0.2231436),
        (WeightedPositives(BCE, 3.0), (1, 0), 3 * 0.2231436 + 0.3566749),
        # (1 - .8^.5 + 1 - .7^.5) / .5
        (GeneralisedCrossEntropy(0.5), (1, 0), 0.5378253),
        # .5 * .5798185 + 2 * 4 * (.2 + .3)
        (SymmetricCrossEntropy(0.5, 2.0, -4.0), (1, 0), 4.2899093),
        # Targets .9 and .1: each logit, log 4 and log(3/7), times .1 more or less.
        (LabelSmoothing(0.2, 0.5), (1, 0), 0.5798185 + 0.1 * np.log(4) - 0.1 * np.log(3 / 7)),
        # Targets .9 + .1 p = .98 and .03.
        (SoftBootstrapping(0.9), (1, 0), 0.5798185 + 0.02 * np.log(4) - 0.03 * np.log(3 / 7)),
        # Labels that the network decides against are half reverted.
        (HardBootstrapping(0.5), (1, 0), 0.5798185),
        (HardBootstrapping(0.5), (0, 0), -0.5 * np.log(0.8 * 0.2) - np.log(0.7)),
        # P(1) is .8 * .7 + .2 * .1 = .58 and .3 * .7 + .7 * .1 = .28.
        (FlipCorrection(0.1, 0.3), (1, 0), -np.log(0.58) - np.log(0.72)),
        (FlipCorrection((0.1, 0.2), (0.3, 0.0)), (1, 0), -np.log(0.58) - np.log(0.56)),
        # Missing with (1 - .8 * .9) (1 - .3 * .4) and (1 - .8 * .1) (1 - .3 * .6).
        (
            TransitionCorrection(((0.9, 0.1), (0.4, 0.6))),
            (1, 0),
            -np.log(1 - 0.28 * 0.88) - np.log(0.92 * 0.82),
        ),
    ],
)
def test_two_logits_by_hand(loss, labels, expected):
    assert one_of_two(loss, tuple(map(float, labels))) == pytest.approx(expected, rel=1e-5)


IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("loss", "factor"),
    [
        (WeightedPositives(BCE, 1.0), 1.0),
        (Focal(0.0, 0.5), 1.0),
        (Asymmetric(0.0, 0.0, 0.0), 1.0),
        (GeneralisedCrossEntropy(1e-6), 1.0),
        (SymmetricCrossEntropy(0.7, 0.0, -4.0), 0.7),
        (LabelSmoothing(0.0, 0.5), 1.0),
        (SoftBootstrapping(1.0), 1.0),
        (HardBootstrapping(1.0), 1.0),
        (FlipCorrection(0.0, 0.0), 1.0),
        (TransitionCorrection(IDENTITY), 1.0),
        (EarlyLearning(BCE, 0.0, 0.7).towards(jnp.full((6, 3), 0.9)), 1.0),
    ],
)
def test_at_its_limit_a_loss_is_cross_entropy_with_its_gradient(loss, factor):
    logits, labels, known = some(scale=4.0)
    np.testing.assert_allclose(
        loss(logits, labels, known), factor * BCE(logits, labels, known), rtol=1e-4
    )
    gradient = jax.grad(lambda some: loss(some, labels, known).sum())(logits)
    expected = factor * (jax.nn.sigmoid(logits) - labels)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_asymmetric_with_equal_exponents_is_focal():
    given = some(1)
    np.testing.assert_allclose(
        Asymmetric(2.0, 2.0, 0.0)(*given), Focal(2.0, 0.5)(*given), rtol=1e-5
    )


def test_generalised_cross_entropy_ends_at_the_absolute_error():
    logits, labels, known = some(2)
    expected = jnp.abs(jax.nn.sigmoid(logits) - labels).sum(axis=1)
    np.testing.assert_allclose(
        GeneralisedCrossEntropy(1.0)(logits, labels, known), expected, rtol=1e-5
    )
    reverse = SymmetricCrossEntropy(0.0, 1.0, -1.0)(logits, labels, known)
    np.testing.assert_allclose(reverse, expected, rtol=1e-5)


def test_a_transition_of_one_moa_that_is_sure_is_its_row():
    logits = jnp.array([[50.0, -50.0, -50.0]])
    for column in range(3):
        labels = jnp.eye(3)[column][None]
        recorded = np.array(THREE[0])
        expected = -np.log(np.where(np.arange(3) == column, recorded, 1 - recorded)).sum()
        found = TransitionCorrection(THREE)(logits, labels, jnp.ones((1, 3), bool))
        np.testing.assert_allclose(found, [expected], rtol=1e-5)
    np.testing.assert_allclose(np.sum(THREE, axis=1), 1)


@pytest.mark.parametrize("rates", [(0.2, 0.1), (0.05, 0.4)])
def test_forward_correction_finds_the_clean_probability_behind_noisy_labels(rates):
    gained, lost = rates
    clean = 0.35
    recorded = clean * (1 - lost) + (1 - clean) * gained
    grid = np.linspace(0.01, 0.99, 981)
    logits = jnp.asarray(np.log(grid / (1 - grid)), jnp.float32)[:, None]
    labels = jnp.full(logits.shape, recorded)
    costs = FlipCorrection(gained, lost)(logits, labels, jnp.ones(logits.shape, bool))
    assert grid[int(costs.argmin())] == pytest.approx(clean, abs=1.5e-3)


@pytest.mark.parametrize("name", ALL)
def test_gradients_point_to_the_label_while_the_network_is_unsure(name):
    logits = jnp.zeros((8, 3))
    labels = jnp.array(list(itertools.product((0.0, 1.0), repeat=3)))
    gradient = jax.grad(lambda some: ALL[name](some, labels, labels >= 0).sum())(logits)
    if name == "transition_correction":
        # MoAs that compete for a label may share its blame; alone each goes its way.
        alone = labels.sum(axis=1) == 1
        gradient, labels = gradient[alone], labels[alone]
    if name == "early_learning":
        gradient = gradient - EARLY.weight * elr_slope(0.5, 0.9)
    assert (jnp.sign(gradient) == 1 - 2 * labels).all()


def elr_slope(prob, target):
    """Slope of log(1 - <p, t>) in the logit."""
    return prob * (1 - prob) * (1 - 2 * target) / (prob + target - 2 * prob * target)


@pytest.mark.parametrize(
    ("name", "share"),
    [("generalised_cross_entropy", 0.05), ("focal", 0.6), ("binary_cross_entropy", 1.0)],
)
def test_how_hard_a_label_pulls_that_the_network_is_sure_is_wrong(name, share):
    """Robustness itself: beside cross-entropy's pull of 1, at probability .01."""
    logits = jnp.array([[np.log(0.01 / 0.99)]], jnp.float32)
    ones = jnp.ones((1, 1))
    gradient = jax.grad(lambda some: LOSSES[name](some, ones, ones > 0).sum())(logits)
    assert 0.5 * share < -float(gradient[0, 0]) <= share


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_label_is_as_if_the_moa_were_not_there(name):
    logits, labels, known = some(3)
    known = known.at[:4, 1].set(False)
    spoiled = logits.at[:4, 1].set(jnp.nan), labels.at[:4, 1].set(jnp.nan)
    value, gradient = jax.value_and_grad(lambda some: ALL[name](some, labels, known).sum())(logits)
    again, same = jax.value_and_grad(lambda some: ALL[name](some, spoiled[1], known).sum())(
        spoiled[0]
    )
    assert np.isfinite(value)
    assert value == again
    np.testing.assert_array_equal(gradient, same)
    np.testing.assert_array_equal(gradient[:4, 1], 0)
    nothing = ALL[name](logits, labels, jnp.zeros_like(known))
    np.testing.assert_array_equal(nothing, np.zeros(6))


def test_flips_and_transitions_of_known_moas_alone_are_the_truncated_loss():
    logits, labels, known = some(4)
    masked = known.at[:, 1].set(False)
    kept = np.array([0, 2])
    truncated = logits[:, kept], labels[:, kept], known[:, kept]
    rows = tuple(tuple(np.array(THREE)[row, kept].tolist()) for row in kept)
    for whole, part in (
        (LOSSES["flip_correction"], FlipCorrection((0.1, 0.2), (0.3, 0.0))),
        (LOSSES["transition_correction"], TransitionCorrection(rows)),
    ):
        np.testing.assert_allclose(whole(logits, labels, masked), part(*truncated), rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [50.0, 500.0])
def test_large_logits_have_finite_losses_and_gradients(name, size):
    logits = size * jnp.array(list(itertools.product((-1.0, 1.0), repeat=3)) * 8)
    labels = jnp.repeat(jnp.array(list(itertools.product((0.0, 1.0), repeat=3))), 8, axis=0)
    known = jnp.ones(logits.shape, bool)
    losses, back = jax.vjp(lambda some: ALL[name](some, labels, known), logits)
    assert np.isfinite(losses).all()
    (gradient,) = back(jnp.ones_like(losses))
    assert np.isfinite(gradient).all()


def test_early_learning_by_hand():
    # Log of 1 - <p, t>: .8 * .1 + .2 * .9 = .26 and .3 * .6 + .7 * .4 = .46.
    targets = jnp.array([[0.9, 0.4]])
    found = one_of_two(EarlyLearning(BCE, 3.0, 0.7).towards(targets))
    assert found == pytest.approx(0.5798185 + 3 * (np.log(0.26) + np.log(0.46)), rel=1e-5)


def test_early_learning_pulls_towards_its_targets_and_not_at_first():
    logits, labels, known = some(5)

    def slope(targets):
        return jax.grad(lambda some: EARLY.towards(targets)(some, labels, known).sum())(logits)

    plain = jax.nn.sigmoid(logits) - labels
    first = jnp.full(logits.shape, EarlyLearning.FIRST_TARGET)
    np.testing.assert_allclose(slope(first), plain, atol=1e-6)
    high = jnp.full(logits.shape, 0.9)
    expected = plain + 3.0 * elr_slope(jax.nn.sigmoid(logits), 0.9)
    np.testing.assert_allclose(slope(high), expected, rtol=1e-4, atol=1e-6)
    assert (slope(high) < plain).all()


def test_early_learning_targets_average_bounded_probabilities():
    targets, logits = jnp.array([[0.5, 0.5, 0.5]]), jnp.array([[0.0, np.log(4.0), 100.0]])
    once = EARLY.updated(targets, logits)
    np.testing.assert_allclose(once, [[0.5, 0.7 * 0.5 + 0.3 * 0.8, 0.35 + 0.3 * 0.9999]], rtol=1e-6)
    # A network that no longer changes is what the targets come to.
    for _ in range(60):
        once = EARLY.updated(once, logits)
    np.testing.assert_allclose(once, [[0.5, 0.8, 0.9999]], rtol=1e-5)
    assert (jax.jacobian(lambda some: EARLY.updated(targets, some).sum())(logits) == 0).all()
    known = jnp.ones((1, 3), bool)
    pull = jax.grad(lambda some: EARLY.towards(some)(logits, jnp.ones((1, 3)), known).sum())(
        targets
    )
    np.testing.assert_array_equal(pull, np.zeros((1, 3)))


def made(name, **settings):
    return make_loss(ml_collections.ConfigDict({"name": name, **settings}))


def test_losses_are_made_from_configurations():
    focal = made("focal", positive_weight=3, gamma=1, positive_share=0.25)
    assert focal == WeightedPositives(Focal(1.0, 0.25), 3.0)
    rows = [list(row) for row in THREE]
    nested = made("transition_correction", positive_weight=1.0, transition=rows)
    expected = WeightedPositives(TransitionCorrection(THREE), 1.0)
    assert nested == expected
    assert hash(nested) == hash(expected)
    flips = made("flip_correction", positive_weight=1, false_positive=[0.1, 0], false_negative=0)
    assert flips.loss == FlipCorrection((0.1, 0.0), 0.0)
    assert made("label_distribution") is label_distribution_cross_entropy
    plain = WeightedPositives(BinaryCrossEntropy(), 2.0)
    assert made("early_learning", positive_weight=2, weight=3) == EarlyLearning(plain, 3.0, 0.7)


def test_settings_that_are_not_given_are_those_of_the_papers():
    defaults = {
        "binary_cross_entropy": BCE,
        "focal": Focal(2.0, 0.5),
        "asymmetric": Asymmetric(1.0, 4.0, 0.05),
        "generalised_cross_entropy": GeneralisedCrossEntropy(0.7),
        "symmetric_cross_entropy": SymmetricCrossEntropy(0.1, 1.0, -4.0),
        "label_smoothing": LabelSmoothing(0.1, 0.5),
        "soft_bootstrapping": SoftBootstrapping(0.95),
        "hard_bootstrapping": HardBootstrapping(0.8),
        "flip_correction": FlipCorrection(0.004, 0.2),
        "transition_correction": TransitionCorrection(0.2),
    }
    assert {name: made(name) for name in SIGMOID_LOSSES} == {
        name: WeightedPositives(loss, 5.0) for name, loss in defaults.items()
    }


def test_a_rate_stands_for_the_uniform_transition():
    given = some(6)
    np.testing.assert_array_equal(
        TransitionCorrection(0.3)(*given), TransitionCorrection(THREE)(*given)
    )
    np.testing.assert_allclose(
        uniform_transition(3, 0.4), [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "hinge"}, "loss.name is 'hinge', expected one of label_distribution, binary_cr"),
        ({"gamma": 2.0}, "loss.name is None"),
        (
            {"name": "focal", "q": 2.0},
            "has q, but the loss focal has the settings gamma, positive_share, positive_weight",
        ),
        (
            {"name": "label_distribution", "positive_weight": 2.0},
            "has positive_weight, but the loss label_distribution has no settings",
        ),
        (
            {"name": "generalised_cross_entropy", "q": 2.0},
            r"generalised_cross_entropy has q=2.0, expected numbers from 1e-06 to 1\.",
        ),
        (
            {"name": "soft_bootstrapping", "positive_weight": -1, "trust": 0.1},
            r"weighted_positives has weight=-1.0, expected numbers from 0 to inf\.",
        ),
        (
            {"name": "transition_correction", "transition": [[1.0], [0.5, 0.5]]},
            "has transition=.*, expected numbers from 0 to 1",
        ),
    ],
)
def test_a_wrong_configuration_is_refused(config, message):
    with pytest.raises(InputError, match=message):
        make_loss(ml_collections.ConfigDict(config))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (TransitionCorrection(((1.0,),)), r"shape \(1, 1\), expected \(3, 3\)"),
        (FlipCorrection((0.1, 0.2), 0.0), r"shape \(2,\), expected \(\) or \(3,\)"),
    ],
)
def test_noise_of_other_moas_is_refused(loss, message):
    with pytest.raises(InputError, match=message):
        loss(*some())
