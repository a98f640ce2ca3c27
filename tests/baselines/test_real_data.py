"""The plain lines of the results table on the real LINCS 2020 file, read here by hand."""

import h5py
import numpy as np
import pandas as pd
import pytest

from moa_jax.baselines.classifiers.late_fusion import fuse
from moa_jax.baselines.classifiers.logistic import EXPRESSION_LOGISTIC, MORGAN_LOGISTIC
from moa_jax.baselines.prevalence import Prevalence
from moa_jax.baselines.similarity.nearest_neighbours import CosineKnn
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.rules import make_split
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.evaluation.metrics import score
from moa_jax.schemas import Compounds, KnowledgeGraph, Signatures
from tests.small_sets import edge_set

RELEASE = "LINCS2020_level5_gold_24h_10uM"

# top-1, macro AUPRC: scikit-learn on the same folds, scored per compound.
EXPECTED = {
    "cosine_knn": (0.304, 0.251),
    "expression_logistic": (0.341, 0.278),
    "morgan_logistic": (0.498, 0.436),
    "product_of_logistics": (0.565, 0.482),
}
LEARNERS = {
    "prevalence": Prevalence(),
    "cosine_knn": CosineKnn(),
    "expression_logistic": EXPRESSION_LOGISTIC,
    "morgan_logistic": MORGAN_LOGISTIC,
}


def names_of(value):
    return tuple(sorted(value.split("|"))) if isinstance(value, str) else ()


@pytest.fixture(scope="module")
def dataset(real_data):
    with h5py.File(real_data / "expression" / f"{RELEASE}_n3366x978.gctx") as file:
        expression = file["0/DATA/0/matrix"][:]
        sig_ids = file["0/META/COL/id"][:].astype(str)
        entrez_ids = file["0/META/ROW/id"][:].astype(str)
    info = pd.read_csv(real_data / "expression" / f"{RELEASE}_siginfo.txt", sep="\t")
    info = info.set_index("sig_id").loc[sig_ids].reset_index()
    compounds = pd.read_csv(real_data / "compounds" / "compounds.tsv", sep="\t")
    genes = pd.DataFrame({"entrez_id": entrez_ids, "symbol": entrez_ids, "aliases": "", "bead": ""})
    table = pd.DataFrame(
        {
            "sig_id": info["sig_id"],
            "pert_id": info["pert_id"],
            "compound": info["cmap_name"],
            "cell_line": info["cell_iname"],
            "dose_um": info["pert_dose"],
            "time_h": info["pert_time"],
        }
    ).assign(n_replicates=np.nan, cc_q75=np.nan, tas=np.nan, plate=None)
    return PreparedDataset(
        signatures=Signatures(expression, genes, table),
        compounds=Compounds(
            pd.DataFrame(
                {
                    "pert_id": compounds["pert_id"],
                    "compound": compounds["cmap_name"],
                    "compound_group": compounds["compound_group"],
                    "inchi_key": compounds["inchi_key"],
                    "smiles": compounds["canonical_smiles"],
                    "scaffold": None,
                    "moas": compounds["moa"].map(names_of),
                    "targets": compounds["target"].map(names_of),
                    "actions": compounds["target"]
                    .map(names_of)
                    .map(lambda names: ("",) * len(names)),
                    "source": "release",
                }
            )
        ),
        graph=KnowledgeGraph(
            genes=genes.assign(is_landmark=True),
            terms=pd.DataFrame({"go_id": [], "name": [], "namespace": []}),
            interacts=edge_set(),
            annotated_to=edge_set(),
            is_a=edge_set(),
            part_of=edge_set(),
        ),
        manifest={},
    )


@pytest.fixture(scope="module")
def examples(dataset):
    return build_examples(dataset)


@pytest.fixture(scope="module")
def probs(dataset, examples):
    """Out-of-fold probabilities; late fusion is made from its parts, which are fitted once."""
    found = {name: np.zeros(examples.labels.shape) for name in LEARNERS}
    for fold in range(5):
        rows = split_rows(make_split("compound", examples, fold=fold), examples)
        learned = examples.take(np.sort(np.concatenate([rows["train"], rows["validation"]])))
        for name, learner in LEARNERS.items():
            fitted = learner.fit(learned, dataset.graph, seed=0)
            found[name][rows["test"]] = fitted.predict(examples.take(rows["test"]))
    everywhere = np.ones(examples.num_examples, bool)
    found["product_of_logistics"] = fuse(
        found["expression_logistic"], found["morgan_logistic"], everywhere, everywhere
    )
    return found


def test_the_examples_are_the_known_ones(examples):
    assert examples.num_examples == 1707
    assert len(set(examples.groups)) == 414
    assert len(examples.moas) == 53


@pytest.mark.parametrize("name", EXPECTED)
def test_the_plain_lines_are_reproduced(probs, examples, name):
    pooled, labels, _ = pool_by_compound(probs[name], examples.labels, examples.groups)
    found = score(pooled, labels)
    top1, macro_auprc = EXPECTED[name]
    assert found["num_compounds"] == 414
    assert found["num_moas"] == 53
    assert found["top1"] == pytest.approx(top1, abs=0.005)
    assert found["macro_auprc"] == pytest.approx(macro_auprc, abs=0.005)


def test_the_prevalence_is_chance(probs, examples):
    pooled, labels, _ = pool_by_compound(probs["prevalence"], examples.labels, examples.groups)
    assert score(pooled, labels)["macro_auprc"] == pytest.approx(0.023, abs=0.005)
