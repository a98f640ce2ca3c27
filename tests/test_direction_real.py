"""Direction on the real label tables: structure tells agonists from antagonists.

Each compound of LINCS 2020 with a mechanism that has an opposite is answered by the structure
kernel after learning from all others of these compounds.
"""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from configs import kernels
from experiments.main_result.direction import cases_of, is_preferred, opposites
from moa_jax.compounds.substructures import SUBSTRUCTURE_FAMILIES, substructure_counts
from moa_jax.data.examples.labels import label_matrix
from moa_jax.kernels.ridge import KernelSystem
from moa_jax.kernels.solved_system import SolvedSystem
from moa_jax.models.kernel_functions import structure_kernel


@pytest.fixture(scope="module")
def paired(real_data):
    """Structures, groups and labels of the compounds whose mechanism has an opposite."""
    table = pd.read_csv(real_data / "compounds" / "compounds.tsv", sep="\t")
    table = table.dropna(subset=["moa", "canonical_smiles"]).drop_duplicates("compound_group")
    names = [tuple(own.split("|")) for own in table["moa"]]
    moas = tuple(sorted(set().union(*names)))
    labels = label_matrix(names, moas)
    pairs = opposites(moas)
    columns = sorted({column for pair in pairs for column in pair})
    rows = np.flatnonzero(labels[:, columns].any(axis=1))
    table = table.iloc[rows]
    moas = tuple(moas[column] for column in columns)
    # What stands behind a blank is an extension of SMILES.
    smiles = table["canonical_smiles"].str.split(" ").str[0]
    return list(smiles), list(table["compound_group"]), moas, labels[np.ix_(rows, columns)]


def test_structure_tells_the_direction_of_compounds_not_learned_from(paired):
    smiles, groups, moas, labels = paired
    counts = jnp.asarray(substructure_counts(smiles))
    kernel = np.asarray(
        structure_kernel(counts, counts, views=tuple(SUBSTRUCTURE_FAMILIES.values()))
    )
    ridge = kernels.get_config().kernels.structure.ridge
    solved = SolvedSystem(KernelSystem(np.arange(len(smiles)), {}, kernel, ridge), labels)
    said = np.zeros(labels.shape)
    for group in set(groups):
        rows = np.flatnonzero(np.array(groups) == group)
        said[rows] = solved.answers_without(rows)

    cases = cases_of(labels > 0, opposites(moas))
    preference = said[cases.row, cases.own] - said[cases.row, cases.other]
    right = is_preferred(preference)
    surest = np.argsort(-np.abs(preference))[: len(right) // 3]
    assert len(right) > 500
    assert right.mean() > 0.79
    assert right[surest].mean() > 0.95
