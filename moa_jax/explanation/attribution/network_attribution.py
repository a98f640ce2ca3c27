"""Which nodes of STRING and GO carried a score, also those that were not measured.

For models that read the graph's nodes, gradients of the part `activity` answer directly
(`attribution.attribute`). For a model that reads genes alone, contributions of genes are carried
to the nodes by the adjoint of the propagation that carries genes to nodes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def adjoint_node_attribution(
    contributions: Float[np.ndarray, "example target gene"],
    change: Float[np.ndarray, "example gene"],
    propagation: Float[np.ndarray, "gene node"],
) -> Float[np.ndarray, "example target node"]:
    """Sensitivity to a source at a node times the node's activity.

    Let a source of size s at node n move gene g by `s * propagation[g, n]`. Then the score moves
    by s times the gradient's product with column n; the gradient is that along the path of the
    attribution, contribution over change. It is multiplied by the node's activity in the change.

    Args:
      contributions: contributions of genes, such as integrated gradients.
      change: signature less baseline that they were taken over.
      propagation: see `knowledge.propagation`.
    """
    change = change[:, None]
    slope = np.divide(contributions, change, out=np.zeros_like(contributions), where=change != 0)
    return (slope @ propagation) * (change @ propagation)


def smoothed_node_attribution(
    contributions: Float[np.ndarray, "example target gene"],
    propagation: Float[np.ndarray, "gene node"],
) -> Float[np.ndarray, "example target node"]:
    """Contributions of genes spread over the graph like signatures."""
    return contributions @ propagation
