"""Tables of the open vocabulary: rankings, trust and direction over compounds made by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from experiments.main_result import direction, open_vocabulary, paired
from experiments.main_result.confidence_tables import (
    calibration_z,
    mean_with_interval,
    none_row,
    none_rows,
    reliability_rows,
    risk_row,
    set_row,
)
from experiments.main_result.direction import (
    cases_of,
    direction_row,
    drugs_section,
    flip_rows,
    flips,
    is_preferred,
    opposites,
    sure_flips,
)
from experiments.main_result.held_out_answers import (
    UnseenCompounds,
    calibrated_by_others,
    held_out_answers,
    joined,
    left_out_answers,
    training_compounds,
)
from experiments.main_result.open_vocabulary import (
    by_split,
    frequent_rows,
    ranking_rows,
)
from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.calibrator import CalibratedAnswers, fit_calibrator
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.kernels.references import REFERENCE_COLUMNS, write_references
from moa_jax.models.experts import VIEWS
from moa_jax.schemas import InputError
from moa_jax.training.runs.run_folder import open_run
from tests.synthetic import make_dataset, make_raw_examples

pytestmark = pytest.mark.slow

MOAS = ("A receptor agonist", "A receptor antagonist", "B inhibitor")


def compounds(probs, labels, *, support=None, confidence=None, none=None, moas=MOAS):
    probs, labels = np.array(probs), np.array(labels, bool)
    count = len(probs)
    none = np.zeros(count) if none is None else np.array(none)
    confidence = probs.max(axis=1) if confidence is None else np.array(confidence)
    return UnseenCompounds(
        moas=moas,
        groups=tuple(f"g{row}" for row in range(count)),
        names=tuple(f"n{row}" for row in range(count)),
        labels=labels,
        support=np.full(labels.shape, 5) if support is None else np.array(support),
        probs=probs,
        calibrated=CalibratedAnswers(
            probs=probs * (1 - none)[:, None],
            none_of_these=none,
            confidence=confidence,
            is_answered=confidence >= 0.5,
            p_values=probs,
            in_set=probs >= 0.3,
            none_in_set=none >= 0.5,
        ),
    )


@pytest.fixture
def three():
    """An antagonist predicted as agonist, a right answer, and one without known mechanism."""
    return compounds(
        [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.3, 0.4, 0.3]],
        [[0, 1, 0], [0, 1, 0], [0, 0, 1]],
        support=[[4, 12, 0], [4, 2, 0], [4, 9, 0]],
        none=[0.1, 0.2, 0.6],
    )


def test_drugs_are_found_by_any_of_their_names_and_others_are_left_out(three):
    named = dataclasses.replace(three, names=("First / Other", "second", "third"))
    lines = drugs_section(named, ("other", "second", "nobody")).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:]]
    assert cells == [
        ["other", "A receptor antagonist", "A receptor agonist", "0.900", "answered"],
        ["second", "A receptor antagonist", "A receptor antagonist", "0.700", "answered"],
    ]


def test_strata_count_what_the_best_supported_mechanism_was_learned_from(three):
    np.testing.assert_array_equal(three.best_support, [12, 2, 0])
    np.testing.assert_array_equal(three.is_learnable, [True, True, False])
    np.testing.assert_array_equal(three.is_right, [False, True, False])
    rows = {row["training compounds"]: row for row in ranking_rows(three, np.ones(3, bool))}
    assert [row["compounds"] for row in rows.values()] == [3, 1, 1, 0, 1]
    # The mechanism of the first ranks second; that of the last ties with another behind the first.
    assert rows["10+"]["mean AP"] == "0.500 [0.500, 0.500]"
    assert rows["1-2"]["top-1"] == "1.000 [1.000, 1.000]"
    assert rows["0"]["mean AP"] == "0.333 [0.333, 0.333]"
    assert rows["3-9"]["top-5"] == "n/a"
    assert rows["all"]["mean AP"].startswith(f"{(1 / 2 + 1 + 1 / 3) / 3:.3f} [")
    among = ranking_rows(three.take(np.array([0, 1])), np.array([True, True, False]))[0]
    assert among["top-1"].startswith("0.500 [")


def test_compounds_of_several_divisions_count_once_in_an_interval():
    cell = mean_with_interval(np.array([1.0, 0.0, 1.0]), ("a", "a", "b"))
    # Means 1/2 and 1; a resample is one of the two twice, or both.
    assert cell == "0.750 [0.500, 1.000]"


def test_a_first_answer_of_which_nothing_was_learned_is_not_right():
    lucky = compounds([[0.1, 0.1, 0.8]], [[0, 0, 1]], support=[[1, 1, 0]])
    assert not lucky.is_right.any()
    assert risk_row(lucky)["right of 100 %"] == 0


def test_both_vocabularies_are_compared_on_the_mechanisms_of_the_frequent_one(three):
    frequent = compounds(
        [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]],
        [[0, 1], [0, 1], [0, 1], [0, 1]],
        moas=("B inhibitor", "A receptor antagonist"),
    )
    # Two divisions of the same two compounds.
    frequent = dataclasses.replace(frequent, groups=("g1", "g0", "g0", "g1"))
    probs, labels = by_split(frequent, [1])
    np.testing.assert_array_equal(probs, [[[0.8], [0.1]], [[0.9], [0.7]]])
    np.testing.assert_array_equal(labels, [[True], [True]])
    few, all_ = frequent_rows(joined([three, three]), frequent, num_resamples=20)
    assert (few["vocabulary"], few["compounds"], all_["compounds"]) == ("frequent", 2, 2)
    # Wrong once in four; among the two mechanisms the open one is right for both.
    assert few["top1"].startswith("0.750 [")
    assert all_["top1"].startswith("1.000 [")


def test_reliability_of_ten_bins_names_what_sampling_error_explains():
    confidence = np.concatenate([np.full(40, 0.85), np.full(100, 0.55), np.full(10, 0.05)])
    right = np.concatenate([np.arange(40) < 33, np.arange(100) < 90, np.zeros(10, bool)])
    few, middle, sure = reliability_rows(confidence, right)
    assert few["verdict"] == "too few"
    assert (middle["stated"], middle["compounds"]) == ("0.5-0.6", 100)
    assert middle["verdict"] == "more than .03, beyond sampling error"
    assert middle["right minus stated"].startswith("+0.350 [+0.27")
    assert sure["verdict"] == "within .03"
    assert sure["right"] == pytest.approx(33 / 40)


def test_z_of_calibration_by_hand():
    z, p_value = calibration_z(np.array([0.8, 0.8]), np.array([True, True]))
    # Each of the two: (1 - .8) * (1 - 1.6) over the root of .36 * .16.
    assert z == pytest.approx(2 * 0.2 * -0.6 / np.sqrt(2 * 0.36 * 0.16))
    assert p_value == pytest.approx(0.479500, abs=1e-5)
    assert np.isnan(calibration_z(np.array([1.0]), np.array([True]))).all()


def test_none_of_these_and_sets_count_compounds_of_unlearned_mechanisms(three):
    row = none_row(three)
    assert (row["nothing learned"], row["AUROC"]) == (1, 1.0)
    assert row["mean stated, others"] == pytest.approx(0.15)
    assert [own["compounds"] for own in none_rows(three, num_bins=2)] == [2, 1]
    assert none_rows(three, num_bins=2)[1]["nothing learned"].startswith("1.000 [0.025")
    # The first set misses its mechanism; the last one admits that it may be none of these.
    sets = set_row(three)
    assert sets["sets cover"] == pytest.approx(2 / 3)
    assert sets["of those with a learned mechanism"] == pytest.approx(1 / 2)
    assert sets["median MoAs in a set"] == 1


def test_opposites_are_names_alike_but_for_their_last_words():
    moas = (
        "GABA receptor agonist",
        "gaba receptor Antagonist",
        "GABA receptor inverse agonist",
        "GABA receptor partial agonist",
        "potassium channel activator",
        "potassium channel blocker",
        "kinase inhibitor",
        "inhibitor",
        "GABA receptor positive allosteric modulator",
        "glutamate receptor negative allosteric modulator",
    )
    assert opposites(moas) == [(0, 1), (0, 2), (4, 5), (8, 1), (8, 2)]


def test_direction_counts_compounds_with_one_of_a_pair_alone(three):
    both = compounds([[0.5, 0.3, 0.2]], [[1, 1, 0]])
    assert len(cases_of(both.labels, opposites(MOAS)).row) == 0
    cases = cases_of(three.labels, opposites(MOAS))
    np.testing.assert_array_equal(cases.own, [1, 1])
    np.testing.assert_array_equal(cases.other, [0, 0])
    np.testing.assert_allclose(cases.preference(three.probs), [np.log(1 / 9), np.log(7 / 2)])
    np.testing.assert_array_equal(is_preferred(np.array([-1.0, 0.0, 2.0])), [0, 0.5, 1])
    row = direction_row(three)
    assert (row["cases"], row["compounds"], row["pairs"]) == (2, 2, 1)
    assert row["right one higher"].startswith("0.500 [")
    # Two thirds of a case are one, and the first is the surer.
    assert row["in the third with the largest preference"].startswith("0.000 [")
    assert row["where 0.8-1 is stated"] == "0.000 of 1"
    assert row["where 0.5-0.8 is stated"] == "1.000 of 1"
    assert row["where 0-0.5 is stated"] == "none"
    unlearned = compounds(three.probs, three.labels, support=np.array([[0, 5, 5]] * 3))
    assert direction_row(unlearned, both_learned=True)["cases"] == 0


def test_a_flip_answers_the_opposite_of_what_is_known(three):
    np.testing.assert_array_equal(flips(three), [True, False, False])
    counts = [
        (row["compounds"], row["wrong direction"], row["of these answered"])
        for row in flip_rows(three)
    ]
    assert counts == [(1, 0, 0), (1, 0, 0), (1, 1, 1)]
    (named,) = sure_flips(three)
    assert named == {
        "compound": "n0",
        "known": "A receptor antagonist",
        "answered": "A receptor agonist",
        "stated": 0.9,
    }
    known_both = compounds([[0.9, 0.1, 0.0]], [[1, 1, 0]])
    assert not flips(known_both).any()


def test_training_compounds_count_once_whatever_their_modalities(tmp_path):
    rows = [
        ("signature_kernel", "g1", ("x",)),
        ("signature_kernel", "g1", ("x",)),
        ("structure_kernel", "g1", ("x",)),
        ("structure_kernel", "g2", ("x", "y")),
        ("structure_kernel", "g3", ()),
    ]
    table = pd.DataFrame(rows, columns=["expert", "group", "moas"])
    table = table.assign(**{name: "" for name in REFERENCE_COLUMNS if name not in table})
    write_references(tmp_path, table[list(REFERENCE_COLUMNS)])
    np.testing.assert_array_equal(training_compounds(tmp_path, ("x", "y", "z")), [2, 1, 0])


def test_a_runs_answers_are_read_and_calibrated_on_others(tiny_run):
    moas = open_run(tiny_run, num_devices=1).predictor.features.moas
    kept = read_calibration_store(tiny_run, moas)["structure"]
    held_out, out_of_fold = held_out_answers(tiny_run), left_out_answers(tiny_run)
    assert set(held_out) == set(out_of_fold) == set(VIEWS)
    own = held_out["structure"]
    calibrator = fit_calibrator(kept.probs, kept.labels, kept.is_learnable)
    np.testing.assert_array_equal(
        own.calibrated.confidence, calibrator.calibrate(own.probs).confidence
    )
    both = joined([own, own])
    assert both.groups == own.groups * 2
    assert both.calibrated.in_set.shape == both.labels.shape == both.support.shape
    np.testing.assert_array_equal(both.take(both.best_support >= 0).first, both.first)

    part = np.random.default_rng(0).permutation(len(kept.groups)) % 2
    calibrated = calibrated_by_others(kept, num_parts=2)
    rows = part != 1
    others = fit_calibrator(kept.probs[rows], kept.labels[rows], kept.is_learnable[rows])
    expected = others.calibrate(kept.probs[~rows]).confidence
    np.testing.assert_array_equal(calibrated.confidence[~rows], expected)


def test_the_commands_pool_the_folds_and_write_their_tables(
    tiny_run, tmp_path, monkeypatch, capsys
):
    write_prepared(tmp_path / "data", make_dataset(make_raw_examples()))
    trained = []
    monkeypatch.setattr(
        open_vocabulary,
        "trained_run",
        lambda config, out, *, fold, seed: (
            trained.append(
                (config.vocabulary, out.name, config.structure_only_compounds, fold, seed)
            )
            or tiny_run
        ),
    )
    out = tmp_path / "out"
    options = [
        f"--data={tmp_path / 'data'}",
        f"--out={out}",
        "--folds=2",
        "--without-structure-only",
    ]
    everything = f"--everything={tiny_run}"
    open_vocabulary.main([*options, "--frequent", everything, "--seeds", "0", "1"])
    assert trained[:4] == [
        ("open", "open_alone", False, fold, seed) for seed in (0, 1) for fold in (0, 1)
    ]
    assert {name for name, *_ in trained[4:]} == {"frequent"}
    text = (out / "alone_tables.md").read_text()
    assert text.strip() in capsys.readouterr().out
    for title in (
        "Mechanisms ranked among all",
        "Risk and coverage",
        "Label sets",
        "Both voc",
        "Both on",
    ):
        assert f"### {title}" in text
    direction.main([*options, everything])
    assert "### Direction, compounds left out" in (out / "alone_direction.md").read_text()
    with pytest.raises(SystemExit, match="2"):
        open_vocabulary.main([f"--data={tmp_path / 'none'}", f"--out={out}"])


def test_answers_without_an_expert(tiny_run):
    """What is answered from signatures stays; from structures the networks alone answer."""
    whole = held_out_answers(tiny_run)
    without = held_out_answers(tiny_run, without="structure_kernel")
    np.testing.assert_array_equal(whole["expression"].probs, without["expression"].probs)
    assert np.abs(whole["structure"].probs - without["structure"].probs).max() > 0.01
    with pytest.raises(InputError, match="no expert protein_network; it has signature"):
        held_out_answers(tiny_run, without="protein_network")


def test_paired_ranks_by_hand(capsys, tmp_path):
    """The second model puts the second compound's mechanism first, which the first put second."""
    labels = [[1, 0, 0], [0, 1, 0]]
    first = dict.fromkeys(VIEWS, compounds([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]], labels))
    second = dict.fromkeys(VIEWS, compounds([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]], labels))
    rows = paired.paired_rows(first, second)
    assert [(row["view"], row["score"]) for row in rows[:3]] == [
        ("fusion", "mean AP"),
        ("fusion", "top-1"),
        ("fusion", "top-5"),
    ]
    # Of the two mechanisms that the compounds have.
    assert [(row["first"], row["second"]) for row in rows[:3]] == [
        (0.75, 1.0),
        (0.5, 1.0),
        (1.0, 1.0),
    ]
    assert rows[0]["second minus first"].startswith("0.250 [")
    # For each mechanism, its compound ranks before the other in both models.
    assert [rows[3][name] for name in ("score", "first", "second")] == ["macro AUPRC", 1.0, 1.0]
    # The surer compound, with .7 in the first model, is right in both.
    assert rows[4]["score"] == "accuracy at 50 % coverage"
    assert (rows[4]["first"], rows[4]["second"]) == (1.0, 1.0)
    with pytest.raises(InputError, match="do not hold out the same compounds"):
        paired.paired_rows(first, dict.fromkeys(VIEWS, second["fusion"].take(np.array([0]))))
    with pytest.raises(SystemExit):
        paired.main([str(tmp_path), str(tmp_path)])
    assert "has no folder of a fold" in capsys.readouterr().err
