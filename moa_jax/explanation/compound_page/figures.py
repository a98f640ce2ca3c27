"""The figures of an explanation, as SVG and PNG."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.explanation.evidence.subnetwork import choose_subnetwork
from moa_jax.report.bars import bars
from moa_jax.report.molecule_drawing import molecule_png, molecule_svg
from moa_jax.report.shapes import Picture, to_png, to_svg
from moa_jax.report.subnetwork_drawing import draw_subnetwork
from moa_jax.schemas import KnowledgeGraph

NUM_GENES = 20


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A picture in both formats."""

    svg: str
    png: bytes


def pictures_of(found: CompoundExplanation, graph: KnowledgeGraph) -> dict[str, Drawn]:
    """`modalities`; `genes` and `network` with signatures, `molecule` with a structure.

    With signatures and a runner-up also `contrast`.
    """
    genes, modalities = found.tables["genes"], found.tables["modalities"]
    top = genes.head(NUM_GENES)
    pictures = {
        "modalities": bars(
            list(modalities["modality"]),
            modalities["contribution"].to_numpy(float),
            axis_name="contribution to the score (logit)",
            title=f"modalities behind {found.moa}",
        ),
    }
    if found.has_signatures:
        pictures["genes"] = bars(
            list(top["symbol"]),
            top["contribution"].to_numpy(float),
            low=top["lowest"].to_numpy(float),
            high=top["highest"].to_numpy(float),
            axis_name="contribution to the score (logit)",
            title=f"genes behind {found.moa}",
        )
        pictures["network"] = network_picture(
            graph, found.node_scores, found.targets, title=f"proteins behind {found.moa}"
        )
    if found.has_signatures and found.runner_up is not None:
        largest = _largest(genes, "contrast")
        pictures["contrast"] = bars(
            list(largest["symbol"]),
            largest["contrast"].to_numpy(float),
            axis_name=f"for {found.moa} (right), for {found.runner_up} (left)",
            title=f"genes that distinguish {found.moa} from {found.runner_up}",
        )
    drawn = {name: Drawn(to_svg(picture), to_png(picture)) for name, picture in pictures.items()}
    if found.smiles is not None and found.atom_scores is not None:
        title = f"atoms behind {found.moa}"
        drawn["molecule"] = Drawn(
            molecule_svg(found.smiles, found.atom_scores, title=title),
            molecule_png(found.smiles, found.atom_scores),
        )
    return drawn


def network_picture(
    graph: KnowledgeGraph,
    scores: Float[np.ndarray, " gene_node"],
    targets: Sequence[str],
    *,
    title: str,
) -> Picture:
    """Draws the proteins of `choose_subnetwork`."""
    chosen = choose_subnetwork(graph, scores, targets)
    return draw_subnetwork(
        chosen.symbols,
        chosen.scores,
        chosen.edges,
        chosen.weight,
        is_target=chosen.is_target,
        is_measured=chosen.is_measured,
        title=title,
    )


def _largest(table: pd.DataFrame, column: str) -> pd.DataFrame:
    order = np.argsort(-table[column].abs().to_numpy(), kind="stable")[:NUM_GENES]
    return table.iloc[order]
