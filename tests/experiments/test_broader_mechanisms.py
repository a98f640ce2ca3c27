"""Tables of broader mechanisms over compounds made by hand."""

import numpy as np
import pytest

from experiments.main_result import broader_mechanisms, open_vocabulary
from experiments.main_result.broader_mechanisms import (
    class_rows,
    joined_classes,
    stated_classes,
    stated_rows,
)
from moa_jax.calibration.broader_classes import fit_broader_classes
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.knowledge.mechanism_hierarchy import MechanismClasses
from tests.experiments.test_open_vocabulary import compounds
from tests.synthetic import make_dataset, make_raw_examples

pytestmark = pytest.mark.slow

MOAS = ("A receptor agonist", "A receptor antagonist", "B inhibitor")
LIGANDS = MechanismClasses(("A receptor ligand",), np.array([[True, True, False]]))


@pytest.fixture
def found():
    """A right first mechanism, a wrong one of the right class, a wrong class, a sure one."""
    vague = [0.5, 0.4, 0.1]
    answers = compounds(
        [vague, vague, [0.45, 0.44, 0.11], [0.9, 0.1, 0.0], [0.2, 0.3, 0.5]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]],
        moas=MOAS,
    )
    # Out of fold nine of ten such compounds have one of the two.
    labels = np.eye(3)[np.where(np.arange(100) % 10 == 0, 2, 1)]
    return stated_classes(answers, fit_broader_classes(np.tile(vague, (100, 1)), labels, LIGANDS))


def test_a_class_is_right_if_the_compound_has_one_of_its_mechanisms(found):
    assert found.names == ("A receptor ligand",) * 3 + (None, None)
    assert found.is_right.tolist() == [True, True, False, False, False]
    assert found.first_is_right.tolist() == [True, False, False, True, True]
    assert found.is_unsure.tolist() == [True, True, True, False, True]
    np.testing.assert_allclose(found.probability[:2], 0.9, atol=0.005)


def test_rows_count_unsure_compounds_those_with_a_class_and_right_ones(found):
    unsure, silent = stated_rows(joined_classes([found, found]))
    assert (unsure["number"], unsure["class stated"]) == (8, 6)
    # Both divisions of a compound count as one.
    assert unsure["class right"].startswith("0.667 [")
    assert unsure["first mechanism right"].startswith("0.333 [")
    # The third has a confidence below .5.
    assert (silent["number"], silent["class stated"]) == (2, 2)
    assert silent["class right"].startswith("0.000 [")
    (row,) = class_rows(found)
    assert row["mean stated"] == pytest.approx(np.nanmean(found.probability))
    assert {**row, "mean stated": None} == {
        "class": "A receptor ligand",
        "stated": 3,
        "mean stated": None,
        "right": 2,
        "first mechanism right": 1,
    }


def test_the_command_reads_the_folds_and_writes_its_tables(tiny_run, tmp_path, monkeypatch, capsys):
    write_prepared(tmp_path / "data", make_dataset(make_raw_examples()))
    monkeypatch.setattr(open_vocabulary, "trained_run", lambda *given, **named: tiny_run)
    options = [f"--data={tmp_path / 'data'}", f"--out={tmp_path}", "--folds=2"]
    broader_mechanisms.main(options)
    text = (tmp_path / "broader_mechanisms.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "### Broader mechanisms" in text
    with pytest.raises(SystemExit, match="2"):
        broader_mechanisms.main([f"--data={tmp_path / 'none'}", f"--out={tmp_path}"])
