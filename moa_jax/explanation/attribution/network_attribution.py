"""Attribution of a score to nodes of STRING and GO, measured or not.

Models that read the graph's nodes are explained by gradients of the input `activity`
(`chunked_attribution.attribute`). For a model that reads genes only, contributions of genes are
mapped to nodes by the adjoint of the network propagation.
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

    A source of size s at node n changes gene g by `s * propagation[g, n]`, and so the score by s
    times the product of the gradient with column n. The gradient is the mean along the attribution
    path, contribution / change. It is multiplied by the node's activity in `change`.

    Args:
      contributions: contributions of genes, such as integrated gradients.
      change: signature minus baseline.
      propagation: see `knowledge.propagation`.
    """
    change = change[:, None]
    slope = np.divide(contributions, change, out=np.zeros_like(contributions), where=change != 0)
    return (slope @ propagation) * (change @ propagation)


def smoothed_node_attribution(
    contributions: Float[np.ndarray, "example target gene"],
    propagation: Float[np.ndarray, "gene node"],
) -> Float[np.ndarray, "example target node"]:
    """Contributions of genes propagated over the graph as signatures are."""
    return contributions @ propagation
