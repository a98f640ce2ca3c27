import numpy as np
import pytest

from moa_jax.benchmark.cell_files import Answers, perturbations_in, read_answers, write_answers
from moa_jax.schemas import InputError


def some_answers():
    rng = np.random.default_rng(0)
    # Single precision is what is kept.
    draw = lambda count: rng.random((count, 3)).astype(np.float32).astype(np.float64)  # noqa: E731 (three uses)
    return Answers(
        test_ids=("a", "b"),
        probs={"clean": draw(2), "peak_swap_0.1": draw(2)},
        validation_ids=("c",),
        validation_probs=draw(1),
        report={"settings": "C=1", "validation_macro_auprc": {"C=1": float("nan")}},
        fit_s=1.5,
    )


def test_answers_survive_the_round_trip(tmp_path):
    path = tmp_path / "deep" / "cell.npz"
    answers = some_answers()
    write_answers(path, answers)
    found = read_answers(path)
    assert found.test_ids == answers.test_ids
    assert found.validation_ids == answers.validation_ids
    assert found.fit_s == 1.5
    assert found.report["settings"] == "C=1"
    for name, probs in answers.probs.items():
        np.testing.assert_array_equal(found.probs[name], probs)
    np.testing.assert_array_equal(found.validation_probs, answers.validation_probs)
    assert perturbations_in(path) == {"clean", "peak_swap_0.1"}


def test_equal_answers_give_equal_bytes(tmp_path):
    for name in ("first.npz", "second.npz"):
        write_answers(tmp_path / name, some_answers())
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


def test_a_cell_that_was_not_run_answers_nothing(tmp_path):
    assert perturbations_in(tmp_path / "none.npz") == frozenset()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"text"])
def test_another_file_is_named(tmp_path, content):
    path = tmp_path / "cell.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cell\.npz is not the file of a benchmark cell"):
        read_answers(path)


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "cell.npz"
    with path.open("wb") as file:
        np.savez(file, about=np.array([{"report": {}}], dtype=object))
    with pytest.raises(InputError, match="is not the file of a benchmark cell"):
        read_answers(path)
