"""Pretraining as a run has it: what it sees, what it changes, and what is refused."""

import dataclasses

import jax
import ml_collections
import numpy as np
import pandas as pd
import pytest

from configs import pretraining
from experiments.pretraining.augmentation import is_reliable, well_predicted
from experiments.pretraining.signature_prediction import predict_signatures
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.features import fit_features
from moa_jax.data.splits.unlabelled import (
    LABELLED_SOURCES,
    structure_only_examples,
    unlabelled_examples,
    unlabelled_part,
)
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.schemas import Compounds, InputError, Signatures, Split, concatenate
from moa_jax.training.pretraining.batches import compound_rows, pretraining_set
from moa_jax.training.pretraining.objectives import OBJECTIVES, make_pretraining_task
from moa_jax.training.pretraining.pretrain import train_heads
from moa_jax.training.recipe import Recipe
from moa_jax.training.sharding import make_mesh, replicate
from tests.synthetic import make_dataset, make_knowledge_graph, make_raw_examples, tiny_config

pytestmark = pytest.mark.slow

KNOWLEDGE = make_knowledge_graph()
SIZE = (KNOWLEDGE.num_genes, KNOWLEDGE.num_terms)
GENES = KNOWLEDGE.genes.iloc[: KNOWLEDGE.num_landmarks]
GRAPH = graph_arrays(KNOWLEDGE, restart=0.5, num_steps=2)


def networks_config():
    """Without kernel experts, which are no concern of pretraining."""
    return tiny_config(model={"experts": ("signature", "molecule", "joint")})


def config_of(**settings):
    config = networks_config()
    with config.unlocked():
        config.pretraining = pretraining.get_config().pretraining.copy_and_resolve_references()
    config.pretraining.update({"num_steps": 3, **settings})
    return config


def make_run(workdir, config, unlabelled=None):
    return Recipe(config, KNOWLEDGE, unlabelled).run(make_raw_examples(), None, workdir)


def differing(left, right):
    """Names of the parameters that are not equal."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    return {
        name
        for name in left
        if not all(
            np.array_equal(*leaves)
            for leaves in zip(
                jax.tree.leaves(left[name]), jax.tree.leaves(right[name]), strict=True
            )
        )
    }


def test_a_run_starts_from_the_encoders_that_were_pretrained(tmp_path):
    drawn = make_run(tmp_path / "drawn", networks_config()).initial_state()
    config = config_of()
    run = make_run(tmp_path / "warm", config)
    warm = run.initial_state()
    assert differing(warm.params, drawn.params) == {"signature", "molecule", "knowledge", "context"}
    assert differing(warm.params, warm.ema_params) == set()
    assert differing(warm.non_trainable, drawn.non_trainable) == set()
    # Evidence per MoA is not learned without labels.
    for encoder in ("signature", "molecule"):
        assert not np.asarray(warm.params[encoder]["hidden_logits"]["kernel"]).any()
    assert (tmp_path / "warm/pretraining/metrics.jsonl").read_text().count("loss_links") == 3
    # It is a function of configuration and examples, and goes on without pretraining again.
    again = make_run(tmp_path / "again", config).initial_state()
    assert differing(again.params, warm.params) == set()
    run.train(num_steps=3)
    resumed = make_run(tmp_path / "warm", config)
    resumed.initial_state = None
    assert resumed.train(num_steps=3).progress.best_step == 0


def test_only_the_encoders_of_the_objectives_are_handed_over(tmp_path):
    objectives = {**dict.fromkeys(OBJECTIVES, 0.0), "elements": 1.0}
    drawn = make_run(tmp_path / "drawn", networks_config()).initial_state()
    warm = make_run(tmp_path / "warm", config_of(objectives=objectives)).initial_state()
    assert differing(warm.params, drawn.params) == {"molecule"}


def test_labels_do_not_change_pretraining():
    examples = make_raw_examples()
    features = fit_features(examples, GENES)
    others = dataclasses.replace(examples, labels=examples.labels[::-1].copy())
    left, right = (
        pretraining_set(some, features).batch(8, rows_per_compound=2, seed=0, step=1, num_shards=1)
        for some in (examples, others)
    )
    jax.tree.map(np.testing.assert_array_equal, left, right)
    assert not left.batch.labels.any()


def test_compounds_stay_together_and_every_row_is_seen_once_an_epoch():
    compound = np.array([0] * 5 + [1] * 2 + [2] * 1)
    batches = [
        compound_rows(compound, 4, rows_per_compound=3, seed=0, step=step) for step in range(4)
    ]
    epochs = np.concatenate(batches).reshape(2, 8)
    assert not np.array_equal(*epochs)
    for rows in epochs:
        assert sorted(rows) == list(range(8))
        runs = np.split(compound[rows], np.flatnonzero(np.diff(compound[rows])) + 1)
        # Runs of 3, 2, 2 and 1; the two of compound 0 may meet.
        assert sorted(len(run) for run in runs) in ([1, 2, 2, 3], [1, 2, 5])


def test_signatures_are_predicted_without_looking_at_their_own():
    """Every compound has its own response; the head learns it from structure and context."""
    examples = make_raw_examples()
    examples = dataclasses.replace(
        examples, expression=10 * examples.labels @ np.eye(3, 5, dtype=np.float32) + 1
    )
    config = config_of(
        objectives={**dict.fromkeys(OBJECTIVES, 0.0), "response": 1.0}, num_steps=120
    )
    config.pretraining.optimiser.learning_rate = 0.02
    config.model.update({"bit_dropout": 0.0, "dropout": 0.0})
    features = fit_features(examples, GENES)
    mesh = make_mesh(1)
    graph = replicate(GRAPH, mesh)
    task = make_pretraining_task(config, features, SIZE)
    data = pretraining_set(examples, features)
    params = train_heads(task, config, data, graph=graph, mesh=mesh)

    def predict(some):
        return predict_signatures(task, params, some, features, graph=graph, batch_size=16)

    predicted = predict(examples)
    assert np.abs(predicted - examples.expression).max() < 2.0
    hidden = dataclasses.replace(examples, expression=np.zeros_like(examples.expression))
    np.testing.assert_array_equal(predict(hidden), predicted)


def test_noisy_signatures_that_are_predicted_well_are_told_from_others():
    examples = make_raw_examples(4)
    table = examples.table.assign(cc_q75=[0.5, 0.1, np.nan, 0.1])
    examples = dataclasses.replace(examples, table=table)
    reliable = is_reliable(examples, min_cc_q75=0.3)
    np.testing.assert_array_equal(reliable, [True, False, True, False])
    predicted = 2 * examples.expression + 1
    predicted[1] = 0.0
    predicted[2] *= -1
    vouched = well_predicted(predicted, examples, min_pearson=0.9)
    np.testing.assert_array_equal(vouched, [True, False, False, True])


@pytest.mark.parametrize(
    ("objectives", "message"),
    [({"gossip": 1.0}, "names gossip; the objectives are"), ({"links": 0.0}, "no objective")],
)
def test_objectives_that_do_not_exist_are_refused(objectives, message):
    config = config_of()
    with config.unlocked():
        config.pretraining.objectives = ml_collections.ConfigDict(objectives)
    features = fit_features(make_raw_examples(), GENES)
    with pytest.raises(InputError, match=message):
        make_pretraining_task(config, features, SIZE)


def dataset_with_unlabelled():
    """Twelve labelled compounds; three signatures and two structures are not labelled."""
    labelled = make_raw_examples()
    dataset = make_dataset(labelled)
    # The first is a labelled compound by its name, the second and third one new compound.
    extra = pd.DataFrame(
        {
            "pert_id": ["BRD-X0", "BRD-X1", "BRD-X1", "BRD-UNLISTED"],
            "compound": ["drug 11", "new", "new", "unlisted"],
        }
    )
    table = pd.concat([labelled.table, labelled.table.iloc[:4].assign(**extra)], ignore_index=True)
    table["sig_id"] = [f"sig{row}" for row in range(len(table))]
    expression = np.concatenate([labelled.expression, labelled.expression[:4]])
    compounds = pd.DataFrame(
        {
            "pert_id": ["BRD-X0", "BRD-X1", "BRD-X2", "BRD-X3"],
            "compound": ["drug 11", "new", "structure", "no structure"],
            "compound_group": ["G-X0", "G-X1", "G-X2", "G-X3"],
            "inchi_key": None,
            "smiles": ["NCCN", "NCCCCN", "OCCCCO", None],
            "scaffold": "",
            "moas": [()] * 4,
            "targets": [()] * 4,
            "actions": [()] * 4,
            "source": "release",
        }
    )
    return dataclasses.replace(
        dataset,
        signatures=Signatures(expression, dataset.signatures.genes, table),
        compounds=Compounds(pd.concat([dataset.compounds.table, compounds], ignore_index=True)),
    )


def test_no_compound_of_the_examples_is_unlabelled():
    dataset = dataset_with_unlabelled()
    examples = build_examples(dataset, min_compounds=1)
    found = unlabelled_examples(dataset, examples, LABELLED_SOURCES)
    assert found.groups == ("G-X1", "G-X1", "G-X2")
    np.testing.assert_array_equal(found.has_expression, [True, True, False])
    np.testing.assert_array_equal(found.expression[:2], dataset.signatures.expression[25:27])
    assert found.smiles == ("NCCCCN", "NCCCCN", "OCCCCO")
    assert not found.labels.any()
    assert concatenate(examples, found).num_examples == 27


def test_held_out_compounds_give_their_structures_alone_and_only_when_asked():
    dataset = dataset_with_unlabelled()
    examples = build_examples(dataset, min_compounds=1)
    pert_ids = sorted(set(examples.table["pert_id"]))
    parts = {name: "test" if name == pert_ids[-1] else "train" for name in pert_ids}
    split = Split("random_signature", 0, 0, 5, parts)
    inductive = unlabelled_part(
        dataset, split, examples, sources=LABELLED_SOURCES, transductive=False
    )
    assert not set(inductive.groups) & set(examples.groups)
    transductive = unlabelled_part(
        dataset, split, examples, sources=LABELLED_SOURCES, transductive=True
    )
    added = [row for row, group in enumerate(transductive.groups) if group in examples.groups]
    assert {transductive.groups[row] for row in added} == set(examples.groups)
    assert not transductive.has_expression[added].any()
    assert not transductive.expression[added].any()
    assert not transductive.labels.any()
    assert structure_only_examples(examples).table["cell_line"].isna().all()


def test_a_structure_of_a_test_compound_under_another_name_is_left_out():
    """Near duplicates count as the compound: the compound rule keeps structures apart."""
    dataset = dataset_with_unlabelled()
    examples = build_examples(dataset, min_compounds=1)
    smiles = tuple("NCCCCN" if group == examples.groups[-1] else None for group in examples.groups)
    examples = dataclasses.replace(examples, smiles=smiles)
    parts = dict.fromkeys(examples.table["pert_id"], "train")
    parts[examples.table["pert_id"].iloc[-1]] = "test"
    split = Split("compound", 0, 0, 5, parts)
    found = unlabelled_part(dataset, split, examples, sources=LABELLED_SOURCES, transductive=False)
    assert found.groups == ("G-X2",)
