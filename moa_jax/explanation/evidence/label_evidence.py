"""Whether the training compounds nearest to a compound side with the model against its labels."""

from __future__ import annotations

import collections
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Int

from moa_jax.evaluation.label_audit import DOUBTED
from moa_jax.explanation.evidence.similar_compounds import KernelEvidence

# Most similar training compounds of each expert that are asked what they carry.
NUM_ASKED = 5


def similar_compounds(
    evidence: Mapping[str, KernelEvidence], rows: Int[np.ndarray, " example"]
) -> pd.DataFrame:
    """Labelled training compounds, each as similar as its most similar reference.

    Args:
      evidence: of `kernel_evidence`.
      rows: the examples of one compound; the most similar of them counts.

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
    """The `NUM_ASKED` most similar labelled training compounds of each expert.

    Args:
      neighbours: one row per expert and training compound, with `expert`, `group`, `moas` and
        `similarity`. Each expert has its own measure of similarity; what resembles the compound
        in nothing, as everything does where its structure is not known, is not asked.
    """
    labelled = np.array([len(moas) > 0 for moas in neighbours["moas"]], bool)
    labelled = neighbours[labelled & (neighbours["similarity"] > 0).to_numpy(bool)]
    nearest = labelled.sort_values(
        ["expert", "similarity", "group"], ascending=[True, False, True], kind="stable"
    )
    return nearest.groupby("expert", sort=False).head(NUM_ASKED).reset_index(drop=True)


def with_evidence(table: pd.DataFrame, nearest: pd.DataFrame, answer: str) -> pd.DataFrame:
    """What the nearest training compounds say of a compound's suspicious labels.

    They side with the model against a label that the compound carries where the model answers
    something else, none of them carries the label and at least one carries the answer; and for
    an MoA that the compound lacks where more than half of them carry it.

    Args:
      table: rows of `label_audit.suspicious_labels` of one compound.
      nearest: of `nearest_labelled`.
      answer: the MoA that the model finds most probable.

    Returns:
      The table with `num_asked`, `num_carrying` (those that carry the MoA of the label),
      `num_carrying_answer` and `evidence_agrees` (that is, with the model).
    """
    asked = list(nearest["moas"])
    carrying = [sum(moa in moas for moas in asked) for moa in table["moa"]]
    with_answer = sum(answer in moas for moas in asked)
    agrees = [
        bool(count == 0 and with_answer and instead == answer)
        if kind == DOUBTED
        else 2 * count > len(asked)
        for count, kind, instead in zip(carrying, table["kind"], table["instead"], strict=True)
    ]
    return table.assign(
        num_asked=len(asked),
        num_carrying=np.array(carrying, int),
        num_carrying_answer=with_answer,
        evidence_agrees=np.array(agrees, bool),
    )
