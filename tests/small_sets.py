"""Small made-up datasets and examples for the tests of data, baselines and evaluation."""

import numpy as np
import pandas as pd

from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.schemas import (
    COMPOUND_COLUMNS,
    Compounds,
    EdgeSet,
    Examples,
    KnowledgeGraph,
    Signatures,
)

# One homologous series: every structure has another InChIKey block.
ALCOHOLS = tuple("C" * length + "O" for length in range(1, 41))


def gene_table(num_genes):
    return pd.DataFrame(
        {
            "entrez_id": [str(100 + gene) for gene in range(num_genes)],
            "symbol": [f"GENE{gene}" for gene in range(num_genes)],
            "aliases": [f"G{gene}|OLD{gene}" if gene % 2 else "" for gene in range(num_genes)],
            # Neighbours share a colour, an odd one out has none.
            "bead": [
                str(11 + gene // 2) if gene < num_genes // 2 * 2 else ""
                for gene in range(num_genes)
            ],
        }
    )


def edge_set(pairs=(), weight=None, evidence=()):
    pairs = np.asarray(pairs, np.int32).reshape(-1, 2)
    weight = np.ones(len(pairs)) if weight is None else weight
    return EdgeSet(
        senders=pairs[:, 0].copy(),
        receivers=pairs[:, 1].copy(),
        weight=np.asarray(weight, np.float32),
        evidence=evidence,
    )


def knowledge_graph(num_landmarks):
    """The landmarks, one unmeasured protein and three terms."""
    genes = pd.concat([gene_table(num_landmarks), gene_table(num_landmarks + 1).iloc[-1:]])
    genes = genes.drop(columns=["aliases", "bead"]).reset_index(drop=True)
    genes["is_landmark"] = genes.index < num_landmarks
    terms = pd.DataFrame(
        {
            "go_id": ["GO:0000001", "GO:0000002", "GO:0000003"],
            "name": ["first", "second", "third"],
            "namespace": ["biological_process"] * 3,
        }
    )
    return KnowledgeGraph(
        genes=genes,
        terms=terms,
        interacts=edge_set([(0, num_landmarks), (num_landmarks, 0)], [0.9, 0.9]),
        annotated_to=edge_set([(0, 1), (1, 2)], evidence=("IDA", "IMP")),
        is_a=edge_set([(1, 0), (2, 0)]),
        part_of=edge_set(),
    )


def signature_table(pert_ids):
    """Three kinds of rows in turn, so that every optional column is missing somewhere."""
    count = len(pert_ids)
    cycle = lambda *values: [values[row % 3] for row in range(count)]  # noqa: E731 (seven uses)
    return pd.DataFrame(
        {
            "sig_id": [f"SIG{row}" for row in range(count)],
            "pert_id": list(pert_ids),
            "compound": [f"compound {pert_id}" for pert_id in pert_ids],
            "cell_line": cycle("A375", "MCF7", None),
            "dose_um": cycle(10.0, np.nan, 0.04),
            "time_h": cycle(24.0, 6.0, np.nan),
            "n_replicates": cycle(3.0, np.nan, 2.0),
            "cc_q75": cycle(0.5, np.nan, 0.1),
            "tas": cycle(0.3, np.nan, 0.05),
            "plate": cycle(None, "PLATE1", "PLATE2"),
        }
    )


def compound_table(rows):
    """Rows are (pert_id, compound_group, smiles, moas)."""
    table = pd.DataFrame(
        {
            "pert_id": [row[0] for row in rows],
            "compound": [f"compound {row[0]}" for row in rows],
            "compound_group": [row[1] for row in rows],
            "inchi_key": [None for _ in rows],
            "smiles": [row[2] for row in rows],
            "scaffold": [None if row[2] is None else "" for row in rows],
            "moas": [row[3] for row in rows],
            "targets": [() for _ in rows],
            "actions": [() for _ in rows],
            "source": ["release" for _ in rows],
        }
    )
    return table[list(COMPOUND_COLUMNS)]


def dataset(compounds, pert_ids, *, num_genes=4, manifest=None, seed=0):
    """A prepared dataset: `compounds` as in `compound_table`, one signature per `pert_ids`."""
    rng = np.random.default_rng(seed)
    expression = rng.normal(size=(len(pert_ids), num_genes)).astype(np.float32)
    return PreparedDataset(
        signatures=Signatures(
            expression=expression, genes=gene_table(num_genes), table=signature_table(pert_ids)
        ),
        compounds=Compounds(compound_table(compounds)),
        graph=knowledge_graph(num_genes),
        manifest={} if manifest is None else manifest,
    )


def examples(
    labels, groups, *, expression=None, smiles=None, moas=None, pert_ids=None, targets=None
):
    """Examples with the given labels and groups; one `pert_id` per group where none are given."""
    labels = np.asarray(labels, np.float32)
    count, num_moas = labels.shape
    if expression is None:
        expression = np.random.default_rng(0).normal(size=(count, 4))
    return Examples.of_signatures(
        np.asarray(expression, np.float32),
        signature_table(pert_ids or [f"P-{group}" for group in groups]),
        groups=groups,
        smiles=smiles,
        targets=targets,
        moas=tuple(moas or [f"MoA {moa}" for moa in range(num_moas)]),
        labels=labels,
    )


def planted_examples(*, num_compounds=30, num_moas=3, num_signatures=2, noise=0.3, seed=0):
    """Compounds whose MoA shifts one gene; `num_signatures` signatures of each."""
    rng = np.random.default_rng(seed)
    moa = np.repeat(np.arange(num_compounds) % num_moas, num_signatures)
    labels = np.eye(num_moas)[moa]
    expression = np.pad(labels * 2, ((0, 0), (0, 2))) + noise * rng.normal(
        size=(len(moa), num_moas + 2)
    )
    compound = np.repeat(np.arange(num_compounds), num_signatures)
    return examples(
        labels,
        [f"G{row:03d}" for row in compound],
        expression=expression,
        smiles=[ALCOHOLS[row] for row in compound],
    )
