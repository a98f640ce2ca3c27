import dataclasses

import numpy as np
import pytest

from moa_jax.baselines import cross_validation
from moa_jax.baselines.cross_validation import out_of_fold_probs
from moa_jax.data.split_rules import make_split
from moa_jax.schemas import InputError
from tests.small_sets import knowledge_graph, planted_examples

GRAPH = knowledge_graph(5)


@dataclasses.dataclass
class Recorder:
    """Answers with the number of its fold and remembers what it was given."""

    name: str = "recorder"
    fits: list = dataclasses.field(default_factory=list)

    def fit(self, train, validation, graph, *, seed):
        assert graph is GRAPH
        self.fits.append((set(train.groups), set(validation.groups), seed))
        return self

    def predict(self, examples):
        return np.full(examples.labels.shape, float(len(self.fits) - 1))


def test_each_example_is_answered_by_the_model_that_never_saw_it():
    planted = planted_examples(num_compounds=40, num_moas=4)
    recorder = Recorder()
    probs = out_of_fold_probs(
        lambda fold: recorder,
        planted,
        GRAPH,
        num_folds=4,
        seed=6,
        method_seed=9,
        validation_fraction=0.25,
    )
    splits = [make_split("compound", planted, fold=fold, num_folds=4, seed=6) for fold in range(4)]
    folds = np.array(
        [
            [split.parts[pert_id] for split in splits].index("test")
            for pert_id in planted.table["pert_id"]
        ]
    )
    np.testing.assert_array_equal(probs, np.tile(folds[:, None], (1, 4)))
    everything = set(planted.groups)
    for fold, (train, validation, seed) in enumerate(recorder.fits):
        test = {group for group, found in zip(planted.groups, folds, strict=True) if found == fold}
        assert seed == 9
        assert not train & validation
        assert train | validation == everything - test
        assert len(validation) == pytest.approx(0.25 * len(train | validation), abs=2)


def test_a_leak_stops_the_run(monkeypatch):
    planted = planted_examples(num_compounds=40, num_moas=4)
    same = dataclasses.replace(planted, smiles=("c1ccccc1O",) * planted.num_examples)
    divided = make_split("compound", planted, fold=0)
    monkeypatch.setattr(cross_validation, "make_split", lambda *_, **__: divided)
    with pytest.raises(InputError, match="InChIKey block ISWSIDIOOBJBQZ crosses"):
        out_of_fold_probs(lambda fold: Recorder(), same, GRAPH)
