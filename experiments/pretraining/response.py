"""Signatures of unseen compounds: the network, simple baselines, and model-guided augmentation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float
from sklearn.linear_model import Ridge

from experiments.pretraining.augmentation import is_reliable, well_predicted
from experiments.pretraining.profile_correlation import pearson_by_signature, spearman_by_signature
from experiments.pretraining.signature_prediction import predict_signatures
from moa_jax.compounds.fingerprints import morgan_fingerprints, tanimoto
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.features import FeatureSpec, fit_features
from moa_jax.data.splits.partition import partition_examples
from moa_jax.data.splits.rules import make_split
from moa_jax.data.splits.unlabelled import LABELLED_SOURCES, unlabelled_part
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.schemas import Examples, concatenate
from moa_jax.training.pretraining.batches import pretraining_set
from moa_jax.training.pretraining.objectives import make_pretraining_task
from moa_jax.training.pretraining.pretrain import train_heads
from moa_jax.training.sharding import make_mesh, replicate

Profiles = Float[np.ndarray, "example gene"]
Predict = Callable[[Examples], Profiles]
# Chosen on validation among 300 to 1600 steps at 2e-3 to 1e-2.
NUM_STEPS, LEARNING_RATE = 1600, 4e-3
RIDGES = (10.0, 100.0, 1000.0)
# Smallest replicate correlation of a reliable signature, and smallest Pearson correlation of other
# signatures with their prediction that are trained on.
MIN_CC_Q75, MIN_PEARSON = 0.3, 0.2


def parts_with_structure(dataset: PreparedDataset) -> dict[str, Examples]:
    """Parts of fold 0 of the compound split, with unlabelled signatures in the training part."""
    examples = build_examples(dataset)
    split = make_split("compound", examples, fold=0, num_folds=5, seed=0, validation_fraction=0.2)
    parts = partition_examples(split, examples)
    unlabelled = unlabelled_part(
        dataset, split, examples, sources=LABELLED_SOURCES, transductive=False
    )
    parts["train"] = concatenate(parts["train"], unlabelled)
    return {
        part: of_part.take(np.flatnonzero(of_part.has_expression & of_part.has_structure))
        for part, of_part in parts.items()
    }


def fit_network(
    dataset: PreparedDataset, config: ml_collections.ConfigDict, train: Examples
) -> Predict:
    """Trains a network to predict signatures from structure, cell line, dose and time."""
    config = ml_collections.ConfigDict(config.to_dict())
    config.pretraining.objectives = {"response": 1.0}
    config.pretraining.update({"num_steps": NUM_STEPS, "hidden_genes": 0.0, "hidden_atoms": 0.0})
    config.pretraining.optimiser.learning_rate = LEARNING_RATE
    features = fit_features(train, dataset.signatures.genes)
    mesh = make_mesh(1)
    arrays = graph_arrays(
        dataset.graph, restart=config.graph.restart, num_steps=config.graph.num_steps
    )
    graph = replicate(arrays, mesh)
    size = (dataset.graph.num_genes, dataset.graph.num_terms)
    task = make_pretraining_task(config, features, size)
    data = pretraining_set(train, features)
    params = train_heads(task, config, data, graph=graph, mesh=mesh)
    return functools.partial(_predict, task, params, features=features, graph=graph, batch_size=128)


def _predict(task: Any, params: Any, examples: Examples, **settings: Any) -> Profiles:
    features: FeatureSpec = settings.pop("features")
    return predict_signatures(task, params, examples, features, **settings)


def cell_line_mean(train: Examples) -> Predict:
    """The mean training signature of the example's cell line; the overall mean if it is new."""
    lines = train.table["cell_line"].to_numpy(object)
    overall = train.expression.mean(axis=0)
    means = {line: train.expression[lines == line].mean(axis=0) for line in set(lines)}
    return lambda examples: np.stack(
        [means.get(line, overall) for line in examples.table["cell_line"]]
    )


def nearest_structure_mean(train: Examples) -> Predict:
    """The mean signature of the training structure with the highest Tanimoto similarity."""
    distinct = sorted(set(train.smiles))
    place = np.array([distinct.index(smiles) for smiles in train.smiles])
    means = np.stack([train.expression[place == row].mean(axis=0) for row in range(len(distinct))])
    bits = morgan_fingerprints(distinct)
    return lambda examples: means[
        tanimoto(morgan_fingerprints(examples.smiles), bits).argmax(axis=1)
    ]


def ridge(train: Examples, alpha: float) -> Predict:
    """Ridge regression on Morgan bits and the cell line."""
    lines = sorted(set(train.table["cell_line"].dropna()))

    def inputs(examples: Examples) -> np.ndarray:
        one_hot = examples.table["cell_line"].to_numpy(object)[:, None] == np.array(lines, object)
        return np.hstack([morgan_fingerprints(examples.smiles), one_hot.astype(np.float32)])

    model = Ridge(alpha=alpha).fit(inputs(train), train.expression)
    return lambda examples: model.predict(inputs(examples))


def correlations(predict: Predict, examples: Examples) -> dict[str, float]:
    """Mean Pearson and Spearman correlation over genes; a constant prediction counts as 0."""
    predicted = predict(examples)
    return {
        name: float(np.nan_to_num(of(predicted, examples.expression)).mean())
        for name, of in (("pearson", pearson_by_signature), ("spearman", spearman_by_signature))
    }


def chosen(candidates: dict[str, Predict], validation: Examples) -> tuple[str, Predict]:
    """The candidate with the highest Pearson correlation on validation compounds."""
    best = max(candidates, key=lambda name: correlations(candidates[name], validation)["pearson"])
    return best, candidates[best]


def response_rows(
    dataset: PreparedDataset, config: ml_collections.ConfigDict, seed: int
) -> list[dict[str, Any]]:
    """Correlations on the test part of all methods; settings are chosen on the validation part."""
    parts = parts_with_structure(dataset)
    train, validation = parts["train"], parts["validation"]
    config.seed = seed
    methods: dict[str, Predict] = {}
    if seed == 0:
        methods["cell-line mean"] = cell_line_mean(train)
        methods["nearest structure's mean"] = nearest_structure_mean(train)
        ridges = {str(alpha): ridge(train, alpha) for alpha in RIDGES}
        methods["ridge on Morgan bits and cell line"] = chosen(ridges, validation)[1]
    methods["network"] = fit_network(dataset, config, train)
    return [
        {"method": name, "seed": seed}
        | {
            f"{part} {metric}": value
            for part in ("validation", "test")
            for metric, value in correlations(predict, parts[part]).items()
        }
        for name, predict in methods.items()
    ]


def augmentation_rows(
    dataset: PreparedDataset, config: ml_collections.ConfigDict, seed: int
) -> list[dict[str, Any]]:
    """Correlations on reliable validation signatures after training on several sets of signatures.

    Noisy signatures are predicted by a network trained on the reliable ones, as in DeepCE.
    """
    parts = parts_with_structure(dataset)
    train, validation = parts["train"], parts["validation"]
    config.seed = seed
    reliable = is_reliable(train, min_cc_q75=MIN_CC_Q75)
    first = fit_network(dataset, config, train.take(np.flatnonzero(reliable)))
    predicted = well_predicted(first(train), train, min_pearson=MIN_PEARSON)
    noisy = np.flatnonzero(~reliable)
    rng = np.random.default_rng(seed)
    num_added = int((predicted & ~reliable).sum())
    drawn = np.zeros(train.num_examples, bool)
    drawn[rng.choice(noisy, num_added, replace=False)] = True
    kept = {
        "all signatures": np.ones(train.num_examples, bool),
        "reliable, and noisy ones that are predicted well": reliable | predicted,
        "reliable, and as many noisy ones at random": reliable | drawn,
    }
    methods = {"reliable signatures": (first, int(reliable.sum()))}
    for name, rows in kept.items():
        some = train.take(np.flatnonzero(rows))
        methods[name] = (fit_network(dataset, config, some), int(rows.sum()))
    clean = validation.take(np.flatnonzero(is_reliable(validation, min_cc_q75=MIN_CC_Q75)))
    return [
        {"method": name, "seed": seed, "signatures": count, **correlations(predict, clean)}
        for name, (predict, count) in methods.items()
    ]
