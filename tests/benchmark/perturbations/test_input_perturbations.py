import dataclasses
import math

import numpy as np
import pytest

from moa_jax.benchmark.perturbations.input_perturbations import InputPerturbation as Perturbation
from moa_jax.benchmark.perturbations.input_perturbations import (
    input_perturbations as read_conditions,
)
from moa_jax.benchmark.perturbations.input_perturbations import perturb
from moa_jax.data.examples.bead_pairs import bead_pairs
from moa_jax.schemas import InputError
from tests.small_sets import ALCOHOLS, examples, gene_table

NUM_GENES = 40
GENES = gene_table(NUM_GENES)
LEVELS = {
    "gaussian": 0.5,
    "gene_dropout": 0.25,
    "peak_swap": 0.3,
    "plate_offset": 0.5,
}
KINDS = [kind for kind in Perturbation.MAX_LEVELS if kind != "clean"]


def small_examples(num_compounds=20, num_signatures=3):
    count = num_compounds * num_signatures
    compound = np.repeat(np.arange(num_compounds), num_signatures)
    rng = np.random.default_rng(3)
    return examples(
        np.eye(4)[compound % 4],
        [f"G{row:03d}" for row in compound],
        expression=rng.normal(size=(count, NUM_GENES)),
        smiles=[ALCOHOLS[row] for row in compound],
    )


def condition_of(kind):
    return Perturbation(kind, LEVELS.get(kind, 0.0))


def changed(before, after):
    return before.expression != after.expression


def same(first, second):
    return (
        np.array_equal(first.expression, second.expression)
        and np.array_equal(first.has_expression, second.has_expression)
        and first.smiles == second.smiles
    )


def test_names_are_safe_in_file_names():
    assert Perturbation("clean").name == "clean"
    assert Perturbation("gaussian", 0.5).name == "gaussian_0.5"
    assert Perturbation("gaussian", 2.0).name == "gaussian_2"
    assert Perturbation("structure_absent").name == "structure_absent"


def test_a_config_is_read_by_kind_and_ascending_level():
    found = read_conditions({"clean": (), "gaussian": [1, 0.25], "expression_absent": ()})
    assert [perturbation.name for perturbation in found] == [
        "clean",
        "gaussian_0.25",
        "gaussian_1",
        "expression_absent",
    ]
    assert read_conditions({}) == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hail": (1.0,)}, "no input perturbation 'hail'; the kinds are clean, gaussian"),
        ({"gaussian": ()}, "gaussian is given no level"),
        ({"gaussian": (0.0,)}, "level 0.0, expected a number above 0"),
        ({"gaussian": (math.nan,)}, "level nan"),
        ({"gaussian": (math.inf,)}, "level inf"),
        ({"gene_dropout": (1.5,)}, "level 1.5, expected a number above 0 and at most 1"),
        ({"structure_absent": (0.5,)}, "but this kind has no levels"),
        ({"peak_swap": (0.1, 0.1)}, "peak_swap_0.1 is given 2 times"),
    ],
)
def test_a_wrong_config_is_refused_in_one_sentence(config, message):
    with pytest.raises(InputError, match=message) as error:
        read_conditions(config)
    assert str(error.value).count(". ") == 0


def test_clean_changes_nothing():
    before = small_examples()
    assert perturb(Perturbation("clean"), before, GENES, seed=0) is before


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_and_nothing_else_is_touched(kind):
    before = small_examples()
    after = perturb(condition_of(kind), before, GENES, seed=1)
    assert same(after, perturb(condition_of(kind), before, GENES, seed=1))
    assert not same(after, before)
    assert after.table is before.table
    assert after.groups == before.groups
    assert after.labels is before.labels
    assert same(before, small_examples()), "the given examples were changed in place"
    if not kind.endswith(("zeroed", "absent")):
        assert not same(after, perturb(condition_of(kind), before, GENES, seed=2))


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_rows_changes_nothing(kind):
    before = small_examples()
    order = np.random.default_rng(0).permutation(before.num_examples)
    perturbation = condition_of(kind)
    turned = perturb(perturbation, before.take(order), GENES, seed=4)
    assert same(turned, perturb(perturbation, before, GENES, seed=4).take(order))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("shuffled")])
def test_noise_does_not_depend_on_the_other_rows(kind):
    before = small_examples()
    rows = np.array([50, 7, 8])
    alone = perturb(condition_of(kind), before.take(rows), GENES, seed=4)
    assert same(alone, perturb(condition_of(kind), before, GENES, seed=4).take(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_without_examples_stays_empty(kind):
    nothing = small_examples().take(np.arange(0))
    assert perturb(condition_of(kind), nothing, GENES, seed=0).num_examples == 0


def test_gaussian_noise_has_the_standard_deviation_of_its_level_and_one_shape():
    before = small_examples()
    noise = {
        level: perturb(Perturbation("gaussian", level), before, GENES, seed=0).expression
        - before.expression
        for level in (0.5, 2.0)
    }
    assert noise[2.0].std() == pytest.approx(2.0, rel=0.05)
    assert noise[2.0].mean() == pytest.approx(0.0, abs=0.1)
    np.testing.assert_allclose(noise[2.0], 4 * noise[0.5], atol=1e-5)
    # Rows are independent of each other.
    correlation = np.corrcoef(noise[2.0])[np.triu_indices(60, 1)]
    assert abs(correlation.mean()) < 0.02


def test_dropout_sets_the_share_of_measured_genes_to_no_change():
    before = small_examples()
    mask = np.arange(NUM_GENES) < 30
    before = dataclasses.replace(before, gene_mask=mask)
    lost = {
        level: changed(before, perturb(Perturbation("gene_dropout", level), before, GENES, seed=0))
        for level in (0.1, 0.4, 1.0)
    }
    for level, where in lost.items():
        assert (where.sum(axis=1) == level * 30).all()
        assert not where[:, ~mask].any()
    assert (lost[0.4] >= lost[0.1]).all()
    after = perturb(Perturbation("gene_dropout", 0.4), before, GENES, seed=0)
    assert (after.expression[lost[0.4]] == 0).all()
    assert len(np.unique(lost[0.1], axis=0)) > 50


def test_peak_swap_exchanges_whole_pairs():
    before = small_examples()
    perturbation = Perturbation("peak_swap", 0.3)
    after = perturb(perturbation, before, GENES, seed=0)
    pairs = bead_pairs(GENES)
    swapped = changed(before, after)[:, pairs]
    assert (swapped.all(axis=2) == swapped.any(axis=2)).all()
    assert (swapped.all(axis=2).sum(axis=1) == 6).all()
    rows, which = np.nonzero(swapped.all(axis=2))
    np.testing.assert_array_equal(
        after.expression[rows[:, None], pairs[which]],
        before.expression[rows[:, None], pairs[which][:, ::-1]],
    )
    more = changed(before, perturb(Perturbation("peak_swap", 0.6), before, GENES, seed=0))
    assert (more >= changed(before, after)).all()
    everything = perturb(Perturbation("peak_swap", 1.0), before, GENES, seed=0)
    again = perturb(Perturbation("peak_swap", 1.0), everything, GENES, seed=5)
    np.testing.assert_array_equal(again.expression, before.expression)


def test_peak_swap_leaves_a_pair_with_an_unmeasured_gene_alone():
    before = small_examples()
    before = dataclasses.replace(before, gene_mask=np.arange(NUM_GENES) != 3)
    after = perturb(Perturbation("peak_swap", 1.0), before, GENES, seed=0)
    where = changed(before, after)
    assert not where[:, [2, 3]].any()
    assert where[:, 4:].all()


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (GENES.drop(columns="bead"), "the gene table lacks the column bead"),
        (GENES.assign(bead=""), "no two of the 40 genes have the same bead"),
        (GENES.assign(bead="12"), "has 40 genes with the bead 12; expected at most two"),
    ],
)
def test_peak_swap_without_pairs_is_refused(genes, message):
    with pytest.raises(InputError, match=message):
        perturb(Perturbation("peak_swap", 0.5), small_examples(), genes, seed=0)


def test_a_plate_has_one_offset_and_a_cell_line_stands_in_for_it():
    before = small_examples()
    cell_line = np.array(["A375", "MCF7", "A375", None])[np.arange(60) % 4]
    plate = np.array(["P1", "P1", None, None], object)[np.arange(60) % 4]
    before = dataclasses.replace(
        before, table=before.table.assign(cell_line=cell_line, plate=plate)
    )
    after = perturb(Perturbation("plate_offset", 1.5), before, GENES, seed=0)
    offset = after.expression - before.expression
    kind = np.arange(60) % 4
    for rows in (kind <= 1, kind == 2, kind == 3):
        np.testing.assert_allclose(offset[rows], offset[rows][:1].repeat(rows.sum(), 0), atol=1e-5)
    assert np.corrcoef(offset[[0, 2, 3]])[np.triu_indices(3, 1)].max() < 0.7
    assert offset[[0, 2, 3]].std() == pytest.approx(1.5, rel=0.15)


def test_a_zeroed_signature_is_there_and_an_absent_one_is_not():
    before = small_examples()
    zeroed = perturb(Perturbation("expression_zeroed"), before, GENES, seed=0)
    assert zeroed.has_expression.all()
    assert not zeroed.expression.any()
    absent = perturb(Perturbation("expression_absent"), before, GENES, seed=0)
    assert not absent.has_expression.any()
    assert absent.smiles == before.smiles
    structureless = perturb(Perturbation("structure_absent"), before, GENES, seed=0)
    assert not structureless.has_structure.any()
    assert structureless.has_expression.all()


def test_shuffled_expression_comes_from_other_compounds_each_once():
    before = small_examples()
    has = np.arange(60) % 5 > 0
    before = dataclasses.replace(before, has_expression=has)
    after = perturb(Perturbation("expression_shuffled"), before, GENES, seed=0)
    origin = {values.tobytes(): row for row, values in enumerate(before.expression)}
    source = np.array([origin[values.tobytes()] for values in after.expression])
    assert (source[~has] == np.flatnonzero(~has)).all()
    assert sorted(source[has]) == sorted(np.flatnonzero(has))
    assert all(
        before.groups[row] != before.groups[origin]
        for row, origin in zip(np.flatnonzero(has), source[has], strict=True)
    )
    # The signatures of one compound come from many, not all from one other.
    assert (
        np.mean(
            [
                len({before.groups[i] for i in source[start : start + 3]})
                for start in range(0, 60, 3)
            ]
        )
        > 2
    )


def test_a_compound_gets_one_structure_of_another():
    before = small_examples()
    smiles = [None if row == 5 else smiles for row, smiles in enumerate(before.smiles)]
    before = dataclasses.replace(before, smiles=tuple(smiles))
    after = perturb(Perturbation("structure_shuffled"), before, GENES, seed=0)
    assert after.smiles[5] is None
    pairs = {(group, one) for group, one in zip(before.groups, after.smiles, strict=True) if one}
    assert len(pairs) == len(set(before.groups))
    assert sorted(one for _, one in pairs) == sorted(set(before.smiles) - {None})
    assert all(new != old for new, old in zip(after.smiles, before.smiles, strict=True) if old)


@pytest.mark.parametrize("kind", ["expression_shuffled", "structure_shuffled"])
def test_one_compound_cannot_be_shuffled(kind):
    with pytest.raises(InputError, match=r"cannot be shuffled: \d of \d belong to"):
        perturb(Perturbation(kind), small_examples().take(np.arange(3)), GENES, seed=0)
