"""A model that answers through proteins, solved for made-up examples with known targets."""

import dataclasses
import functools

import jax
import numpy as np

from moa_jax.data.examples.batches import make_batch
from moa_jax.explanation.attribution.carried_evidence import carried_evidence
from moa_jax.kernels.known_targets import count_ligands, known_target_table
from moa_jax.kernels.protein_carry import carry_by, gene_kernel, gene_rows
from moa_jax.kernels.references import reference_table
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.models.fusion import MECHANISMS
from moa_jax.predictions.target_model import TargetModel
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.sharding import replicate
from tests.explanation.attribution.linear_models import tiny_predictor
from tests.models.random_params import randomised
from tests.synthetic import (
    NUM_GENES,
    NUM_TERMS,
    make_knowledge_graph,
    make_raw_examples,
    tiny_config,
    with_targets,
)

THROUGH_PROTEINS = (
    "signature_kernel",
    "structure_kernel",
    "signature_proteins",
    "structure_proteins",
)
# Kernel expert in each view -> scale of its evidence for targets.
TARGET_SCALES = np.array([[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]], np.float32)


def protein_config():
    config = tiny_config()
    config.model.experts = THROUGH_PROTEINS
    return config


def protein_predictor():
    """The predictor of `tiny_predictor` with unequal scales in every view and expert."""
    predictor = tiny_predictor(THROUGH_PROTEINS)
    settings, graph = protein_config().proteins, make_knowledge_graph()
    rows = gene_rows(graph, predictor.features.proteins)
    carry = carry_by(gene_kernel(settings, graph), rows, settings.ridge)
    given = {
        "expert_scales": np.arange(1, 13, dtype=np.float32).reshape(3, 4),
        "proteins": {"carry": carry, "scales": TARGET_SCALES},
    }
    params = {**predictor.params, **replicate(given, predictor.mesh)}
    return dataclasses.replace(predictor, params=params)


def network_predictor():
    """`protein_predictor` with a protein network of random weights."""
    closed, config = protein_predictor(), protein_config()
    config.model.experts = (*THROUGH_PROTEINS, PROTEIN_NETWORK)
    task = make_fusion_task(config, closed.features, (NUM_GENES, NUM_TERMS))
    batch = make_batch(closed.encode(asked_examples()), np.arange(2), 2, num_shards=1)
    start = jax.jit(functools.partial(task.model.init, train=False))(
        jax.random.key(0), batch, closed.graph
    )["params"]
    proteins, prototypes = closed.features.proteins, closed.params["mechanism_prototypes"]
    given = {
        **closed.params,
        "expert_scales": np.arange(1, 16, dtype=np.float32).reshape(3, 5) / 8,
        "proteins": {
            **closed.params["proteins"],
            "rows": gene_rows(make_knowledge_graph(), proteins).astype(np.int32),
            "counts": np.arange(1, len(proteins) + 1, dtype=np.float32),
        },
        MECHANISMS: {"lengths": np.ones(prototypes.shape[1], np.float32)},
    }
    trained = {name: value for name, value in start.items() if name not in given}
    params = {**randomised(trained, scale=1.0), **given}
    return dataclasses.replace(closed, task=task, params=replicate(params, closed.mesh))


def its_carried_evidence(predictor):
    """What carries evidence in it."""
    graph = make_knowledge_graph()
    rows = gene_rows(graph, predictor.features.proteins)
    return carried_evidence(protein_config().proteins, graph, rows)


def training_examples():
    """What it is solved for: 12 compounds."""
    return with_targets(make_raw_examples(24))


def its_references():
    return reference_table(protein_config(), training_examples())


def its_target_model(predictor):
    graph = make_knowledge_graph()
    known = known_target_table(training_examples())
    return TargetModel(
        predictor=predictor,
        graph=graph,
        calibrators={},
        num_ligands=count_ligands(known, graph.genes["symbol"].tolist()),
        targets_of={},
    )


def asked_examples():
    """Six signatures of three compounds; the first without a structure, the last without both."""
    examples = make_raw_examples(6, seed=5)
    has_expression = np.ones(6, bool)
    has_expression[[1, 5]] = False
    return dataclasses.replace(
        examples,
        smiles=(None, *examples.smiles[1:5], None),
        has_expression=has_expression,
        expression=np.where(has_expression[:, None], examples.expression, 0).astype(np.float32),
    )
