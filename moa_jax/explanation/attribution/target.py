"""Attribution targets: MoA scores as functions of one input of a trained model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from moa_jax.explanation.attribution.node_activity import activities, change_activity
from moa_jax.models.fusion import product_of_experts
from moa_jax.schemas import Batch, GraphArrays, InputError
from moa_jax.training.task import TrainingTask

# Inputs that scores can be attributed to. `activity` scales the activity of each graph node, from
# 0 (its baseline) to 1; genes that the model reads directly are unchanged.
INPUTS = ("expression", "activity")

# The model as a function of one input; each example's row depends only on its own input.
Outputs = Callable[[Float[Array, "..."]], Float[Array, "example moa"]]
# Scores as weights of the outputs.
Directions = Float[np.ndarray, "example target moa"]


@dataclasses.dataclass(frozen=True)
class AttributionTarget:
    """A model and the input that its logits are attributed to; hashable.

    Attributes:
      task: the task with the model.
      input_name: one of `INPUTS`.
      without: experts whose part of the logits is left out.
    """

    task: TrainingTask
    input_name: str = "expression"
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.input_name not in INPUTS:
            raise InputError(
                f"logits cannot be attributed to {self.input_name!r}; expected one of "
                f"{', '.join(INPUTS)}."
            )

    def outputs(
        self,
        params: Any,
        batch: Batch,
        graph: GraphArrays,
        reference: Float[Array, "example gene"] | None = None,
    ) -> Outputs:
        """The model's logits for `batch` as a function of the input.

        Args:
          params: parameters of the model.
          batch: the examples.
          graph: the knowledge graph.
          reference: signatures whose node activities are the baseline of the input `activity`;
            activities of 0 by default.
        """
        if self.input_name != "activity":
            return lambda value: self.logits(
                params, dataclasses.replace(batch, expression=value), graph
            )

        def of_graph(batch: Batch) -> Callable[[Float[Array, "gene node"]], Array]:
            return lambda propagation: self.logits(
                params, batch, dataclasses.replace(graph, propagation=propagation)
            )

        actual = activities(of_graph(batch), graph.propagation)
        start = [jnp.zeros_like(activity) for activity in actual]
        if reference is not None:
            at_reference = dataclasses.replace(batch, expression=reference)
            start = activities(of_graph(at_reference), graph.propagation)

        def outputs(share: Float[Array, "example node"]) -> Float[Array, "example moa"]:
            return change_activity(
                of_graph(batch),
                graph.propagation,
                lambda index, _: start[index] + share * (actual[index] - start[index]),
            )

        return outputs

    def logits(self, params: Any, batch: Batch, graph: GraphArrays) -> Float[Array, "example moa"]:
        """The model's logits for a batch."""
        output = self.task.model.apply({"params": params}, batch, graph, train=False)
        if not self.without:
            return output.logits
        scales = dict(zip(self.task.model.experts, params["expert_scales"].T, strict=True))
        kept = {name: own for name, own in output.experts.items() if name not in self.without}
        return product_of_experts({name: scales[name] for name in kept}, kept, batch)

    def inputs(self, batch: Batch, graph: GraphArrays) -> Float[Array, "..."]:
        """The input of a batch."""
        if self.input_name == "activity":
            return jnp.ones((len(batch.expression), graph.propagation.shape[1]))
        return jnp.asarray(batch.expression)


def moa_directions(moas: Int[np.ndarray, "example target"], num_moas: int) -> Directions:
    """Scores that are the outputs of single MoAs.

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
    """Scores that are the output of an MoA minus that of its runner-up.

    Args:
      moas: columns of the MoAs to explain.
      runners_up: columns of their runners-up.
      num_moas: size of the output.
    """
    return moa_directions(moas, num_moas) - moa_directions(runners_up, num_moas)


def predicted_directions(probs: Float[np.ndarray, "example moa"]) -> Directions:
    """The score of the most probable MoA of each example, the first of equal ones."""
    return moa_directions(probs.argmax(axis=1)[:, None], probs.shape[1])


def score(
    outputs: Float[Array, "example moa"], directions: Float[Array, "example target moa"]
) -> Float[Array, "example target"]:
    """Scores from outputs."""
    return jnp.einsum("em,etm->et", outputs, directions, precision="highest")


def measured_genes(batch: Batch) -> Bool[Array, "example gene"]:
    """Genes that the model reads of each example."""
    return batch.gene_mask & batch.expression_mask[:, None]
