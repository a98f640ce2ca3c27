"""How a fusion model is made, and what it answers for compounds that it has not learned from."""

import numpy as np
import pytest

from moa_jax.models.fusion import VIEWS
from moa_jax.training.recipe import answer_unseen, fit_fusion
from tests.synthetic import make_knowledge_graph, make_raw_examples, tiny_config

GRAPH = make_knowledge_graph()


@pytest.mark.parametrize("experts", [("signature_kernel", "structure_kernel"), ("molecule",)])
def test_unseen_compounds_are_answered_as_validation_is(tmp_path, experts):
    config = tiny_config(model={"experts": experts})
    train, unseen = make_raw_examples(), make_raw_examples(12, seed=1)
    fit = fit_fusion(config, train, unseen, GRAPH, tmp_path / "run")
    scales = fit.choices["expert_scales"]
    probs = answer_unseen(config, train, unseen, GRAPH, tmp_path / "other", scales=scales)
    for view in VIEWS:
        np.testing.assert_array_equal(probs[view], fit.validation_probs[view])
    # The model that learned from them in the end says something else.
    assert np.abs(fit.predictor.predict(unseen)["fusion"] - probs["fusion"]).max() > 1e-3
    # Scales are taken as they are.
    doubled = {view: {name: 2 * scale for name, scale in scales[view].items()} for view in VIEWS}
    sharper = answer_unseen(config, train, unseen, GRAPH, tmp_path / "again", scales=doubled)
    squares = probs["fusion"] ** 2
    np.testing.assert_allclose(
        sharper["fusion"], squares / squares.sum(axis=1, keepdims=True), rtol=1e-4
    )
