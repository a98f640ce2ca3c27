"""Which nodes and edges of STRING and GO carried a score, also those that were not measured.

For models that read the graph's nodes, gradients of the part `activity` answer directly
(`attribution.attribute`). For a model that reads genes alone, contributions of genes are carried
to the nodes by the adjoint of the propagation that carries genes to nodes.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from moa_jax.data.features import EncodedExamples
from moa_jax.explanation.chunks import Step, chunk_size, run_in_chunks
from moa_jax.explanation.scores import Directions, Question
from moa_jax.schemas import Batch, EdgeArrays, GraphArrays, InputError
from moa_jax.training.predictor import Predictor

EDGE_SETS = ("interacts", "annotated_to", "is_a", "part_of")


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


def edge_attribution(
    predictor: Predictor,
    examples: EncodedExamples,
    question: Question,
    directions: Directions,
    *,
    max_examples: int = 8,
) -> dict[str, Float[np.ndarray, "example target edge"]]:
    """Gradient times weight of every edge that the network passes messages along.

    It covers message passing alone: edges also shape the propagation matrix, which was computed
    before the model saw it. A model without message passing gets zeros.

    Args:
      predictor: the model.
      examples: encoded examples.
      question: only its output is read.
      directions: the scores.
      max_examples: examples per chunk; each needs a gradient over all edges.

    Returns:
      One entry per set of edges of the graph.
    """
    size = chunk_size(examples.num_examples, 1, max_examples, predictor.mesh.size)
    return run_in_chunks(
        _make_edge_step(question), predictor, examples, {"directions": directions}, size=size
    )


@functools.lru_cache(maxsize=32)
def _make_edge_step(question: Question) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> dict[str, Float[Array, "example target edge"]]:
        edges = {name: getattr(graph, name) for name in EDGE_SETS}

        def outputs(weights: dict[str, Array]) -> Float[Array, "example moa"]:
            weighted = {
                name: EdgeArrays(edges[name].senders, edges[name].receivers, weight)
                for name, weight in weights.items()
            }
            return question.answers(params, batch, dataclasses.replace(graph, **weighted))

        weights = {name: jnp.asarray(edges[name].weight) for name in EDGE_SETS}
        _, pullback = jax.vjp(outputs, weights)
        # The edges are shared, so that each example needs a pass in which only it is asked.
        alone = jnp.eye(len(batch.expression))[:, None, :, None]
        asked = alone * jnp.swapaxes(own["directions"], 0, 1)[None]
        (slopes,) = jax.lax.map(jax.vmap(pullback), asked)
        return jax.tree.map(jnp.multiply, slopes, weights)

    return step


def attention_rollout(
    layers: list[Float[np.ndarray, "..."]], *, residual: float = 0.5
) -> Float[np.ndarray, "..."]:
    """Attention rollout (Abnar and Zuidema 2020, eq. 1): the product of all layers' attention.

    It looks at attention alone and not at what is attended to, so it is a thing to be tested.

    Args:
      layers: attention of each layer, mean over heads, first layer first; the last two axes are
        the tokens that ask and the tokens that are asked. A square layer has a residual
        connection.
      residual: share of a token itself in a square layer.
    """
    if not layers:
        raise InputError("attention rollout needs at least one layer of attention.")
    total = None
    for attention in layers:
        mixed = attention
        if attention.shape[-1] == attention.shape[-2]:
            mixed = (1 - residual) * attention + residual * np.eye(attention.shape[-1])
        mixed = mixed / np.maximum(mixed.sum(axis=-1, keepdims=True), 1e-12)
        total = mixed if total is None else mixed @ total
    return total


def node_attention_rollout(
    attention: Float[np.ndarray, "example head node"],
    graph: GraphArrays,
    *,
    num_genes: int,
    num_layers: int,
    residual: float = 0.5,
) -> Float[np.ndarray, "example node"]:
    """Attention over nodes, carried back through the steps of message passing before it.

    Args:
      attention: of every head, from `FusionOutput.state`.
      graph: whose edges the messages passed, in both directions.
      num_genes: gene nodes, which come before the terms.
      num_layers: message-passing steps.
      residual: share of a node's own state in a step.
    """
    mean = attention.mean(axis=1)
    num_nodes = mean.shape[-1]
    shifts = {"interacts": (0, 0), "annotated_to": (0, num_genes)}
    total = scipy.sparse.csr_array((num_nodes, num_nodes))
    for name in EDGE_SETS:
        edges = getattr(graph, name)
        first, second = shifts.get(name, (num_genes, num_genes))
        ends = np.asarray(edges.receivers) + second, np.asarray(edges.senders) + first
        weight = np.asarray(edges.weight, np.float64)
        total = total + scipy.sparse.csr_array((weight, ends), shape=(num_nodes, num_nodes))
        if name != "interacts":
            total = total + scipy.sparse.csr_array(
                (weight, ends[::-1]), shape=(num_nodes, num_nodes)
            )
    received = np.asarray(total.sum(axis=1)).ravel()
    share = scipy.sparse.diags_array(1.0 / np.where(received > 0, received, 1.0)) @ total
    kept = np.where(received > 0, residual, 1.0)
    for _ in range(num_layers):
        mean = mean * kept + ((1 - residual) * mean) @ share
    return mean
