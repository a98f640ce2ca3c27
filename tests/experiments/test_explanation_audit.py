import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from experiments.case_studies.page import expected_rows
from experiments.case_studies.run import HERE, MOAS
from experiments.explanation_audit import faithful
from experiments.explanation_audit.faithful import cascade, integrated
from experiments.explanation_audit.flat import flat_maps_of_folds, flat_rows, strength_of
from experiments.explanation_audit.folds import (
    ScoredSignatures,
    compound_means,
    first_rows,
)
from experiments.explanation_audit.real import MOA_SETS, proximity_summary
from experiments.explanation_audit.retrained import summary
from experiments.explanation_audit.simulated import Recovered, recovery_rows
from experiments.explanation_audit.stable import agreement_row, pairs_within
from moa_jax.compounds.substructures import SUBSTRUCTURE_FAMILIES
from moa_jax.data.examples.pooling import signature_strength
from moa_jax.explanation.audit.deletion import Curves
from moa_jax.explanation.audit.flat_maps import evenness
from moa_jax.explanation.audit.stability import Agreement, agreement_of_pairs
from tests.experiments.network_models import network_predictor
from tests.explanation.attribution.linear_models import linear_predictor
from tests.synthetic import batch_of, make_graph, make_knowledge_graph, make_raw_examples

pytestmark = pytest.mark.slow

GROUPS = ("b", "a", "b", "b", "a")
LINES = ("MCF7", "A549", "A549", "MCF7", "A549")


def test_means_and_first_rows_are_in_the_order_of_the_compounds():
    values = np.array([[1.0, 0.0], [4.0, 1.0], [2.0, 0.0], [6.0, 3.0], [0.0, 1.0]])
    np.testing.assert_allclose(compound_means(values, GROUPS), [[2.0, 1.0], [3.0, 1.0]])
    np.testing.assert_array_equal(first_rows(GROUPS), [1, 0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("replicates in a cell line", {(1, 4), (0, 3)}), ("cell lines", {(0, 2)})],
)
def test_pairs_are_of_one_cell_line_or_of_two(kind, expected):
    examples = types.SimpleNamespace(groups=GROUPS, table=pd.DataFrame({"cell_line": LINES}))
    pairs, groups = pairs_within(types.SimpleNamespace(examples=examples), kind)
    assert set(pairs) == expected
    assert all(
        GROUPS[one] == GROUPS[two] == group for (one, two), group in zip(pairs, groups, strict=True)
    )


def test_agreement_is_averaged_over_compounds_not_pairs():
    agreement = Agreement(np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.5, 0.5]))
    row = agreement_row("lines", "explanation", agreement, ["a", "b", "b"])
    assert row["top-50 Jaccard"].startswith("0.50 ")
    assert (row["pairs"], row["compounds"]) == (3, 2)


def test_proximity_is_tested_against_random_genes_and_against_z():
    count = 12
    names = [f"compound {number}" for number in range(count)]
    own = {"compound": names, "num_targets": 1, "expected": 2.0, "q_value": 0.04}
    steps = np.linspace(0.1, 0.5, count)
    table = pd.concat(
        [
            pd.DataFrame({**own, "ranking": name, "distance": 2.0 - gain, "p_value": 0.01})
            for name, gain in (("genes by integrated gradients", steps), ("genes by |z|", -steps))
        ]
    )
    explanation, control = proximity_summary(table)
    # All signs agree: one of 2^12 orders of signs.
    assert explanation["nearer than random, p"] == f"{0.5**count:.1e}"
    assert explanation["nearer than by z, p"] == f"{0.5**count:.1e}"
    assert explanation["nearer than by z, steps"] == pytest.approx(2 * steps.mean())
    assert control["nearer than random, p"] == "1.0e+00"


def test_recovery_is_averaged_over_the_compounds_of_all_folds():
    def fold(aurocs):
        table = pd.DataFrame(
            {"num_planted": 2, "auroc": aurocs, "auprc": 0.5, "hit@1": 1.0, "hit@10": 1.0}
        )
        return [
            Recovered("targets", table.assign(**{"hit@50": 1.0, "ranking": "z", "right": True}))
        ]

    (row,) = recovery_rows([fold([1.0, 0.5]), fold([0.9])])
    assert row["AUROC"].startswith("0.800 [")
    assert row["compounds"] == 3


def test_expected_genes_count_as_used_only_when_they_move_so_and_speak_for_the_mechanism():
    genes = pd.DataFrame(
        {
            "feature": ["HSPA1A", "DNAJB1", "TP53"],
            "mean": [0.5, -0.2, 0.1],
            "mean_z": [3.0, 2.0, -1.0],
        }
    )
    expected = pd.DataFrame(
        {
            "moa": "HSP inhibitor",
            "symbol": ["HSPA1A", "DNAJB1", "TP53", "HSPB90"],
            "direction": ["up", "up", "up", "up"],
            "because": "",
            "source": "",
        }
    )
    case = types.SimpleNamespace(moa="HSP inhibitor", genes=genes)
    rows = expected_rows(case, expected)
    assert [row.get("used", "unmeasured") for row in rows] == ["yes", "no", "no", "unmeasured"]
    assert [row.get("moved so") for row in rows] == ["yes", "yes", "no", None]


def test_written_tables_name_each_gene_and_set_once():
    expected = pd.read_csv(HERE / "expected_genes.tsv", sep="\t", dtype=str)
    assert set(expected["moa"]) <= set(MOAS)
    assert not expected.duplicated(["moa", "symbol"]).any()
    assert set(expected["direction"]) == {"up", "down"}
    assert expected["source"].str.contains(r"\d{4}").all()
    assert set(pd.read_csv(HERE / "readings.tsv", sep="\t")["moa"]) == set(MOAS)
    assert not pd.read_csv(MOA_SETS, sep="\t").duplicated(["moa", "set_id"]).any()


def test_retrained_scores_are_compared_with_random_genes_fold_by_fold():
    rows = [
        {"replaced": "a", "fraction": 0.5, "fold": fold, "ranking": ranking, "score": score}
        for fold, (random, ours) in enumerate([(0.5, 0.3), (0.4, 0.3)])
        for ranking, score in (("random", random), ("ours", ours))
    ]
    (row,) = summary(pd.DataFrame(rows))
    assert (row["replaced"], row["random"], row["ours"]) == ("50% of a", 0.45, 0.3)
    # Mean of .2 and .1; Student's quantile for two is 12.706, the standard error .05.
    assert row["random - ours"] == "+0.150 [-0.485, +0.785]"


def test_flat_maps_compare_the_weakest_and_the_strongest_quarter():
    examples = make_raw_examples(16)
    no_structure = np.zeros((sum(SUBSTRUCTURE_FAMILIES.values()), 3), np.float32)
    predictor = linear_predictor(structure=no_structure)
    rng = np.random.default_rng(0)
    # Replicates 0 and 1 of every compound, in turn without and with an effect of one gene.
    expression = rng.normal(size=(16, 5)).astype(np.float32) * 0.1
    expression[1::2, 0] += 50.0
    tas = np.tile([0.05, 0.8], 8) + 0.001 * np.arange(16)
    examples = dataclasses.replace(
        examples, expression=expression, table=examples.table.assign(tas=tas)
    )
    scored = ScoredSignatures(predictor, make_knowledge_graph(), examples, np.zeros(16, int))
    values = integrated(scored).values
    found = flat_maps_of_folds([scored], [values], seed=0)
    own = evenness(values[:, 0])
    assert found.weak == pytest.approx(own[[0, 2, 4, 6]].mean())
    assert found.strong == pytest.approx(own[[9, 11, 13, 15]].mean())
    assert found.weak > found.strong + 0.3
    (row,) = flat_rows(found)
    assert row["flat"] == "yes"
    assert row["weakest quarter"] == round(found.weak, 3)
    assert strength_of(examples).tolist() == tas.tolist()
    unknown = dataclasses.replace(examples, table=examples.table.assign(tas=np.nan))
    np.testing.assert_array_equal(strength_of(unknown), signature_strength(unknown))


def test_what_the_experts_add_sums_to_the_logits():
    predictor = network_predictor()
    given = predictor.params, jax.tree.map(jnp.asarray, batch_of()), predictor.graph
    experts = predictor.task.model.experts
    scored = ScoredSignatures(predictor, None, None, None)
    targets = [dataclasses.replace(scored, expert=name).attribution_target for name in experts]
    targets.append(scored.attribution_target)
    *parts, whole = jax.jit(lambda *given: [target.logits(*given) for target in targets])(*given)
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-4, atol=1e-4)
    assert np.abs(parts[experts.index("protein_network")]).max() > 0.1


def test_a_rewired_graph_changes_nothing_in_a_model_that_reads_none(monkeypatch):
    few = functools.partial(agreement_of_pairs, k=2)
    monkeypatch.setattr(faithful, "agreement_of_pairs", few)
    no_structure = np.zeros((sum(SUBSTRUCTURE_FAMILIES.values()), 3), np.float32)
    predictor = linear_predictor(structure=no_structure)
    examples = make_raw_examples(8)
    scored = ScoredSignatures(predictor, make_knowledge_graph(), examples, np.zeros(8, int))
    some = scored.of_compounds(3, seed=0)
    assert len(set(some.examples.groups)) == 3
    counts = [examples.groups.count(group) for group in some.examples.groups]
    assert counts == [some.examples.groups.count(group) for group in some.examples.groups]
    centred = dataclasses.replace(some, centred=True)
    np.testing.assert_allclose(centred.directions.sum(axis=-1), 0.0, atol=1e-6)
    np.testing.assert_allclose(some.directions - centred.directions, 1 / 3, rtol=1e-6)
    first, *others = cascade(some, integrated(some).values, 0, rewired=make_graph(seed=1))
    assert first["randomised up to"].startswith("no weights")
    assert first["Spearman, signed"] == pytest.approx(1.0)
    assert len(others) == len(predictor.params)


def test_deletion_curves_are_counted_by_compound():
    def curves(deletion):
        points = np.array(deletion)[:, None, None] * np.ones(2)
        return Curves((0.0, 1.0), points, points)

    # Signatures of the compounds a, a and b; one compound's loss outweighs the other's gain.
    random = curves([1.0, 3.0, 2.0])
    fold = {"zero": {faithful.INTEGRATED: curves([0.0, 2.0, 9.0]), "random": random}}
    fold["zero"] |= {"absolute_z": random, "degree": curves([9.0, 9.0, 9.5])}
    (row,) = faithful.wins([fold], ["a", "a", "b"])
    assert (row["better than random"], row["better than degree"]) == ("1 of 2", "2 of 2")
    assert row["median gain over random"] == pytest.approx(-3.0)
    assert row["median gain over degree"] == pytest.approx((8.0 + 0.5) / 2)
