"""Whether the nearest training compounds support the model against a compound's labels."""

from __future__ import annotations

import collections
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Int

from moa_jax.evaluation.label_audit import DOUBTED
from moa_jax.explanation.evidence.similar_compounds import KernelEvidence

# Most similar training compounds of each expert whose labels are compared.
NUM_NEAREST = 5


def similar_compounds(
    evidence: Mapping[str, KernelEvidence], rows: Int[np.ndarray, " example"]
) -> pd.DataFrame:
    """Labelled training compounds, each with the similarity of its most similar reference.

    Args:
      evidence: of `kernel_evidence`.
      rows: the examples of one compound; the largest similarity counts.

    Returns:
      One row per expert and training compound: `expert`, `group`, `compound`, `moas` (tuple),
      `similarity`.
    """
    tables = []
    for expert, own in evidence.items():
        labelled = np.flatnonzero([len(moas) > 0 for moas in own.references["moas"]])
        references = own.references.iloc[labelled]
        carried = collections.defaultdict(set)
        for group, moas in zip(references["group"], references["moas"], strict=True):
            carried[group].update(moas)
        table = references[["group", "compound"]].assign(
            expert=expert, similarity=own.similarity[np.ix_(rows, labelled)].max(axis=0)
        )
        table = table.sort_values(["similarity", "group"], ascending=[False, True], kind="stable")
        table = table.drop_duplicates("group")
        tables.append(table.assign(moas=[tuple(sorted(carried[name])) for name in table["group"]]))
    columns = ["expert", "group", "compound", "moas", "similarity"]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True)[columns]


def nearest_labelled(neighbours: pd.DataFrame) -> pd.DataFrame:
    """The `NUM_NEAREST` most similar labelled training compounds of each expert.

    Args:
      neighbours: one row per expert and training compound, with `expert`, `group`, `moas` and
        `similarity`; those with a similarity of 0 are left out.
    """
    labelled = np.array([len(moas) > 0 for moas in neighbours["moas"]], bool)
    labelled = neighbours[labelled & (neighbours["similarity"] > 0).to_numpy(bool)]
    nearest = labelled.sort_values(
        ["expert", "similarity", "group"], ascending=[True, False, True], kind="stable"
    )
    return nearest.groupby("expert", sort=False).head(NUM_NEAREST).reset_index(drop=True)


def with_evidence(table: pd.DataFrame, nearest: pd.DataFrame, answer: str) -> pd.DataFrame:
    """Adds the evidence of the nearest training compounds to a compound's suspicious labels.

    It supports the model against a label if none of them carries the label and at least one
    carries the model's answer instead; and in favour of a missing MoA if more than half of them
    carry it.

    Args:
      table: rows of `label_audit.suspicious_labels` of one compound.
      nearest: of `nearest_labelled`.
      answer: the MoA that the model finds most probable.

    Returns:
      The table with `num_asked` (number of nearest compounds), `num_carrying` (those with the MoA
      of the label), `num_carrying_answer` and `evidence_agrees` (with the model).
    """
    labels = list(nearest["moas"])
    carrying = [sum(moa in moas for moas in labels) for moa in table["moa"]]
    with_answer = sum(answer in moas for moas in labels)
    agrees = [
        bool(count == 0 and with_answer and instead == answer)
        if kind == DOUBTED
        else 2 * count > len(labels)
        for count, kind, instead in zip(carrying, table["kind"], table["instead"], strict=True)
    ]
    return table.assign(
        num_asked=len(labels),
        num_carrying=np.array(carrying, int),
        num_carrying_answer=with_answer,
        evidence_agrees=np.array(agrees, bool),
    )
