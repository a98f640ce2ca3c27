"""Tables of predicted targets from folds made by hand, and one fold of the tiny release."""

import dataclasses

import numpy as np
import pytest

from configs import kernels
from experiments.targets import tables
from experiments.targets.folds import (
    BY_GRAPH,
    CONTROL,
    IDENTITY,
    NO_FAMILIES,
    TRUE,
    FoldTargets,
    answer_fold,
    kernels_of,
    read_fold,
    write_fold,
)
from experiments.targets.run import run
from experiments.targets.tables import Arm
from moa_jax.data.splits.partition import examples_of
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.models.experts import VIEWS


def hand_made(groups=("A", "B"), *, better=False):
    """A's only target has one ligand and comes second, or first; B's has twelve, comes first."""
    good = np.array([[0.2, 0.9, 0.1], [0.9, 0.2, 0.1]])
    scores = np.array([[0.2, 0.7, 0.8], [0.9, 0.2, 0.1]])
    return FoldTargets(
        groups=tuple(groups),
        symbols=("P", "Q", "R"),
        num_ligands=np.array([12, 1, 0]),
        has_ligands=np.array([True, True, False]),
        is_target=np.array([[0, 1, 0], [1, 0, 0]], bool),
        scores={
            f"{graph}/{view}": good if graph == TRUE and better else scores
            for graph in (TRUE, CONTROL)
            for view in (*VIEWS, BY_GRAPH)
        },
        probs=dict.fromkeys(VIEWS, scores),
        by_graph=np.array([[0.001], [0.02]]),
        is_new_target=np.array([[False], [True]]),
    )


def test_graphs_are_compared_on_the_same_compounds():
    arm = Arm("without ligands", {"one": hand_made(better=True), "two": hand_made(better=True)})
    true, control = tables._graph_rows([arm], "fusion")
    # A counts once, with the mean of its two divisions.
    assert true["all"].startswith("1.000 [")
    assert control["all"].startswith("0.750 [")
    assert control["rare"] == "0.500 [0.500, 0.500]"
    assert control["true minus this, rare"] == "0.500 [0.500, 0.500]"
    assert true["true minus this, all"] is None


def test_views_have_strata_and_a_baseline():
    rows = tables._view_rows([Arm("without ligands", {"one": hand_made()})])
    assert [row["view"] for row in rows] == [*VIEWS, "frequency"]
    assert rows[0]["1-2 (1)"] == "0.500 [0.500, 0.500]"
    assert rows[0]["10+ (1)"] == "1.000 [1.000, 1.000]"
    assert rows[0]["0 (0)"] == "n/a"
    # By frequency P comes first for both.
    assert rows[3]["1-2 (1)"] == "0.500 [0.500, 0.500]"


def test_ligands_are_compared_on_common_folds():
    first = Arm("without ligands", {"one": hand_made(), "two": hand_made(("C", "D"))})
    second = Arm("with ligands", {"one": hand_made(better=True)})
    (row,) = tables._ligand_rows(first, second)
    assert row["folds"] == 1
    assert row["fusion, rare"] == "0.500 [0.500, 0.500]"


def test_probabilities_in_bins_with_and_without_ligands():
    rows = tables._reliability_rows(Arm("without ligands", {"one": hand_made()}))
    without = [row for row in rows if row["proteins"] == "by the graph alone"]
    assert [(row["stated"], row["observed"]) for row in without] == [("0.001", "0"), ("0.02", "1")]
    assert sum(row["pairs"] for row in rows) == 4 + 2


def test_a_fold_survives_its_file(tmp_path):
    fold = hand_made()
    write_fold(tmp_path / "fold.npz", fold)
    back = read_fold(tmp_path / "fold.npz")
    for field in dataclasses.fields(fold):
        own, other = getattr(fold, field.name), getattr(back, field.name)
        if isinstance(own, np.ndarray):
            np.testing.assert_allclose(own, other, rtol=1e-6)
    for own, other in ((fold.scores, back.scores), (fold.probs, back.probs)):
        assert own.keys() == other.keys()
        for name in own:
            np.testing.assert_allclose(own[name], other[name], rtol=1e-6)
    assert back.groups == fold.groups
    assert back.symbols == fold.symbols


@pytest.mark.slow
def test_one_fold_of_the_tiny_release(prepared_release, tmp_path, capsys):
    argv = [
        "--config=configs/kernels.py",
        f"--config.data={prepared_release}",
        f"--workdir={tmp_path}",
        *("--seeds=0", "--folds=0", "--ligands=without"),
    ]
    assert run(argv) == 0
    first = (tmp_path / "tables.md").read_text()
    assert "### Graphs, both modalities" in first
    config = kernels.get_config()
    config.update({"data": str(prepared_release), "num_devices": 1})
    dataset = read_prepared(prepared_release)
    again = answer_fold(
        config,
        dataset,
        examples_of(config, dataset),
        kernels_of(config.proteins, dataset.graph, seed=0),
    )
    fold = read_fold(tmp_path / "without" / "split0_fold0.npz")
    assert {name.partition("/")[0] for name in fold.scores} == {
        TRUE,
        IDENTITY,
        CONTROL,
        NO_FAMILIES,
    }
    for name, own in again.scores.items():
        np.testing.assert_allclose(fold.scores[name], own, rtol=1e-4, atol=1e-7)
    # Without a graph, a protein without training ligands has no evidence, so all score the same.
    alone = fold.scores[f"{IDENTITY}/fusion"][:, ~fold.has_ligands]
    np.testing.assert_allclose(alone, alone[:, :1] @ np.ones((1, alone.shape[1])), rtol=1e-5)
    # Of a protein without ligands that is its score; without a graph all proteins are alike.
    for graph in (TRUE, CONTROL):
        both, by_graph = (fold.scores[f"{graph}/{view}"] for view in ("fusion", BY_GRAPH))
        new = ~fold.has_ligands
        np.testing.assert_array_equal(by_graph[:, new], both[:, new])
        assert not np.allclose(by_graph[:, fold.has_ligands], both[:, fold.has_ligands])
    by_graph = fold.scores[f"{IDENTITY}/{BY_GRAPH}"]
    np.testing.assert_allclose(by_graph, by_graph[:, :1] @ np.ones_like(by_graph[:1]), rtol=1e-4)
    # Finished folds are not fitted again.
    capsys.readouterr()
    assert run(argv) == 0
    assert "ligands, split" not in capsys.readouterr().err
    assert (tmp_path / "tables.md").read_text() == first


def test_other_values_are_refused(tmp_path, capsys):
    argv = ["--config=configs/kernels.py", f"--workdir={tmp_path}"]
    assert run([*argv, "--ligands=some"]) == 2
    assert "expected without, with or both" in capsys.readouterr().err
