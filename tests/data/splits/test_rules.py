"""What each rule holds out, and that no promise is broken on the way."""

import collections
import dataclasses

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from moa_jax.data.examples.labels import strata
from moa_jax.data.splits.leaks import check_no_leaks
from moa_jax.data.splits.manifest import scored_part, split_rows
from moa_jax.data.splits.rules import SPLIT_RULES, make_split, phase_split
from moa_jax.schemas import InputError, concatenate
from tests.data.splits.split_sets import LINES, MOLECULES, screen_examples
from tests.small_sets import examples, planted_examples

SCREEN = screen_examples()
CONDITIONS = screen_examples(lines=LINES[:2], doses=(0.12, 1.1, 9.99, 10.0), times=(6.0, 6.4, 24.0))
SETS = dict.fromkeys(SPLIT_RULES, SCREEN) | {"dose": CONDITIONS, "time": CONDITIONS}


def values(made, rows, column):
    return set(made.table[column].iloc[rows])


def moas(made, rows):
    return {made.moas[column] for column in np.flatnonzero(made.labels[rows].any(axis=0))}


@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_every_rule_keeps_its_promises_in_every_fold(rule):
    made = SETS[rule]
    splits = [make_split(rule, made, fold=fold, seed=3) for fold in range(5)]
    for fold, split in enumerate(splits):
        assert (split.rule, split.fold, split.num_folds, split.seed) == (rule, fold, 5, 3)
        check_no_leaks(split, made)
        rows = split_rows(split, made)
        assert all(len(found) for found in rows.values())
        assert len(rows["train"]) > len(rows["validation"])
    assert splits[0] == make_split(rule, made, fold=0, seed=3)
    assert any(make_split(rule, made, fold=0, seed=seed) != splits[0] for seed in range(4, 8))


def test_everything_is_learned_from_and_compounds_validate():
    split = make_split("everything", SCREEN, fold=0, seed=3)
    check_no_leaks(split, SCREEN)
    rows = split_rows(split, SCREEN)
    assert not len(rows["test"])
    assert len(rows["train"]) + len(rows["validation"]) == SCREEN.num_examples
    groups = np.array(SCREEN.groups)
    validating = set(groups[rows["validation"]])
    assert not validating & set(groups[rows["train"]])
    assert len(validating) == pytest.approx(len(set(groups)) / 5, abs=1)
    # The share that validates is that of the compounds that `compound` does not test, too.
    half = make_split("everything", SCREEN, fold=0, validation_fraction=0.5)
    assert collections.Counter(half.parts.values())["validation"] == pytest.approx(
        len(half.parts) / 2, abs=1
    )
    none = make_split("everything", SCREEN, fold=0, validation_fraction=0.0)
    parts = {part: SCREEN.take(rows) for part, rows in split_rows(none, SCREEN).items()}
    with pytest.raises(InputError, match="no part to score the model on"):
        scored_part(parts)


@pytest.mark.parametrize(
    "rule", ["random_signature", "compound", "scaffold", "cell_line_same_compounds", "plate"]
)
def test_rules_with_one_unit_test_every_signature_once(rule):
    tested = [split_rows(make_split(rule, SCREEN, fold=fold), SCREEN) for fold in range(5)]
    np.testing.assert_array_equal(
        np.sort(np.concatenate([rows["test"] for rows in tested])), np.arange(SCREEN.num_examples)
    )
    for rows in tested:
        assert sum(map(len, rows.values())) == SCREEN.num_examples


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5])
def test_compound_folds_are_scikit_learns(fraction):
    """The published reference lines of the main result hang on these very folds."""
    planted = planted_examples(num_compounds=40, num_moas=4, num_signatures=3)
    groups, stratum = np.array(planted.groups), strata(planted)
    direct = StratifiedGroupKFold(5, shuffle=True, random_state=7)
    for fold, (rest, test) in enumerate(direct.split(groups, stratum, groups)):
        split = make_split("compound", planted, fold=fold, seed=7, validation_fraction=fraction)
        rows = split_rows(split, planted)
        np.testing.assert_array_equal(rows["test"], test)
        validation = np.zeros(0, int)
        if fraction:
            inner = StratifiedGroupKFold(round(1 / fraction), shuffle=True, random_state=7)
            validation = next(iter(inner.split(rest, stratum[rest], groups[rest])))[1]
        np.testing.assert_array_equal(rows["validation"], rest[validation])


def test_compounds_that_only_a_structure_links_stay_together():
    """Two groups with one structure: the table of compounds knew one of them by another name."""
    smiles = list(SCREEN.smiles)
    twins = [row for row, group in enumerate(SCREEN.groups) if group in ("G03", "G30")]
    for row in twins:
        smiles[row] = MOLECULES[3]
    linked = dataclasses.replace(SCREEN, smiles=tuple(smiles))
    for seed in range(5):
        split = make_split("compound", linked, fold=0, seed=seed)
        assert split.parts["P03"] == split.parts["P30"]
        check_no_leaks(split, linked)


def test_scaffolds_stay_whole_and_a_compound_with_two_joins_them():
    groups = list(SCREEN.groups)
    # The first compounds of two ring systems are one drug in two forms.
    for row, group in enumerate(groups):
        groups[row] = "G00" if group == "G04" else group
    joined = dataclasses.replace(SCREEN, groups=tuple(groups))
    for fold in range(5):
        split = make_split("scaffold", joined, fold=fold)
        parts_of = collections.defaultdict(set)
        for compound in range(len(MOLECULES)):
            parts_of[max(compound // 4, 1)].add(split.parts[f"P{compound:02d}"])
        assert all(len(parts) == 1 for parts in parts_of.values())


def test_compounds_without_structure_are_scaffolds_of_their_own():
    unknown = dataclasses.replace(SCREEN, smiles=(None,) * SCREEN.num_examples)
    split = make_split("scaffold", unknown, fold=0)
    assert collections.Counter(split.parts.values())["test"] == 8


def test_cell_line_tests_new_lines_and_new_compounds():
    for fold in range(5):
        split = make_split("cell_line", SCREEN, fold=fold)
        rows = split_rows(split, SCREEN)
        test = values(SCREEN, rows["test"], "cell_line")
        assert test == set(split.held_out)
        for column in ("cell_line", "pert_id"):
            parts = [values(SCREEN, found, column) for found in rows.values()]
            assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
        # Every signature of a test compound in a test line is tested; what is half known is not.
        compounds = values(SCREEN, rows["test"], "pert_id")
        assert len(rows["test"]) == len(test) * len(compounds)
        table = SCREEN.table
        half_known = table["cell_line"].isin(test) ^ table["pert_id"].isin(compounds)
        assert {split.parts[key] for key in table["sig_id"][half_known]} == {"unused"}


def test_few_cell_lines_are_tested_in_turn():
    two = screen_examples(lines=LINES[:3])
    folds = [make_split("cell_line", two, fold=fold, num_folds=5) for fold in range(5)]
    assert [split.held_out for split in folds[3:]] == [split.held_out for split in folds[:2]]
    tested = [{key for key, part in split.parts.items() if part == "test"} for split in folds]
    assert not any(tested[first] & tested[first + 3] for first in range(2))


def test_cell_line_same_compounds_trains_on_what_it_tests():
    rows = split_rows(make_split("cell_line_same_compounds", SCREEN, fold=0), SCREEN)
    assert values(SCREEN, rows["test"], "pert_id") <= values(SCREEN, rows["train"], "pert_id")
    assert not values(SCREEN, rows["test"], "cell_line") & values(
        SCREEN, rows["train"], "cell_line"
    )


@pytest.mark.parametrize(
    ("rule", "column", "ranges"),
    [
        # 9.99 and 10 uM are one dose, 6 and 6.4 h one time.
        ("dose", "dose_um", [("0.1 uM",), ("1 uM",), ("10 uM",)]),
        ("time", "time_h", [("6 h",), ("24 h",)]),
    ],
)
def test_doses_and_times_are_held_out_with_compounds(rule, column, ranges):
    for fold in range(5):
        split = make_split(rule, CONDITIONS, fold=fold)
        assert split.held_out == ranges[fold % len(ranges)]
        rows = split_rows(split, CONDITIONS)
        train = np.concatenate([rows["train"], rows["validation"]])
        for each in (column, "pert_id"):
            assert not values(CONDITIONS, rows["test"], each) & values(CONDITIONS, train, each)
        known = values(CONDITIONS, rows["train"], "pert_id")
        assert not known & values(CONDITIONS, rows["validation"], "pert_id")


def test_a_rare_dose_joins_its_neighbours():
    table = CONDITIONS.table.copy()
    table.loc[0, "dose_um"], table.loc[1, "dose_um"] = 1000.0, 1e-6
    odd = dataclasses.replace(CONDITIONS, table=table)
    held_out = {make_split("dose", odd, fold=fold).held_out for fold in range(5)}
    assert held_out == {("1e-06 uM", "0.1 uM"), ("1 uM",), ("10 uM", "1e+03 uM")}


@pytest.mark.parametrize(
    ("rule", "column"),
    [("cell_line", "cell_line"), ("dose", "dose_um"), ("time", "time_h"), ("plate", "plate")],
)
def test_signatures_that_do_not_tell_their_condition_are_unused(rule, column):
    made = SETS[rule]
    untold = made.table.assign(**{column: made.table[column].where(made.table.index % 9 > 0)})
    split = make_split(rule, dataclasses.replace(made, table=untold), fold=1)
    parts = [split.parts[key] for key in made.table["sig_id"][::9]]
    assert set(parts) == {"unused"}
    assert {"train", "validation", "test"} < set(split.parts.values())


def test_plates_keep_their_compounds():
    for fold in range(5):
        split = make_split("plate", SCREEN, fold=fold)
        plates = collections.defaultdict(set)
        for key, plate in zip(SCREEN.table["sig_id"], SCREEN.table["plate"], strict=True):
            for name in plate.split("|"):
                plates[name].add(split.parts[key])
        assert all(len(parts) == 1 for parts in plates.values())


def test_unseen_moas_are_unknown_to_training_and_tested_beside_known_ones():
    folds = [make_split("unseen_moa", SCREEN, fold=fold) for fold in range(5)]
    assert sorted(moa for split in folds for moa in split.held_out) == sorted(SCREEN.moas)
    for split in folds:
        rows, unseen = split_rows(split, SCREEN), set(split.held_out)
        assert not moas(SCREEN, rows["train"]) & unseen
        assert not moas(SCREEN, rows["validation"]) & unseen
        carries = SCREEN.labels[:, [moa in unseen for moa in SCREEN.moas]].any(axis=1)
        assert set(np.flatnonzero(carries)) <= set(rows["test"])
        known = len(rows["test"]) - carries.sum()
        assert known / (~carries).sum() == pytest.approx(0.2, abs=0.07)


def test_labels_are_spread_over_the_folds():
    """Every compound has one of ten MoAs; a fold of eight gets each about as often."""
    for fold in range(5):
        rows = split_rows(make_split("random_signature", SCREEN, fold=fold), SCREEN)["test"]
        share = SCREEN.labels[rows].mean(axis=0) / SCREEN.labels.mean(axis=0)
        np.testing.assert_allclose(share, 1, atol=0.25)


@pytest.mark.parametrize(
    ("rule", "change", "message"),
    [
        ("horoscope", {}, "there is no split rule 'horoscope'; the rules are random_signature,"),
        ("compound", {"fold": 5}, "fold is 5, expected 0 to 4"),
        ("compound", {"fold": -1}, "fold is -1"),
        ("compound", {"validation_fraction": 0.6}, "is 0.6, expected 0 to 0.5"),
        (
            "compound",
            {"num_folds": 1},
            "the compound split cannot be made: .* cannot be split into 1 folds",
        ),
        ("compound", {"num_folds": 41}, "40 units cannot be split into 41 folds"),
        ("compound", {"validation_fraction": 0.03}, "31 units cannot be split into 33 folds"),
        ("scaffold", {"num_folds": 11}, "10 units cannot be split into 11 folds"),
        ("cell_line_same_compounds", {"num_folds": 7}, "have 6 cell lines; expected 7 or more"),
        ("dose", {}, r"its values \(10 uM\) make one range, expected 2 or more with at least 10 %"),
        ("time", {}, r"its values \(24 h\) make one range"),
        ("plate", {"num_folds": 11}, "form 10 separate sets; expected at least 11"),
        ("unseen_moa", {"num_folds": 11}, "10 units cannot be split into 11 folds"),
    ],
)
def test_what_cannot_be_made_is_refused(rule, change, message):
    with pytest.raises(InputError, match=message):
        make_split(rule, SCREEN, **{"fold": 0} | change)


def test_nothing_known_of_a_condition_is_refused():
    columns = {"cell_line": None, "plate": None, "dose_um": np.nan, "time_h": np.nan}
    bare = dataclasses.replace(SCREEN, table=SCREEN.table.assign(**columns))
    for rule, message in {
        "cell_line": "have 0 cell lines; expected 2",
        "cell_line_same_compounds": "have 0 cell lines",
        "dose": "none is known",
        "time": "none is known",
        "plate": "no signature has a known plate",
    }.items():
        with pytest.raises(InputError, match=f"the {rule} split cannot be made: .*{message}"):
            make_split(rule, bare, fold=0)


def test_two_cell_lines_leave_none_for_validation():
    two = screen_examples(lines=LINES[:2])
    with pytest.raises(InputError, match="have 1 cell lines; expected 2 or more"):
        make_split("cell_line", two, fold=0)
    split = make_split("cell_line", two, fold=0, validation_fraction=0.0)
    assert collections.Counter(split.parts.values()) == {"test": 8, "train": 32, "unused": 40}


def test_one_plate_for_all_is_refused():
    with pytest.raises(InputError, match="plates that share compounds form 1 separate sets"):
        make_split("plate", screen_examples(per_plate=40), fold=0)


def releases():
    """The screen, and another release that knows four of its compounds under other names."""
    smiles = [MOLECULES[0], MOLECULES[5] + ".Cl", None, None, "Brc1ccncc1CC", None]
    other = examples(
        np.eye(10)[[0] * 6],
        ["H0", "H1", "H2", "G33", "H4", "H5"],
        smiles=smiles,
        pert_ids=[f"Q{row}" for row in range(6)],
    )
    names = ["a", "b", "Drug-7", "d", "e", "f"]
    table = other.table.assign(sig_id=[f"OTHER{row}" for row in range(6)], compound=names)
    return SCREEN, dataclasses.replace(other, table=table)


def test_phase_trains_on_no_compound_of_the_other_release():
    train_on, test_on = releases()
    split = phase_split(train_on, test_on, seed=2)
    unused = {
        pert_id
        for pert_id, key in zip(train_on.table["pert_id"], train_on.table["sig_id"], strict=True)
        if split.parts[key] == "unused"
    }
    # By structure, by the salt's structure, by name and by group.
    assert unused == {"P00", "P05", "P07", "P33"}
    assert {split.parts[key] for key in test_on.table["sig_id"]} == {"test"}
    both = concatenate(train_on, test_on)
    check_no_leaks(split, both)
    rows = split_rows(split, train_on)
    compounds = {part: values(train_on, found, "pert_id") for part, found in rows.items()}
    assert len(compounds["train"]) + len(compounds["validation"]) == 36
    assert len(compounds["validation"]) == pytest.approx(7, abs=1)
    assert not compounds["train"] & compounds["validation"]
    with pytest.raises(InputError, match=r"the phase split .* leaks: .*P05|.*SIG30"):
        check_no_leaks(dataclasses.replace(split, parts={**split.parts, "SIG30": "train"}), both)


def test_releases_that_cannot_be_told_apart_are_refused():
    with pytest.raises(InputError, match="the signature SIG0 is in both releases"):
        phase_split(SCREEN, SCREEN)
    same = dataclasses.replace(
        SCREEN, table=SCREEN.table.assign(sig_id="again " + SCREEN.table["sig_id"])
    )
    with pytest.raises(InputError, match="every compound of the training release is in the test"):
        phase_split(SCREEN, same)
    with pytest.raises(InputError, match=r"validation_fraction is 0\.9"):
        phase_split(SCREEN, same, validation_fraction=0.9)
