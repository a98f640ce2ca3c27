import dataclasses

import numpy as np
import pandas as pd
import pytest

from moa_jax.baselines.classifiers.late_fusion import LateFusion
from moa_jax.baselines.controls import (
    PROLIFERATION_GENES,
    STRESS_GENES,
    Context,
    ShuffledLabels,
    Viability,
    mean_expression,
    permute_labels,
    signature_strength,
)
from moa_jax.baselines.registry import make_method
from moa_jax.data.examples.labels import strata
from tests.small_sets import examples, knowledge_graph, planted_examples

GRAPH = knowledge_graph(4)


def test_signature_strength_by_hand():
    expression = [[3.0, -4.0, 1.0, 100.0], [0.0, 2.0, 0.0, 100.0]]
    some = examples([[1], [1]], ["A", "B"], expression=expression)
    some = dataclasses.replace(some, gene_mask=np.array([True, True, True, False]))
    found = signature_strength(some)
    np.testing.assert_allclose(found[0], [0.3, 0.5, np.log1p(np.sqrt(26)), np.log(3)])
    # The second row's TAS and cc_q75 are missing; |z| = 2 counts as changed.
    np.testing.assert_allclose(found[1], [np.nan, np.nan, np.log(3), np.log(2)])


def test_mean_expression_leaves_out_what_was_not_measured():
    some = examples([[1]], ["A"], expression=[[1.0, 2.0, 5.0, 7.0]])
    some = dataclasses.replace(some, gene_mask=np.array([True, True, True, False]))
    sets = [np.array([0, 1]), np.array([2, 3]), np.array([3]), np.array([], int)]
    np.testing.assert_array_equal(mean_expression(some, sets), [[1.5, 5.0, np.nan, np.nan]])


def test_context_is_one_hot_with_logarithms():
    # Cell lines A375, MCF7, missing; doses 10, missing, 0.04; times 24, 6, missing; see there.
    some = examples([[1]] * 4, list("ABCD"))
    context = Context()
    context.fit_transform(some.take(np.array([0, 1, 2])))
    other = dataclasses.replace(some, table=some.table.assign(cell_line=["MCF7", "PC3"] * 2))
    expected = [
        [0, 1, 1, np.log10(24)],
        [0, 0, np.nan, np.log10(6)],
        [0, 1, np.log10(0.04), np.nan],
        [0, 0, 1, np.log10(24)],
    ]
    np.testing.assert_allclose(context.transform(other), expected)
    nothing = some.table.assign(cell_line=None, dose_um=np.nan, time_h=np.nan)
    assert not context.usable(dataclasses.replace(some, table=nothing)).any()


@pytest.mark.parametrize("name", ["signature_strength", "viability", "context_only"])
def test_a_control_finds_what_it_sees(name):
    """Three MoAs: strong signatures in one line, dying cells in another, neither in a third."""
    rng = np.random.default_rng(0)
    symbols = [*PROLIFERATION_GENES[:5], *STRESS_GENES[:5], *(f"X{row}" for row in range(31))]
    genes = pd.DataFrame({"entrez_id": symbols, "symbol": symbols, "is_landmark": True})
    graph = dataclasses.replace(knowledge_graph(40), genes=genes)
    moa = np.arange(60) % 3
    shift = np.zeros((3, 40))
    shift[0, 10:] = 2.0
    shift[1, :5], shift[1, 5:10] = -2.0, 2.0
    some = examples(
        np.eye(3)[moa],
        [f"G{row}" for row in range(60)],
        expression=shift[moa] + 0.3 * rng.normal(size=(60, 40)),
    )
    train, test = some.take(np.arange(45)), some.take(np.arange(45, 60))
    fitted = make_method(name).fit(train, train.take(np.array([], int)), graph, seed=0)
    right = fitted.predict(test).argmax(axis=1) == strata(test)
    # Strength separates only one of them; the cell line of `signature_table` separates all.
    assert right[strata(test) == (1 if name == "viability" else 0)].all()
    assert right.all() or name != "context_only"


def test_viability_without_its_genes_is_the_prevalence():
    some = planted_examples()
    fitted = make_method("viability").fit(some, some.take(np.array([], int)), GRAPH, seed=0)
    np.testing.assert_allclose(fitted.predict(some.take(np.arange(3))), np.full((3, 3), 1 / 3))
    assert isinstance(next(iter(make_method("viability").candidates.values())), Viability)


def test_shuffled_labels_teach_the_same_learner_other_labels():
    some = planted_examples()
    graph = knowledge_graph(5)
    found = ShuffledLabels().fit(some, graph, seed=4).predict(some)
    expected = LateFusion().fit(permute_labels(some, 4), graph, seed=4).predict(some)
    np.testing.assert_array_equal(found, expected)
    assert (strata(some) == strata(permute_labels(some, 4))).mean() < 0.6
