import numpy as np
import pandas as pd
import pytest

from experiments.label_audit import audit
from moa_jax.benchmark.perturbations.training_perturbations import TrainingPerturbation
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.predictions.result_tables import prediction_table, write_csv
from moa_jax.schemas import InputError
from tests.small_sets import ALCOHOLS, dataset, knowledge_graph, planted_examples

pytestmark = pytest.mark.slow

MOAS = ("a", "b", "c")
LABELS = np.array([[1, 0, 0], [0, 1, 1]], np.float32)
PROBS = np.array([[0.1, 0.7, 0.2], [0.3, 0.5, 0.2]])


@pytest.fixture
def predictions(tmp_path):
    """Two seeds of one method and one of another, as a benchmark writes them."""
    tables = [
        prediction_table(probs, LABELS, ("G1", "G2"), MOAS).assign(method=method, seed=seed)
        for method, seed, probs in (
            ("cosine_knn", 0, PROBS),
            ("fusion", 0, PROBS / 2),
            ("fusion", 1, PROBS / 4),
        )
    ]
    path = tmp_path / "compound_predictions.csv"
    write_csv(path, pd.concat(tables))
    return path


def test_the_predictions_of_a_benchmark_are_averaged_over_seeds(predictions):
    found = audit.read_out_of_fold(predictions, "fusion")
    np.testing.assert_allclose(found.probs, PROBS * 0.375)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert (found.compounds, found.moas) == (("G1", "G2"), MOAS)


def test_names_that_were_kept_from_running_as_formulas_come_back(tmp_path):
    moas = ("=a", "-b", "c")
    table = prediction_table(PROBS, LABELS, ("@G1", "+G2"), moas).assign(method="knn", seed=0)
    write_csv(tmp_path / "predictions.csv", table)
    found = audit.read_out_of_fold(tmp_path / "predictions.csv", "knn")
    assert (found.compounds, found.moas) == (("+G2", "@G1"), moas)
    np.testing.assert_array_equal(found.labels, LABELS[::-1])


def test_a_file_that_cannot_be_used_is_refused(predictions):
    with pytest.raises(InputError, match="no method 'mlp'; it has cosine_knn, fusion"):
        audit.read_out_of_fold(predictions, "mlp")
    with pytest.raises(InputError, match="there is no file"):
        audit.read_out_of_fold(predictions.with_name("other.csv"), "fusion")
    table = pd.read_csv(predictions)
    write_csv(predictions, table.assign(b=1.5))
    with pytest.raises(InputError, match="a value for fusion that is not a probability"):
        audit.read_out_of_fold(predictions, "fusion")
    write_csv(predictions, table.drop(columns="seed"))
    with pytest.raises(InputError, match="no column 'seed'"):
        audit.read_out_of_fold(predictions, "fusion")


def test_the_command_reads_predictions(predictions, capsys):
    audit.main([f"--predictions={predictions}", "--method=cosine_knn", "--top=1"])
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.startswith("|    1 |")]
    doubted, missing = ([cell for cell in row if cell != "|"] for row in rows)
    assert doubted == ["1", "G1", "a", "a", "0.600", "True", "0.100", "b", "0.700"]
    assert missing == ["1", "G1", "a", "b", "True", "0.700"]
    with pytest.raises(SystemExit, match="2"):
        audit.main([f"--predictions={predictions}", "--method=mlp"])
    assert "has no method 'mlp'" in capsys.readouterr().err


def test_no_example_is_predicted_by_a_method_that_saw_its_compound(monkeypatch):
    examples = planted_examples()

    class Memory:
        """Answers 1 for what it was trained on."""

        def fit(self, train, validation, graph, *, seed):
            self.seen = {*train.groups, *validation.groups}
            return self

        def predict(self, tested):
            seen = [group in self.seen for group in tested.groups]
            return np.repeat(np.array(seen, float)[:, None], len(tested.moas), axis=1) + 0.25

    monkeypatch.setattr(audit, "make_method", lambda _: Memory())
    probs = audit.out_of_fold(examples, knowledge_graph(5), "memory", 0)
    np.testing.assert_array_equal(probs, 0.25)


def test_planted_labels_of_an_easy_set_are_found():
    examples, graph = planted_examples(num_compounds=40), knowledge_graph(5)
    clean, noisy = (
        list(audit.plant_and_audit(examples, graph, condition, "expression_logistic", 0))
        for condition in (
            TrainingPerturbation("clean"),
            TrainingPerturbation("uniform_labels", 0.1),
        )
    )
    assert [(row["kind"], row["score"]) for row in noisy] == [
        (kind, score)
        for kind in ("label doubted", "label missing")
        for score in ("normalised_margin", "self_confidence")
    ]
    for row in noisy:
        assert row["planted"] == 4
        assert row["chance"] == 4 / (40 if row["kind"] == "label doubted" else 80)
        assert row["average precision"] > 0.9
        assert row["recall@10"] == 1.0
    assert {row["planted"] for row in clean} == {0}
    ranking, counting = audit.report_planted(clean + noisy).split("\n\n")[1::2]
    assert (ranking.count("uniform_labels_0.1"), ranking.count("clean")) == (4, 0)
    assert (counting.count("uniform_labels_0.1"), counting.count("clean")) == (2, 2)


def test_the_command_lists_the_labels_of_a_folder(tmp_path, capsys):
    compounds = [
        (f"P{row:02d}", f"G{row:02d}", ALCOHOLS[row], ("a",) if row % 2 else ("b",))
        for row in range(12)
    ]
    made = dataset(compounds, [row[0] for row in compounds] * 2, manifest={"release": "tiny"})
    write_prepared(tmp_path / "tiny", made)
    command = [f"--data={tmp_path / 'tiny'}", "--method=expression_logistic", "--seeds", "0", "1"]
    audit.main(command)
    first = capsys.readouterr().out
    audit.main(command)
    assert capsys.readouterr().out == first
    assert first.startswith("tiny, expression_logistic, seeds [0, 1]; macro AUPRC ")
    assert "compound P" in first
    found, scores = audit.predict_out_of_fold(made, "expression_logistic", [1])
    assert len(scores) == 1
    examples = audit.build_examples(made)
    probs = audit.out_of_fold(examples, made.graph, "expression_logistic", 1)
    np.testing.assert_allclose(
        found.probs, pool_by_compound(probs, examples.labels, examples.groups)[0]
    )
