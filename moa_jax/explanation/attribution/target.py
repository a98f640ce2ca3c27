"""Attribution targets: scores of MoAs as functions of one input of a trained model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from moa_jax.explanation.attribution.node_activity import activities, change_activity
from moa_jax.schemas import Batch, GraphArrays, InputError
from moa_jax.training.task import TrainingTask

# What an explanation can be about. `activity` is the share of its activity that each node of the
# graph has, 1 as it is and 0 without; genes that the model reads directly stay as they are.
INPUTS = ("expression", "activity")

# The model as a function of one part; every example's row depends on its own input alone.
Outputs = Callable[[Float[Array, "..."]], Float[Array, "example moa"]]
# A score is a sum of outputs, each times its entry here.
Directions = Float[np.ndarray, "example target moa"]


@dataclasses.dataclass(frozen=True)
class AttributionTarget:
    """Which part of a model's input its logits are explained by; hashable.

    Attributes:
      task: the model and what it answers.
      input_name: one of `INPUTS`.
    """

    task: TrainingTask
    input_name: str = "expression"

    def __post_init__(self) -> None:
        if self.input_name not in INPUTS:
            raise InputError(
                f"the part to explain is {self.input_name!r}; expected one of {', '.join(INPUTS)}."
            )

    def outputs(
        self,
        params: Any,
        batch: Batch,
        graph: GraphArrays,
        reference: Float[Array, "example gene"] | None = None,
    ) -> Outputs:
        """The model on `batch` as a function of the part.

        Args:
          params: parameters of the model.
          batch: the examples.
          graph: the knowledge graph.
          reference: signatures whose activities stand for 0 of the part `activity`; without them
            a node is silent there.
        """
        if self.input_name != "activity":
            return lambda value: self.answers(
                params, dataclasses.replace(batch, expression=value), graph
            )

        def of_graph(batch: Batch) -> Callable[[Float[Array, "gene node"]], Array]:
            return lambda propagation: self.answers(
                params, batch, dataclasses.replace(graph, propagation=propagation)
            )

        usual = activities(of_graph(batch), graph.propagation)
        start = [jnp.zeros_like(activity) for activity in usual]
        if reference is not None:
            seen = dataclasses.replace(batch, expression=reference)
            start = activities(of_graph(seen), graph.propagation)

        def outputs(share: Float[Array, "example node"]) -> Float[Array, "example moa"]:
            return change_activity(
                of_graph(batch),
                graph.propagation,
                lambda place, _: start[place] + share * (usual[place] - start[place]),
            )

        return outputs

    def answers(self, params: Any, batch: Batch, graph: GraphArrays) -> Float[Array, "example moa"]:
        """The model's logits for a batch."""
        return self.task.model.apply({"params": params}, batch, graph, train=False).logits

    def inputs(self, batch: Batch, graph: GraphArrays) -> Float[Array, "..."]:
        """The part as it is in a batch."""
        if self.input_name == "activity":
            return jnp.ones((len(batch.expression), graph.propagation.shape[1]))
        return jnp.asarray(batch.expression)


def moa_directions(moas: Int[np.ndarray, "example target"], num_moas: int) -> Directions:
    """The score of an MoA is its own output.

    Args:
      moas: columns of the MoAs to explain, for each example.
      num_moas: size of the output.
    """
    return np.eye(num_moas, dtype=np.float32)[moas]


def contrast_directions(
    moas: Int[np.ndarray, "example target"],
    runners_up: Int[np.ndarray, "example target"],
    num_moas: int,
) -> Directions:
    """The score of a contrast is the MoA's output less its runner-up's.

    Of logits that is the logarithm of the ratio of their probabilities.

    Args:
      moas: columns of the MoAs to explain.
      runners_up: columns of the MoAs that they are compared with.
      num_moas: size of the output.
    """
    return moa_directions(moas, num_moas) - moa_directions(runners_up, num_moas)


def predicted_directions(probs: Float[np.ndarray, "example moa"]) -> Directions:
    """The score of the most likely MoA of each example; of equal ones the first."""
    return moa_directions(probs.argmax(axis=1)[:, None], probs.shape[1])


def score(
    outputs: Float[Array, "example moa"], directions: Float[Array, "example target moa"]
) -> Float[Array, "example target"]:
    """Scores from outputs."""
    return jnp.einsum("em,etm->et", outputs, directions, precision="highest")


def measured_genes(batch: Batch) -> Bool[Array, "example gene"]:
    """Genes that an example shows the model."""
    return batch.gene_mask & batch.expression_mask[:, None]
