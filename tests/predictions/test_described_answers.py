"""Mechanisms that a user describes, answered by a model that was solved once, without training."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import kernels
from moa_jax import predict
from moa_jax.calibration.described_mechanisms import fit_by_view, read_unseen, write_unseen
from moa_jax.data.splits.rules import make_split
from moa_jax.data.user_input.described_mechanisms import DescribedMechanisms
from moa_jax.files import read_json
from moa_jax.models.experts import VIEWS
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.predictions.answered_examples import answer_examples
from moa_jax.predictions.described_answers import BY_TARGETS, NO_LIGAND, described_answers
from moa_jax.predictions.result_tables import read_csv
from moa_jax.schemas import Examples, concatenate
from moa_jax.training.fusion_fit import fit_fusion
from moa_jax.training.runs.run_folder import open_run, start_run
from moa_jax.training.unseen_mechanisms import NUM_FOLDS
from tests.small_sets import ALCOHOLS
from tests.synthetic import NUM_MOAS, make_dataset, make_raw_examples

pytestmark = pytest.mark.slow

# Gene k of the graph is the target of the compounds with mechanism k.
TARGETS = tuple(f"GENE{100 + moa}" for moa in range(NUM_MOAS))


def with_targets(examples, first_structure):
    moas = examples.labels.argmax(axis=1)
    names = sorted(set(examples.groups))
    return dataclasses.replace(
        examples,
        targets=tuple((TARGETS[moa],) for moa in moas),
        actions=(("inhibits",),) * examples.num_examples,
        smiles=tuple(ALCOHOLS[first_structure + names.index(group)] for group in examples.groups),
    )


def measured():
    return with_targets(make_raw_examples(), 0)


def structures_alone():
    """Two compounds of each mechanism, without a signature."""
    raw = measured()
    rows = np.arange(0, 12, 2)
    groups = tuple(f"ALONE{row}" for row in rows)
    examples = Examples.of_structures(
        [None] * len(rows),
        raw.table.iloc[rows].reset_index(drop=True),
        groups=groups,
        moas=raw.moas,
        gene_mask=raw.gene_mask,
        labels=raw.labels[rows],
    )
    return with_targets(examples, 20)


def config():
    own = kernels.get_config()
    own.num_devices = 1
    own.training.batch_size = 8
    return own


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("described") / "run"
    examples = measured()
    dataset = make_dataset(examples)
    split = make_split("compound", examples, fold=0, num_folds=2, validation_fraction=0.25)
    start_run(place, config(), split, dataset)
    everything = concatenate(examples, structures_alone())
    fit = fit_fusion(config(), everything, examples.take(np.arange(0)), dataset.graph, place)
    write_unseen(place, fit.proteins.unseen)
    return place


@pytest.fixture(scope="module")
def run(folder):
    return open_run(folder)


def described(*genes, actions=None):
    return DescribedMechanisms(
        names=tuple(f"m{place}" for place in range(len(genes))),
        genes=genes,
        actions=actions or ("inhibits",) * len(genes),
        read_from=("table",) * len(genes),
        unknown=(),
    )


def test_left_out_mechanisms_are_scored_in_every_view(folder):
    scores = read_unseen(folder).scores
    assert set(scores["view"]) == set(VIEWS)
    assert set(scores["protocol"]) == {"plain", "strict"}
    assert set(scores["mechanism"]) == set(measured().moas)
    # Each mechanism has four compounds, and is left out once in each view and protocol.
    right = scores[scores["is_right"]].groupby(["view", "protocol", "mechanism"]).size()
    assert (right == 4).all()
    assert len(right) == len(VIEWS) * 2 * NUM_MOAS
    assert NUM_FOLDS == 2
    # Weights of those without the mechanism add up to all other measured compounds.
    total = scores[~scores["is_right"]].groupby(["view", "protocol", "mechanism"])["weight"].sum()
    np.testing.assert_allclose(total, 12 - 4, atol=1e-5)


def test_a_mechanism_is_scored_by_what_compounds_do_to_its_targets(folder, run):
    answered = answer_examples(folder, run.predictor, measured())
    table = described_answers(folder, run, answered, described((TARGETS[0],), (TARGETS[1],)))
    assert list(table.columns) == ["pert_id", "mechanism", "score", "probability", "basis"]
    assert table["pert_id"].is_monotonic_increasing
    assert len(table) == 2 * 12
    assert set(table["basis"]) == {BY_TARGETS}
    scores = table.pivot(index="pert_id", columns="mechanism", values="score")
    moa_of = dict(zip(measured().groups, measured().labels.argmax(axis=1), strict=True))
    moas = np.array([moa_of[group] for group in scores.index])
    assert scores["m0"][moas == 0].min() > scores["m0"][moas != 0].max()
    assert scores["m1"][moas == 1].min() > scores["m1"][moas != 1].max()


def test_scores_are_standardised_and_calibrated_by_the_run(folder, run):
    answered = answer_examples(folder, run.predictor, measured())
    table = described_answers(folder, run, answered, described((TARGETS[2],)))
    logits = run.predictor.predict_proteins(measured())["fusion"][:, 0, 2]
    pooled = logits.reshape(-1, 2).mean(axis=1)
    unseen = read_unseen(folder)
    carry = np.asarray(jax.device_get(run.predictor.params[PROTEINS]["carry"]))
    others = unseen.evidence["fusion"][:, : len(carry)] @ carry[:, 2]
    expected = (pooled - others.mean()) / others.std()
    np.testing.assert_allclose(table["score"], expected, rtol=1e-3, atol=1e-3)
    calibration = fit_by_view(unseen.scores)["fusion", "plain"]
    np.testing.assert_allclose(table["probability"], calibration(table["score"].to_numpy()))


def test_targets_without_a_ligand_are_said_and_structures_are_enough(folder, run):
    alone = structures_alone()
    answered = answer_examples(folder, run.predictor, alone)
    unmeasured = run.graph.genes["symbol"].iloc[-1]
    table = described_answers(folder, run, answered, described((unmeasured,), (TARGETS[0],)))
    basis = dict(zip(table["mechanism"], table["basis"], strict=True))
    assert basis == {"m0": NO_LIGAND, "m1": BY_TARGETS}
    assert len(table) == 2 * alone.num_examples
    # Each structure counts once, whatever its weight among signatures.
    scores = table[table["mechanism"] == "m1"].set_index("pert_id")["score"]
    logits = run.predictor.predict_proteins(alone)["structure"][:, 0, 0]
    carry = np.asarray(jax.device_get(run.predictor.params[PROTEINS]["carry"]))
    others = read_unseen(folder).evidence["structure"][:, : len(carry)] @ carry[:, 0]
    expected = (logits - others.mean()) / others.std()
    np.testing.assert_allclose(scores[list(alone.groups)], expected, rtol=1e-3, atol=1e-3)


def test_the_opposite_action_scores_less(folder, run):
    answered = answer_examples(folder, run.predictor, measured())
    both = described((TARGETS[0],), (TARGETS[0],), actions=("inhibits", ""))
    table = described_answers(folder, run, answered, both)
    scores = table.pivot(index="pert_id", columns="mechanism", values="score")
    # Nothing activates these targets, so half of the pairs is the same, standardised.
    np.testing.assert_allclose(scores["m0"], scores["m1"], rtol=1e-3, atol=1e-3)


def test_predict_writes_them_and_says_what_was_read(folder, tmp_path, capsys):
    compounds, mechanisms = tmp_path / "compounds.csv", tmp_path / "mechanisms.csv"
    compounds.write_text("pert_id,smiles\nfirst,CCCCCCCO\nsecond,CCCCCCCCCO\n", encoding="utf-8")
    mechanisms.write_text(
        f"name,genes\n{TARGETS[1]} inhibitor,\nfrom a table,{TARGETS[0]}|NOSUCH\n", encoding="utf-8"
    )
    out = tmp_path / "out"
    options = {"workdir": folder, "compoundinfo": compounds, "mechanisms": mechanisms, "out": out}
    assert predict.run([f"--{name}={value}" for name, value in options.items()]) == 0
    table = read_csv(out / predict.DESCRIBED_FILE, ["pert_id"])
    assert set(table["pert_id"]) == {"first", "second"}
    assert set(table["mechanism"]) == {f"{TARGETS[1]} inhibitor", "from a table"}
    printed = capsys.readouterr().out
    assert f"{TARGETS[1]} inhibitor: inhibits {TARGETS[1]} (read from the name)" in printed
    assert f"left out: line 3 of {mechanisms}: NOSUCH is no gene of this model's graph" in printed
    manifest = read_json(out / predict.MANIFEST_FILE)
    assert manifest["described"]["mechanisms"]["from a table"]["genes"] == [TARGETS[0]]
