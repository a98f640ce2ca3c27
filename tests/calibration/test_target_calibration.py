"""Calibrated probabilities of targets and actions, and their file."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import special

from moa_jax.calibration.target_calibration import (
    LIGAND_STRATA,
    TARGET_CALIBRATION_FILE,
    fit_target_calibrator,
    read_target_calibration,
    write_target_calibration,
)
from moa_jax.schemas import InputError
from moa_jax.training.target_answers import TargetAnswers

NUM_COMPOUNDS, NUM_PROTEINS, NUM_GENES = 300, 60, 200
# Ligands of the three kinds of proteins.
LIGANDS = np.repeat([2, 6, 40], NUM_PROTEINS // 3)


def make_answers(seed=0):
    """Equal scores mean more for proteins with more ligands, and margins tell the action."""
    rng = np.random.default_rng(seed)
    scores = 10 ** rng.uniform(-4, 0, (NUM_COMPOUNDS, NUM_PROTEINS))
    meaning = np.repeat([0.1, 0.3, 0.9], NUM_PROTEINS // 3)
    is_target = rng.random(scores.shape) < meaning * scores
    margins = rng.normal(size=scores.shape) * 3
    activates = rng.random(scores.shape) < special.expit(2 * margins - 1)
    return TargetAnswers(
        groups=tuple(f"G{row:03d}" for row in range(NUM_COMPOUNDS)),
        scores=scores,
        without_ligands=scores / 10,
        margins=margins,
        is_target=is_target,
        activates=np.where(is_target, activates, np.nan),
        num_ligands=LIGANDS,
        num_known=1000,
    )


@pytest.fixture(scope="module")
def answers():
    return make_answers()


@pytest.fixture(scope="module")
def calibrator(answers):
    return fit_target_calibrator(answers, NUM_GENES)


def test_probabilities_hold_for_new_compounds_of_each_kind_of_protein(calibrator):
    new = make_answers(seed=1)
    probs = calibrator.probability(new.scores, LIGANDS)
    for kind in range(3):
        own = slice(kind * NUM_PROTEINS // 3, (kind + 1) * NUM_PROTEINS // 3)
        stated, observed = probs[:, own].sum(), new.is_target[:, own].sum()
        assert stated == pytest.approx(observed, rel=0.25)
        likely = new.scores[:, own] > 0.3
        assert probs[:, own][likely].mean() == pytest.approx(
            new.is_target[:, own][likely].mean(), abs=0.06
        )


def test_new_proteins_are_expected_as_often_as_good_and_turing_say(answers, calibrator):
    """Among genes without ligands that look like the simulated ones that are no targets."""
    assert calibrator.by_graph is None
    single = np.where(np.arange(NUM_PROTEINS) < 30, 1, 9)
    fitted = fit_target_calibrator(dataclasses.replace(answers, num_ligands=single), NUM_GENES)
    others = np.random.default_rng(0).choice(
        answers.without_ligands[~answers.is_target], (200, NUM_GENES - NUM_PROTEINS)
    )
    probs = fitted.probability(others, np.zeros(others.shape[1], int))
    # 30 proteins with one ligand, 1,000 compounds.
    assert probs.sum(axis=1).mean() == pytest.approx(30 / 1000, rel=0.2)
    order = np.argsort(others[0])
    assert (np.diff(probs[0][order]) >= 0).all()


def test_without_single_ligands_nothing_is_said_about_other_genes(answers):
    many = dataclasses.replace(answers, num_ligands=answers.num_ligands + 5)
    fitted = fit_target_calibrator(many, NUM_GENES)
    assert fitted.by_graph is None
    assert (fitted.probability(np.ones((1, 2)), np.array([0, 9])) > 0).tolist() == [[False, True]]


def test_actions_are_calibrated_on_known_ones(answers, calibrator):
    assert calibrator.action_slope == pytest.approx(2, rel=0.3)
    assert calibrator.action_shift == pytest.approx(-1, abs=0.4)
    np.testing.assert_allclose(
        calibrator.activates(np.array([0.0])), special.expit(calibrator.action_shift)
    )
    same = np.where(np.isnan(answers.activates), np.nan, 0.0)
    one = fit_target_calibrator(dataclasses.replace(answers, activates=same), NUM_GENES)
    assert np.isnan(one.activates(np.zeros(2))).all()


def test_a_stratum_without_targets_has_the_curve_of_all(answers):
    few = answers.is_target & (LIGANDS[None] > 2)
    fitted = fit_target_calibrator(
        dataclasses.replace(answers, is_target=few),
        NUM_GENES,
    )
    rare, some, many = fitted.with_ligands
    assert rare.log_odds != some.log_odds != many.log_odds
    nothing = dataclasses.replace(answers, is_target=few & False)
    assert fit_target_calibrator(nothing, NUM_GENES) is None


def test_the_file_gives_the_calibrators_back(tmp_path, answers, calibrator):
    nothing = dataclasses.replace(answers, is_target=answers.is_target & False)
    write_target_calibration(tmp_path, {"fusion": answers, "structure": nothing}, NUM_GENES)
    assert read_target_calibration(tmp_path) == {"fusion": calibrator}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stored: stored.update(format_version=0), "has format version 0"),
        (lambda stored: stored.pop("views"), "is damaged.*'views'"),
        (lambda stored: stored["views"]["fusion"].pop("by_graph"), "'by_graph'"),
        (
            lambda stored: stored["views"]["fusion"]["with_ligands"].pop(),
            f"with_ligands .expected {len(LIGAND_STRATA)} curves",
        ),
        (
            lambda stored: stored["views"]["fusion"]["with_ligands"][0]["log_odds"].pop(),
            "log_odds .expected",
        ),
        (
            lambda stored: stored["views"]["fusion"].update(action_slope="steep"),
            "a number .found 'steep'",
        ),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, answers, change, message):
    write_target_calibration(tmp_path, {"fusion": answers}, NUM_GENES)
    path = tmp_path / TARGET_CALIBRATION_FILE
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))
    with pytest.raises(InputError, match=message):
        read_target_calibration(tmp_path)
