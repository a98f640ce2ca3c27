"""From the files of cells to out-of-fold predictions, by hand."""

import numpy as np
import pytest

from moa_jax.benchmark.cell_files import Answers, write_answers
from moa_jax.benchmark.collect import Line, collect
from moa_jax.benchmark.grid import cell_path
from moa_jax.benchmark.perturbations.input_perturbations import InputPerturbation as Perturbation
from moa_jax.benchmark.perturbations.training_perturbations import TrainingPerturbation
from moa_jax.benchmark.plan import CLEAN_TEST, CLEAN_TRAINING, Cell, SplitKey
from tests.benchmark.tiny_results import MOAS, HandMadeMaterial
from tests.small_sets import examples

# Four compounds; B has two signatures.
GROUPS = ("D", "B", "B", "A", "C")
LABELS = np.eye(3)[[0, 1, 1, 2, 1]]
EXAMPLES = examples(LABELS, GROUPS, moas=MOAS)
# Rows of training, validation and test. m2 is A's alone, which fold 0 has for validation.
ROWS = {0: ([0], [3], [4, 1, 2]), 1: ([4, 1, 2], [], [0, 3])}
NOISE = Perturbation("gaussian", 2.0)


def cell(fold, seed, tests=(CLEAN_TEST,), **changes):
    fields = {"training": CLEAN_TRAINING, "structure_only_compounds": False, "method": "cosine_knn"}
    key = SplitKey("compound", 0, fold)
    return Cell(split=key, seed=seed, tests=tests, **{**fields, **changes})


def write(workdir, some, rows, probs, validation=()):
    ids = EXAMPLES.table["sig_id"]
    _, validation_rows, _ = ROWS[some.split.fold]
    answers = Answers(
        test_ids=tuple(ids.iloc[rows]),
        probs={name: np.array(values, float) for name, values in probs.items()},
        validation_ids=tuple(ids.iloc[validation_rows]),
        validation_probs=np.array(validation, float).reshape(-1, 3),
        report={"settings": f"fold {some.split.fold}"},
        fit_s=1.5,
    )
    write_answers(cell_path(workdir, some), answers)


@pytest.fixture
def results(tmp_path):
    cells = []
    for seed in (1, 0):
        first, second = (cell(fold, seed, tests=(CLEAN_TEST, NOISE)) for fold in (0, 1))
        # In another order than the test part has. B's signatures say (1, 0, 0) and (0, 0.5, 0).
        clean = [[0, 0.5, 0], [1, 0, 0], [0, 0, 0.25 + seed / 4]]
        probs = {"clean": clean, "gaussian_2": np.zeros((3, 3))}
        write(tmp_path, first, [2, 1, 4], probs, validation=[[0, 0, 0.75]])
        probs = {"clean": [[0.5, 0, 0], [0, 0.25, 0]], "gaussian_2": np.zeros((2, 3))}
        write(tmp_path, second, [0, 3], probs)
        cells += [second, first]
    parts = [tuple(EXAMPLES.take(np.array(rows, int)) for rows in ROWS[fold]) for fold in (0, 1)]
    (found,) = collect(cells, HandMadeMaterial(parts, examples=EXAMPLES), tmp_path)
    return found


def test_compounds_and_labels(results):
    assert results.name == "compound_seed0"
    assert [key.fold for key in results.keys] == [0, 1]
    assert results.compounds == ("A", "B", "C", "D")
    assert results.labels.tolist() == np.eye(3)[[2, 1, 1, 0]].tolist()
    assert results.moas == MOAS


def test_what_a_fold_was_trained_on_includes_its_validation_compounds(results):
    """Methods train on both, so m2, which only A has, is not unseen in fold 0."""
    assert [trained.tolist() for trained in results.trained_moas] == [
        [True, False, True],
        [False, True, False],
    ]


def test_predictions_are_pooled_and_stand_in_the_order_of_the_compounds(results):
    assert list(results.lines) == [Line("cosine_knn"), Line("cosine_knn", test=NOISE)]
    assert list(results.lines[Line("cosine_knn")]) == [0, 1]
    first, second = results.probs(Line("cosine_knn"))
    pooled = [[0, 0.25, 0], [0.5, 0.25, 0], [0, 0, 0.25], [0.5, 0, 0]]
    np.testing.assert_allclose(first, pooled)
    pooled[2] = [0, 0, 0.5]
    np.testing.assert_allclose(second, pooled)
    noisy, _ = results.probs(Line("cosine_knn", test=NOISE))
    assert not noisy.any()


def test_a_fold_has_the_predictions_of_its_file(results):
    fold = results.lines[Line("cosine_knn")][0][0]
    assert fold.rows.tolist() == [2, 1, 4]
    assert fold.compounds.tolist() == [1, 2]
    assert fold.validation_probs.tolist() == [[0, 0, 0.75]]
    assert fold.validation_labels.tolist() == [[0, 0, 1]]
    assert fold.report == {"settings": "fold 0"}
    assert fold.fit_s == 1.5
    assert results.lines[Line("cosine_knn")][0][1].validation_probs.shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "stacked"),
        ({"structure_only_compounds": True}, "stacked (structure-only compounds)"),
        ({"training": TrainingPerturbation("uniform_labels", 0.2)}, "stacked (uniform_labels_0.2)"),
        (
            {"training": TrainingPerturbation("without_structure"), "test": NOISE},
            "stacked (without_structure, tested on gaussian_2)",
        ),
    ],
)
def test_the_name_of_a_line_lists_its_perturbations(changes, name):
    assert Line("stacked", **changes).name == name
