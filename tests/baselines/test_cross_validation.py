import dataclasses

import numpy as np
import pytest

from moa_jax.baselines.cross_validation import out_of_fold_probs
from moa_jax.data.splits import compound_folds
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
    folds = compound_folds(planted, num_folds=4, seed=6)
    np.testing.assert_array_equal(probs, np.tile(folds[:, None], (1, 4)))
    everything = set(planted.groups)
    for fold, (train, validation, seed) in enumerate(recorder.fits):
        test = {group for group, found in zip(planted.groups, folds, strict=True) if found == fold}
        assert seed == 9
        assert not train & validation
        assert train | validation == everything - test
        assert len(validation) == pytest.approx(0.25 * len(train | validation), abs=2)


def test_a_leak_stops_the_run():
    planted = planted_examples(num_compounds=40, num_moas=4)
    same = dataclasses.replace(planted, smiles=("c1ccccc1O",) * planted.num_examples)
    with pytest.raises(InputError, match="InChIKey block ISWSIDIOOBJBQZ crosses"):
        out_of_fold_probs(lambda fold: Recorder(), same, GRAPH)
