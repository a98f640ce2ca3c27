"""Small made-up batches and graphs for the tests of models and training."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import pandas as pd
from flax.core import FrozenDict

from configs import kernels
from configs.network_kernel import network_kernel
from configs.networks import networks
from moa_jax.calibration.calibration_store import write_calibration_store, write_held_out
from moa_jax.compounds.molecular_graph import molecular_graph
from moa_jax.data.examples.batches import make_batch
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.rules import make_split
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.kernels.ridge import KernelSystem, reference_labels
from moa_jax.models.experts import EXPERTS, VIEWS
from moa_jax.models.fusion import FusionModel
from moa_jax.schemas import (
    Batch,
    Compounds,
    EdgeArrays,
    EdgeSet,
    Examples,
    GraphArrays,
    KnowledgeGraph,
    Signatures,
)
from moa_jax.training.fusion_fit import fit_fusion
from moa_jax.training.runs.run_folder import start_run

NUM_GENES, NUM_LANDMARKS, NUM_TERMS, NUM_MOAS, NUM_BITS = 7, 5, 4, 3, 16
NUM_PROTEINS = 4
SUBSTRUCTURE_FAMILIES = (6, 10)
SMILES = ("CCO", "c1ccccc1C(=O)O", "C", "CC(C)N[C@H](C)C(=O)O", "C/C=C/C", "OCC1CC1")


def make_model(*, kernel_settings=None, **overrides) -> FusionModel:
    kernels = {
        "signature_kernel_width": 1.0,
        "network_kernel_width": 1.0,
        "network_term_share": 0.5,
    }
    settings = {
        "kernel_settings": FrozenDict(kernels | (kernel_settings or {})),
        "num_moas": NUM_MOAS,
        "num_genes": NUM_GENES,
        "num_terms": NUM_TERMS,
        "num_cell_lines": 3,
        "substructure_families": SUBSTRUCTURE_FAMILIES,
        "num_proteins": NUM_PROTEINS,
        "experts": tuple(name for name in EXPERTS if not EXPERTS[name].corrects),
        "protein_hidden": 4,
        "joint_fusion": "cross_attention",
        "features": 8,
        "hidden": 12,
        "num_heads": 2,
        "knowledge_features": 6,
        "knowledge_layers": 2,
        "atom_features": 8,
        "molecule_layers": 2,
        "use_context": True,
        "gene_dropout": 0.0,
        "bit_dropout": 0.0,
        "dropout": 0.0,
        "cell_line_dropout": 0.0,
    }
    return FusionModel(**(settings | overrides))


def make_given(seed=3) -> dict[str, Any]:
    """Parameters of `make_model`'s kernel experts, and of those through proteins."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731 (many uses)
    return {
        "signature_kernel": {
            "gene_scale": np.ones(NUM_LANDMARKS, np.float32),
            "offsets": normal(3, NUM_LANDMARKS),
            "bead_partners": np.array([1, 0, *range(2, NUM_LANDMARKS)], np.int32),
            "bead_difference": np.float32(0.4),
            "references": normal(6, NUM_LANDMARKS),
            "coefficients": normal(6, NUM_MOAS),
            "action_coefficients": normal(6, 2 * NUM_PROTEINS),
        },
        "network_kernel": {
            "gene_scale": np.ones(NUM_LANDMARKS, np.float32),
            "offsets": normal(3, NUM_LANDMARKS),
            "references": normal(6, NUM_GENES + NUM_TERMS),
            "coefficients": normal(6, NUM_MOAS),
            "action_coefficients": normal(6, 2 * NUM_PROTEINS),
        },
        "structure_kernel": {
            "references": rng.integers(0, 6, (4, sum(SUBSTRUCTURE_FAMILIES)), np.uint8),
            "coefficients": normal(4, NUM_MOAS),
            "action_coefficients": normal(4, 2 * NUM_PROTEINS),
        },
        "mechanism_prototypes": normal(2 * NUM_PROTEINS, NUM_MOAS),
    }


def solved(systems: Mapping[str, KernelSystem], train: EncodedExamples) -> dict[str, Any]:
    """Kernel expert -> its parameters, for the labels of the training examples."""
    params = {}
    for expert, system in systems.items():
        labels = reference_labels(expert, system, train, train.labels)
        coefficients = np.asarray(system.coefficients(labels), np.float32)
        params[expert] = {**system.params, "coefficients": coefficients}
    return params


def edges(pairs, weight=None) -> EdgeArrays:
    pairs = np.asarray(pairs, np.int32).reshape(-1, 2)
    weight = np.ones(len(pairs)) if weight is None else weight
    return EdgeArrays(
        senders=pairs[:, 0], receivers=pairs[:, 1], weight=np.asarray(weight, np.float32)
    )


def make_graph(seed=0) -> GraphArrays:
    rng = np.random.default_rng(seed)
    return GraphArrays(
        interacts=edges(
            [(0, 5), (5, 0), (1, 6), (6, 1), (5, 6), (6, 5)], [0.9, 0.9, 0.7, 0.7, 1, 1]
        ),
        annotated_to=edges([(0, 0), (1, 0), (2, 1), (5, 2), (6, 1)]),
        is_a=edges([(0, 2), (1, 2)]),
        part_of=edges([(2, 3)]),
        propagation=rng.normal(size=(NUM_LANDMARKS, NUM_GENES + NUM_TERMS)).astype(np.float32),
    )


def make_examples(num_examples=8, seed=0) -> EncodedExamples:
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731 (four uses)
    structure = np.arange(num_examples, dtype=np.int32) % (len(SMILES) + 1)
    return EncodedExamples(
        expression=normal(num_examples, NUM_LANDMARKS),
        gene_mask=np.array([True, True, True, False, True]),
        cell_line=(np.arange(num_examples) % 3).astype(np.int32),
        log_dose=normal(num_examples),
        dose_mask=np.arange(num_examples) % 4 != 0,
        log_time=normal(num_examples),
        time_mask=np.arange(num_examples) % 3 != 0,
        structure=structure,
        fingerprints=(rng.random((len(SMILES) + 1, NUM_BITS)) < 0.3).astype(np.float32),
        substructures=rng.integers(0, 6, (len(SMILES) + 1, sum(SUBSTRUCTURE_FAMILIES)), np.uint8),
        molecules=(*map(molecular_graph, SMILES), None),
        labels=np.eye(NUM_MOAS, dtype=np.float32)[np.arange(num_examples) % NUM_MOAS],
        label_mask=np.ones((num_examples, NUM_MOAS), bool),
        weight=np.ones(num_examples, np.float32),
        has_expression=np.ones(num_examples, bool),
        has_structure=structure < len(SMILES),
    )


def batch_of(num_examples=8, *, num_shards=1, seed=0) -> Batch:
    examples = make_examples(num_examples, seed)
    return make_batch(examples, np.arange(num_examples), num_examples, num_shards=num_shards)


def replace(batch, **changes):
    return dataclasses.replace(batch, **changes)


def make_knowledge_graph(num_landmarks=NUM_LANDMARKS) -> KnowledgeGraph:
    """Two unmeasured genes behind the landmarks, four terms under one root."""
    num_genes = num_landmarks + 2
    entrez = [str(100 + row) for row in range(num_genes)]
    edge_set = lambda pairs, weight=1.0: EdgeSet(  # noqa: E731 (four edge sets)
        senders=np.array([pair[0] for pair in pairs], np.int32),
        receivers=np.array([pair[1] for pair in pairs], np.int32),
        weight=np.full(len(pairs), weight, np.float32),
    )
    hub, other = num_landmarks, num_landmarks + 1
    links = [(0, hub), (hub, 0), (1, other), (other, 1), (hub, other), (other, hub)]
    return KnowledgeGraph(
        genes=pd.DataFrame(
            {
                "entrez_id": entrez,
                "symbol": [f"GENE{name}" for name in entrez],
                "is_landmark": np.arange(num_genes) < num_landmarks,
            }
        ),
        terms=pd.DataFrame(
            {
                "go_id": [f"GO:000000{row}" for row in range(NUM_TERMS)],
                "name": [f"term {row}" for row in range(NUM_TERMS)],
                "namespace": "biological_process",
            }
        ),
        interacts=edge_set(links, 0.9),
        annotated_to=dataclasses.replace(
            edge_set([(0, 0), (1, 0), (2, 1), (hub, 2), (other, 1)]), evidence=("IDA",) * 5
        ),
        is_a=edge_set([(0, 2), (1, 2)]),
        part_of=edge_set([(2, 3)]),
    )


def make_raw_examples(num_examples=24, *, seed=0, num_landmarks=NUM_LANDMARKS) -> Examples:
    """Two signatures per compound; the MoA shifts one gene, so it can be learned."""
    rng = np.random.default_rng(seed)
    compound = np.arange(num_examples) // 2
    moa = compound % NUM_MOAS
    expression = rng.normal(size=(num_examples, num_landmarks))
    expression[np.arange(num_examples), moa] += 3.0
    table = pd.DataFrame(
        {
            "sig_id": [f"sig{row}" for row in range(num_examples)],
            "pert_id": [f"BRD-{unit:03d}" for unit in compound],
            "compound": [f"drug {unit}" for unit in compound],
            "cell_line": np.where(np.arange(num_examples) % 2, "A375", "MCF7"),
            "dose_um": 10.0,
            "time_h": 24.0,
            "n_replicates": 3.0,
            "cc_q75": 0.4,
            "tas": 0.3,
            "plate": "P1",
        }
    )
    return Examples.of_signatures(
        expression.astype(np.float32),
        table,
        groups=[f"GROUP{unit:03d}" for unit in compound],
        smiles=[SMILES[unit % len(SMILES)] for unit in compound],
        moas=tuple(f"moa {row}" for row in range(NUM_MOAS)),
        labels=np.eye(NUM_MOAS, dtype=np.float32)[moa],
    )


def with_targets(examples: Examples) -> Examples:
    """The examples of `make_raw_examples` with known targets: one by MoA, one by compound.

    The compounds of the first MoA inhibit their targets, those of the second activate them, and
    what those of the third do is unknown.
    """
    symbols, actions = make_knowledge_graph().genes["symbol"], ("inhibits", "activates", "")
    targets, known = [], []
    for row, labels in enumerate(examples.labels):
        moa = int(labels.argmax())
        own = {symbols[NUM_GENES - 1 - moa], symbols[row // 2 % 4]}
        targets.append(tuple(sorted(own)))
        known.append((actions[moa],) * len(own))
    return dataclasses.replace(examples, targets=tuple(targets), actions=tuple(known))


def tiny_config(**overrides) -> ml_collections.ConfigDict:
    """Networks and the shipped kernel experts at a size that compiles in seconds."""
    config = kernels.get_config()
    config.update(networks())
    config.update(network_kernel())
    config.update(
        {
            "num_devices": 1,
            # The made-up examples are easy: with the scales of real ones nothing would be in doubt.
            "expert_scales": {
                view: {"signature_kernel": 0.5, "structure_kernel": 0.5} for view in VIEWS
            },
            "training": {
                "batch_size": 8,
                "num_steps": 6,
                "eval_every": 3,
                "log_every": 1,
                "patience": 10,
            },
            "model": {
                "experts": (
                    *("signature", "molecule", "joint"),
                    *("signature_kernel", "structure_kernel"),
                ),
                "features": 8,
                "hidden": 12,
                "num_heads": 2,
                "knowledge_features": 6,
                "knowledge_layers": 1,
                "atom_features": 8,
                "molecule_layers": 1,
            },
        }
    )
    config.update(overrides)
    return config


def make_gene_table(num_landmarks=NUM_LANDMARKS) -> pd.DataFrame:
    """The measured genes of `make_knowledge_graph`; each second one has two aliases."""
    genes = make_knowledge_graph(num_landmarks).genes.iloc[:num_landmarks]
    aliases = [f"OLD{row}|alias{row}" if row % 2 else "" for row in range(num_landmarks)]
    return genes[["entrez_id", "symbol"]].assign(aliases=aliases, bead="")


def make_dataset(examples: Examples) -> PreparedDataset:
    """A prepared dataset that holds what `make_raw_examples` returned."""
    num_landmarks = len(examples.gene_mask)
    first = examples.table["pert_id"].drop_duplicates().index
    moas = [examples.moas[column] for column in examples.labels.argmax(axis=1)]
    compounds = pd.DataFrame(
        {
            "pert_id": examples.table["pert_id"][first],
            "compound": examples.table["compound"][first],
            "compound_group": [examples.groups[row] for row in first],
            "inchi_key": None,
            "smiles": [examples.smiles[row] for row in first],
            "scaffold": "",
            "moas": [(moas[row],) for row in first],
            "targets": [() for _ in first],
            "actions": [() for _ in first],
            "source": "release",
        }
    )
    return PreparedDataset(
        signatures=Signatures(examples.expression, make_gene_table(num_landmarks), examples.table),
        compounds=Compounds(compounds.reset_index(drop=True)),
        graph=make_knowledge_graph(num_landmarks),
        manifest={"release": "made up for tests"},
    )


def train_tiny_run(folder: pathlib.Path) -> None:
    """Trains the fusion model on `make_raw_examples` into the folder of a run."""
    config, examples = tiny_config(), make_raw_examples()
    dataset = make_dataset(examples)
    # Compounds share structures here, for which the rule would keep them together.
    unknown = dataclasses.replace(examples, smiles=(None,) * examples.num_examples)
    split = make_split("compound", unknown, fold=0, num_folds=2, validation_fraction=0.25)
    parts = {part: examples.take(rows) for part, rows in split_rows(split, examples).items()}
    start_run(folder, config, split, dataset)
    fit = fit_fusion(config, parts["train"], parts["validation"], dataset.graph, folder)
    write_calibration_store(folder, fit.out_of_fold)
    write_held_out(folder, parts["test"])
