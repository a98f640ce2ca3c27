"""Metrics, validation scores, the comparator and the featured methods, by hand."""

import ml_collections
import numpy as np
import pytest

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.perturbations.input_perturbations import InputPerturbation as Perturbation
from moa_jax.benchmark.perturbations.training_perturbations import TrainingPerturbation
from moa_jax.benchmark.scored_split import calibrated, score_split
from moa_jax.schemas import InputError
from tests.benchmark.tiny_results import LABELS, folds_of, make_fold, make_results

PERFECT = LABELS * 0.8 + 0.1
FLAT = np.full((6, 3), 1 / 3)
# B is taken for m1 and C for m0; the others are right.
PROBS = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.4, 0.5, 0.1],
        [0.5, 0.3, 0.2],
        [0.1, 0.8, 0.1],
        [0.2, 0.1, 0.7],
        [0.3, 0.1, 0.6],
    ]
)
# Of two validation compounds the first is right; the second is right in the perfect one only.
HALF = (np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1]]), np.eye(3)[:2])
BOTH = (np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]), np.eye(3)[:2])


def settings(comparator=""):
    return ml_collections.ConfigDict({"num_resamples": 20, "seed": 0, "comparator": comparator})


def lines(**folds):
    return {Line(method): {0: some} for method, some in folds.items()}


def test_every_metric_is_that_of_the_out_of_fold_probabilities():
    scored = score_split(make_results(lines(cosine_knn=folds_of(PROBS, (HALF, BOTH)))), settings())
    found = scored.scores[Line("cosine_knn")].estimate
    # m0 ranks A, C, B: (1/1 + 2/3) / 2; m1 ranks D, B, C: the same; m2 ranks E, F: 1.
    assert found["macro_auprc"] == pytest.approx((5 / 6 + 5 / 6 + 1) / 3)
    # Of 8 pairs, m0 and m1 each lose one (B to C, C to B).
    assert found["macro_auroc"] == pytest.approx((7 / 8 + 7 / 8 + 1) / 3)
    # By probability: .8 +, .7 ++, .6 +, .5 --, .4 +, .3 + and -.
    assert found["micro_auprc"] == pytest.approx((4 + 5 / 7 + 6 / 9) / 6)
    assert found["top1"] == pytest.approx(4 / 6)
    assert (found["top5"], found["top10"]) == (1, 1)
    # Positives .7 .4 .3 .8 .7 .6; negatives .2 three times, .1 six times, .5 twice, .3 once.
    squares = 0.09 + 0.36 + 0.49 + 0.04 + 0.09 + 0.16 + 3 * 0.04 + 6 * 0.01 + 2 * 0.25 + 0.09
    assert found["brier"] == pytest.approx(squares / 18)
    positive = np.log([0.7, 0.4, 0.3, 0.8, 0.7, 0.6]).sum()
    negative = np.log([0.8] * 3 + [0.9] * 6 + [0.5] * 2 + [0.7]).sum()
    assert found["log_loss"] == pytest.approx(-(positive + negative) / 18)


def test_resamples_of_a_perfect_ranking_are_perfect():
    scored = score_split(make_results(lines(cosine_knn=folds_of(PERFECT))), settings())
    samples = scored.scores[Line("cosine_knn")].samples
    assert samples["macro_auprc"].tolist() == [1] * 20
    assert samples["top1"].tolist() == [1] * 20


def test_the_validation_score_is_the_mean_over_folds_and_seeds():
    half = folds_of(PROBS, (HALF, BOTH))
    both = folds_of(PROBS, (BOTH, BOTH))
    results = make_results({Line("cosine_knn"): {0: half, 1: both}})
    # HALF: m0 ranks .8 before .6, m1 ranks .3 before .1, and no compound has m2: 1 as well.
    assert score_split(results, settings()).validation[Line("cosine_knn")] == 1
    wrong = (HALF[0], np.eye(3)[[1, 0]])
    results = make_results({Line("cosine_knn"): {0: folds_of(PROBS, (wrong, BOTH)), 1: both}})
    # The wrong fold ranks the only positive of both MoAs second: 1/2.
    found = score_split(results, settings()).validation[Line("cosine_knn")]
    assert found == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    alone = score_split(make_results(lines(cosine_knn=folds_of(PROBS))), settings())
    assert np.isnan(alone.validation[Line("cosine_knn")])


WRONG = (HALF[0], np.eye(3)[[1, 0]])
GOOD, POOR = folds_of(PROBS, (BOTH, BOTH)), folds_of(PROBS, (WRONG, WRONG))


def test_the_reference_is_the_best_baseline_on_validation():
    """Neither a network nor a control is, however good."""
    results = make_results(
        lines(fusion=GOOD, shuffled_labels=GOOD, morgan_logistic=GOOD, cosine_knn=POOR)
    )
    assert score_split(results, settings()).comparator == Line("morgan_logistic")
    assert score_split(results, settings("cosine_knn")).comparator == Line("cosine_knn")
    with pytest.raises(InputError, match=r"comparator is stacked, but this .* on compound_seed0"):
        score_split(results, settings("stacked"))


def test_where_there_are_controls_alone_one_of_them_is_the_reference():
    results = make_results(lines(prevalence=POOR, shuffled_labels=GOOD))
    assert score_split(results, settings()).comparator == Line("shuffled_labels")


def test_of_each_family_the_best_method_is_featured_and_the_reference():
    changed = Line("morgan_logistic", test=Perturbation("structure_absent"))
    trained = Line("stacked", training=TrainingPerturbation("uniform_labels", 0.2))
    further = Line("morgan_knn", structure_only_compounds=True)
    results = make_results(
        {
            **lines(fusion=GOOD, cosine_knn=POOR, spearman_knn=GOOD, prevalence=GOOD),
            **lines(morgan_logistic=GOOD, expression_logistic=folds_of(PROBS)),
            **{some: {0: GOOD} for some in (changed, trained, further)},
        }
    )
    scored = score_split(results, settings("cosine_knn"))
    names = ("fusion", "cosine_knn", "spearman_knn", "prevalence", "morgan_logistic")
    assert scored.clean == (*map(Line, (*names, "expression_logistic")), further)
    # A method without validation predictions (expression_logistic) is never the best.
    assert scored.featured() == tuple(
        map(Line, ("fusion", "spearman_knn", "morgan_logistic", "cosine_knn"))
    )


def test_mean_probabilities_are_those_of_the_seeds():
    results = make_results({Line("cosine_knn"): {0: folds_of(PERFECT), 1: folds_of(FLAT)}})
    scored = score_split(results, settings())
    np.testing.assert_allclose(scored.mean_probs(Line("cosine_knn")), (PERFECT + FLAT) / 2)


def test_test_probabilities_are_scaled_by_the_temperature_of_the_validation_compounds():
    # Of rows (.5, .25, .25) nine in ten are right: softmax(log p / T) must give .9 there, so
    # 2 ** (1 / T) = 18. A row (.6, .2, .2) then has the odds 1 : (1 / 3) ** (1 / T), twice.
    rows = np.tile([0.5, 0.25, 0.25], (10, 1))
    labels = np.eye(3)[[0] * 9 + [1]]
    fold = make_fold([0], [[0.6, 0.2, 0.2]], (rows, labels))
    power = np.log2(18)
    odds = np.array([1, 3**-power, 3**-power])
    np.testing.assert_allclose(calibrated(fold), [odds / odds.sum()], rtol=1e-3)
    assert calibrated(make_fold([0], [[0.6, 0.3, 0.1]])).tolist() == [[0.6, 0.3, 0.1]]


def test_a_compound_that_two_folds_test_gets_the_mean():
    folds = (make_fold((0, 1, 2), PERFECT[:3]), make_fold((2, 3, 4, 5), FLAT[2:]))
    results = make_results({Line("cosine_knn"): {0: folds}})
    (found,) = results.probs(Line("cosine_knn"))
    expected = np.concatenate([PERFECT[:2], [(PERFECT[2] + FLAT[2]) / 2], FLAT[3:]])
    np.testing.assert_allclose(found, expected)
