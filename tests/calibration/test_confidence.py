"""How much signatures resemble training: against cosines written out."""

import dataclasses

import numpy as np
import pytest

from moa_jax.calibration.confidence import similarity_to_training, similarity_within_training
from moa_jax.kernels.references import read_references
from moa_jax.training.runs.run_folder import open_run
from tests.synthetic import make_raw_examples

RAW = make_raw_examples(6, seed=3)


@pytest.fixture(scope="module")
def model(tiny_run):
    return open_run(tiny_run).predictor


def cosines(first, second):
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    return first @ second.T / lengths


@pytest.mark.parametrize("mask", [[True] * 5, [True, False, True, True, True]])
def test_the_nearest_training_signature_of_new_ones(model, mask):
    mask = np.array(mask)
    params = model.params["signature_kernel"]
    features = model.features
    lines = [features.cell_lines.index(line) for line in RAW.table["cell_line"]]
    standardised = (RAW.expression - features.mean) / features.scale
    ours = (standardised - np.asarray(params["offsets"])[lines]) * np.asarray(params["gene_scale"])
    theirs = np.asarray(params["references"])
    expected = cosines(ours[:, mask], theirs[:, mask]).max(axis=1)
    found = similarity_to_training(model, model.encode(dataclasses.replace(RAW, gene_mask=mask)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_training_signatures_are_compared_with_other_compounds(model, tiny_run):
    references = read_references(tiny_run)
    own = references[references["expert"] == "signature_kernel"]
    theirs = np.asarray(model.params["signature_kernel"]["references"])
    groups = own["group"].to_numpy()
    all_cosines = cosines(theirs, theirs)
    expected = [
        max(all_cosines[row, other] for other in range(len(own)) if groups[other] != groups[row])
        for row in range(len(own))
    ]
    found = similarity_within_training(model, references, np.ones(5, bool))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_model_without_signatures_knows_nothing(model, tiny_run):
    bare = dataclasses.replace(model.task.model, experts=("structure_kernel",))
    without = dataclasses.replace(model, task=dataclasses.replace(model.task, model=bare))
    assert np.isnan(similarity_to_training(without, model.encode(RAW))).all()
    references = read_references(tiny_run)
    assert not len(similarity_within_training(without, references, np.ones(5, bool)))
