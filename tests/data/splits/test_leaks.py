"""A planted leak of each kind is refused with its rows; what is allowed is counted."""

import collections
import dataclasses
import sys

import numpy as np
import pytest

from moa_jax.data.splits.leaks import DISJOINT_IDENTITIES, check_no_leaks, without_leaks
from moa_jax.data.splits.rules import EVERYTHING, SPLIT_RULES, make_split
from moa_jax.schemas import Examples, InputError, Split
from tests.data.splits.split_sets import (
    LINES,
    MOLECULES,
    keys_in,
    moved,
    screen_examples,
    structure_only_examples,
)
from tests.small_sets import examples

SCREEN = screen_examples(lines=LINES[:3])
COMPOUND = make_split("compound", SCREEN, fold=0)
TRAINED, VALIDATED, TESTED = (keys_in(COMPOUND, part) for part in ("train", "validation", "test"))


def with_column(made, **columns):
    return dataclasses.replace(made, table=made.table.assign(**columns))


def replaced(made, field, pert_id, value):
    """The examples with another group or structure of one compound."""
    found = [
        value if row == pert_id else old
        for row, old in zip(made.table["pert_id"], getattr(made, field), strict=True)
    ]
    return dataclasses.replace(made, **{field: tuple(found)})


def molecule_of(pert_id):
    return MOLECULES[int(pert_id[1:])]


def test_every_rule_has_its_promises():
    assert set(DISJOINT_IDENTITIES) == {*SPLIT_RULES, EVERYTHING, "phase"}


def test_what_a_rule_allows_is_counted():
    # Four compounds share a ring, and a plate and its replicate in each of three cell lines.
    parts_of = collections.defaultdict(set)
    for compound in range(len(MOLECULES)):
        parts_of[compound // 4].add(COMPOUND.parts[f"P{compound:02d}"])
    divided = sum(len(parts) > 1 for parts in parts_of.values())
    assert divided > 3
    assert check_no_leaks(COMPOUND, SCREEN) == {
        "scaffold": divided,
        "plate": 6 * divided,
        "cell line": 3,
        "dose": 1,
        "time": 1,
    }
    random = make_split("random_signature", SCREEN, fold=0)
    parts = collections.defaultdict(set)
    for key, pert_id in zip(SCREEN.table["sig_id"], SCREEN.table["pert_id"], strict=True):
        parts[pert_id].add(random.parts[key])
    crossing = sum(len(found) > 1 for found in parts.values())
    counts = check_no_leaks(random, SCREEN)
    assert counts["compound group"] == counts["InChIKey block"] == counts["structure"] == crossing
    assert counts["name"] == crossing
    assert "MoA" not in counts


def test_a_group_on_two_sides_is_refused():
    leaky = replaced(SCREEN, "groups", TESTED[0], f"G{TRAINED[0][1:]}")
    message = (
        rf"^the compound split \(fold 0 of 5\) leaks: compound group G{TRAINED[0][1:]} crosses "
        rf"\({TRAINED[0]} in train, {TESTED[0]} in test\)"
    )
    with pytest.raises(InputError, match=message):
        check_no_leaks(COMPOUND, leaky)


def test_an_inchi_block_on_two_sides_is_refused():
    # Two enantiomers and the sodium salt of lactic acid under three groups.
    smiles = ["C[C@H](O)C(=O)O", "C[C@@H](O)C(=O)O", "CC(O)C(=O)[O-].[Na+]", "CCCCN", None]
    pert_ids = [f"P{row}" for row in range(5)]
    leaky = with_column(
        examples(np.ones((5, 1)), "ABCDE", smiles=smiles, pert_ids=pert_ids), dose_um=np.nan
    )
    parts = dict(zip(pert_ids, ("train", "validation", "test", "test", "train"), strict=True))
    split = Split(rule="compound", seed=0, fold=0, num_folds=5, parts=parts)
    message = r"InChIKey block JVTAAEKCZFNVCJ crosses \(P0 in train, P1 in validation, P2 in test\)"
    with pytest.raises(InputError, match=message):
        check_no_leaks(split, leaky)
    check_no_leaks(moved(split, ["P1", "P2"], "train"), leaky)
    check_no_leaks(moved(split, ["P1", "P2"], "unused"), leaky)


def test_a_name_on_two_sides_is_refused():
    names = SCREEN.table["compound"].where(SCREEN.table["pert_id"] != TESTED[0], "AST-1306")
    names = names.where(SCREEN.table["pert_id"] != VALIDATED[0], "ast 1306")
    message = rf"name ast1306 crosses \({VALIDATED[0]} in validation, {TESTED[0]} in test\)\.$"
    with pytest.raises(InputError, match=message):
        check_no_leaks(COMPOUND, with_column(SCREEN, compound=names))


def test_a_near_duplicate_on_two_sides_is_refused():
    """Regioisomers whose InChIKeys differ and whose fingerprints do not."""
    leaky = replaced(SCREEN, "smiles", TESTED[0], "CCCCCC(F)CCCCCCC(Cl)CCCCCC")
    leaky = replaced(leaky, "smiles", TRAINED[0], "CCCCCC(F)CCCCCCCC(Cl)CCCCC")
    message = (
        rf"leaks: structure \S+Cl\S+ crosses \({TRAINED[0]} in train, {TESTED[0]} in test\)\.$"
    )
    with pytest.raises(InputError, match=message):
        check_no_leaks(COMPOUND, leaky)
    # The next homologue is another compound.
    check_no_leaks(COMPOUND, replaced(leaky, "smiles", TESTED[0], "CCCCCC(F)CCCCCCC(Cl)CCCCC"))


def test_a_replicate_on_two_sides_is_refused():
    """One compound at one condition, profiled twice; another cell line is no replicate."""
    split = make_split("cell_line_same_compounds", SCREEN, fold=0, num_folds=3)
    table = SCREEN.table
    tested = table.index[table["sig_id"].map(split.parts) == "test"][0]
    known = table.index[
        (table["sig_id"].map(split.parts) == "train")
        & (table["pert_id"] == table["pert_id"][tested])
    ][0]
    lines = table["cell_line"].copy()
    lines[known] = lines[tested]
    group, line = SCREEN.groups[tested], lines[tested]
    message = (
        rf"cell line {line} crosses \(SIG{known} in train, .* in test\); "
        rf"replicate of {group}, {line}, 10 uM, 24 h crosses \(SIG{known} in train, "
        rf"SIG{tested} in test\)\.$"
    )
    with pytest.raises(InputError, match=message):
        check_no_leaks(split, with_column(SCREEN, cell_line=lines))


def test_replicates_are_counted_where_they_may_cross():
    twice = SCREEN.take(np.repeat(np.arange(SCREEN.num_examples), 2))
    twice = with_column(twice, sig_id=[f"S{row}" for row in range(twice.num_examples)])
    parts = {f"S{row}": ("train", "test")[row % 2] for row in range(twice.num_examples)}
    split = Split(rule="random_signature", seed=0, fold=0, num_folds=2, parts=parts, unit="sig_id")
    assert check_no_leaks(split, twice)["replicate"] == SCREEN.num_examples


CONDITIONS = screen_examples(lines=LINES[:3], doses=(0.1, 10.0), times=(6.0, 24.0))


@pytest.mark.parametrize(
    ("rule", "column", "identity"),
    [
        ("cell_line", "cell_line", "cell line"),
        ("cell_line_same_compounds", "cell_line", "cell line"),
        ("dose", "dose_um", "dose"),
        ("time", "time_h", "time"),
        ("plate", "plate", "plate"),
    ],
)
def test_a_condition_on_two_sides_is_refused(rule, column, identity):
    """One training signature turns out to be of a condition that is tested."""
    split = make_split(rule, CONDITIONS, fold=0, num_folds=3)
    table = CONDITIONS.table
    part = table["sig_id"].map(split.parts)
    values = table[column].copy()
    culprit = table.index[part == "train"][0]
    values[culprit] = values[part == "test"].iloc[0]
    message = rf"leaks: {identity} \S+.* crosses \(SIG{culprit} in train, .*SIG.* in test\)"
    with pytest.raises(InputError, match=message):
        check_no_leaks(split, with_column(CONDITIONS, **{column: values}))


def test_one_shared_plate_of_two_is_a_leak():
    split = make_split("plate", SCREEN, fold=0)
    first, second = keys_in(split, "train")[0], keys_in(split, "test")[0]
    plates = SCREEN.table["plate"].copy()
    plates[SCREEN.table["sig_id"] == first] += "|SHARED"
    plates[SCREEN.table["sig_id"] == second] = "SHARED|" + plates
    message = rf"plate SHARED crosses \({first} in train, {second} in test\)"
    with pytest.raises(InputError, match=message):
        check_no_leaks(split, with_column(SCREEN, plate=plates))


def test_validation_may_share_doses_with_training_but_not_with_the_test():
    split = make_split("dose", CONDITIONS, fold=0, num_folds=2)
    doses = CONDITIONS.table["dose_um"]
    by_part = doses.groupby(CONDITIONS.table["sig_id"].map(split.parts)).agg(set)
    assert by_part["train"] == by_part["validation"]
    assert not by_part["train"] & by_part["test"]
    assert "dose" not in check_no_leaks(split, CONDITIONS)


def test_a_scaffold_on_two_sides_is_refused():
    split = make_split("scaffold", SCREEN, fold=0)
    moving = keys_in(split, "test")[0]
    message = rf"scaffold \S+ crosses \({moving} in train, .* in test\)\.$"
    with pytest.raises(InputError, match=message):
        check_no_leaks(moved(split, [moving], "train"), SCREEN)


def test_acyclic_analogues_on_two_sides_are_refused():
    split = make_split("scaffold", SCREEN, fold=0)
    first, second = keys_in(split, "train")[0], keys_in(split, "test")[0]
    leaky = replaced(SCREEN, "smiles", first, "CCCCCCCCO")
    leaky = replaced(leaky, "smiles", second, "CCCCCCCCCO")
    message = rf"scaffold acyclic like CCCCCC\S+ crosses \({first} in train, {second} in test\)\.$"
    with pytest.raises(InputError, match=message):
        check_no_leaks(split, leaky)


def test_an_unseen_moa_that_is_trained_on_is_refused():
    split = make_split("unseen_moa", SCREEN, fold=0)
    moa = split.held_out[0]
    carriers = SCREEN.table["pert_id"][SCREEN.labels[:, SCREEN.moas.index(moa)] > 0]
    message = rf"held-out MoA {moa} crosses \({carriers.iloc[0]} in train, .* in test\)"
    with pytest.raises(InputError, match=message):
        check_no_leaks(moved(split, [carriers.iloc[0]], "train"), SCREEN)
    # Also when no compound of that MoA is left to be tested.
    with pytest.raises(InputError, match=rf"held-out MoA {moa} crosses \(.* in validation\)"):
        check_no_leaks(moved(split, set(carriers), "validation"), SCREEN)


def test_hundreds_of_leaks_make_one_readable_sentence():
    shuffled = dict(zip(COMPOUND.parts, ("train", "test") * 20, strict=True))
    one_group = dataclasses.replace(SCREEN, groups=tuple(f"G{row % 9}" for row in range(120)))
    with pytest.raises(InputError) as refusal:
        check_no_leaks(dataclasses.replace(COMPOUND, parts=shuffled), one_group)
    text = str(refusal.value)
    assert "4 more of compound group cross" in text
    assert " more in train, " in text
    assert len(text) < 2000


def test_a_split_that_does_not_fit_is_refused_first():
    with pytest.raises(InputError, match="does not fit the data: no part for P00"):
        check_no_leaks(
            dataclasses.replace(
                COMPOUND, parts={key: part for key, part in COMPOUND.parts.items() if key != "P00"}
            ),
            SCREEN,
        )


def test_an_unknown_rule_promises_nothing_and_is_refused():
    with pytest.raises(InputError, match="there is no split rule 'mine'"):
        check_no_leaks(dataclasses.replace(COMPOUND, rule="mine"), SCREEN)


# --- labelled structures without expression --------------------------------------------------


def further_of(split, made):
    """Three that are free, and one of each identity that a held-out compound has."""
    held_out = keys_in(split, "test")[0], keys_in(split, "validation")[0]
    smiles = ["Brc1ccccc1CCBr", None, molecule_of(TRAINED[0]), molecule_of(held_out[0])]
    smiles += [f"{molecule_of(held_out[1])}.Cl", None, None]
    groups = [f"H{row}" for row in range(6)] + [f"G{held_out[0][1:]}"]
    names = [None, "something", None, None, None, f"Drug-{int(held_out[1][1:])}", None]
    return structure_only_examples(made, smiles, groups=groups, names=names)


def test_structures_of_held_out_compounds_are_found_and_left_out():
    further = further_of(COMPOUND, SCREEN)
    kept = without_leaks(COMPOUND, SCREEN, further)
    assert isinstance(kept, Examples)
    assert list(kept.table["pert_id"]) == ["F0", "F1", "F2"]


def test_structures_with_a_held_out_scaffold_are_left_out_of_scaffold_alone():
    split = make_split("scaffold", SCREEN, fold=0)
    tested, trained = (molecule_of(keys_in(split, part)[0]) for part in ("test", "train"))
    further = structure_only_examples(SCREEN, [f"Br{tested}", f"Br{trained}", "BrC1CCCCCC1"])
    assert list(without_leaks(split, SCREEN, further).table["pert_id"]) == ["F1", "F2"]
    assert without_leaks(COMPOUND, SCREEN, further).num_examples == 3


def test_chains_like_a_held_out_chain_are_left_out_of_scaffold():
    split = make_split("scaffold", SCREEN, fold=0)
    made = replaced(SCREEN, "smiles", keys_in(split, "test")[0], "CCCCCCCCO")
    further = structure_only_examples(made, ["CCCCCCCCCCO", "NC(=O)NC(N)=O"])
    assert list(without_leaks(split, made, further).table["pert_id"]) == ["F1"]


def test_structures_with_an_unseen_moa_are_left_out():
    split = make_split("unseen_moa", SCREEN, fold=0)
    smiles = ["Brc1ccccc1CCBr", "Brc1ccncc1CCBr"]
    unseen = structure_only_examples(SCREEN, smiles, moa=SCREEN.moas.index(split.held_out[0]))
    assert without_leaks(split, SCREEN, unseen).num_examples == 0
    known = next(row for row, moa in enumerate(SCREEN.moas) if moa not in split.held_out)
    assert (
        without_leaks(
            split, SCREEN, structure_only_examples(SCREEN, smiles, moa=known)
        ).num_examples
        == 2
    )


def test_a_leaky_rule_leaves_nothing_out():
    split = make_split("random_signature", SCREEN, fold=0)
    assert without_leaks(split, SCREEN, further_of(COMPOUND, SCREEN)).num_examples == 7


def calls_to_check(num_signatures):
    """Calls of functions that the check of so many signatures takes."""
    many = SCREEN.take(np.resize(np.arange(SCREEN.num_examples), num_signatures))
    many = with_column(many, sig_id=[f"S{row}" for row in range(num_signatures)])
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        check_no_leaks(COMPOUND, many)
    finally:
        sys.setprofile(before)
    return calls


def test_four_times_the_signatures_are_at_most_four_times_the_work():
    calls_to_check(SCREEN.num_examples)  # What is remembered between calls is made here.
    assert calls_to_check(8_000) <= 4 * calls_to_check(2_000)
