"""From a trained model to scores of MoAs as functions of one part of the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from moa_jax.explanation.node_activity import activities, change_activity
from moa_jax.schemas import Batch, GraphArrays, InputError
from moa_jax.training.predictor import Predictor
from moa_jax.training.task import Task

# What an explanation can be about. `activity` is the share of its activity that each node of the
# graph has, 1 as it is and 0 without; genes that the model reads directly stay as they are.
PARTS = (
    "expression",
    "activity",
    "fingerprint",
    "atom_features",
    "bond_features",
    "log_dose",
    "log_time",
)
# Of a product of experts the sum of scaled logits; its log-softmax; its softmax.
OUTPUTS = ("logit", "log_prob", "prob")
# Parts whose first axis is the shard, not the example.
MOLECULE_PARTS = ("atom_features", "bond_features")

# The model as a function of one part; every example's row depends on its own input alone.
Outputs = Callable[[Float[Array, "..."]], Float[Array, "example moa"]]
# A score is a sum of outputs, each times its entry here.
Directions = Float[np.ndarray, "example target moa"]


@dataclasses.dataclass(frozen=True)
class Question:
    """Which output of a model is explained by which part of its input; hashable.

    Attributes:
      task: the model and what it answers.
      part: the part of the input.
      output: the output.
    """

    task: Task
    part: str = "expression"
    output: str = "logit"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("part", self.part, PARTS),
            ("output", self.output, OUTPUTS),
        ):
            if value not in known:
                raise InputError(
                    f"the {name} to explain is {value!r}; expected one of {', '.join(known)}."
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
        if self.part != "activity":
            return lambda value: self.answers(params, _with_part(batch, self.part, value), graph)

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
        """The model's output for a batch."""
        logits = self.task.model.apply({"params": params}, batch, graph, train=False).logits
        return answer(logits, self.output)

    def inputs(self, batch: Batch, graph: GraphArrays) -> Float[Array, "..."]:
        """The part as it is in a batch."""
        if self.part == "activity":
            return jnp.ones((len(batch.expression), graph.propagation.shape[1]))
        if self.part in MOLECULE_PARTS:
            return jnp.asarray(getattr(batch.molecules, self.part))
        return jnp.asarray(getattr(batch, self.part))


def answer(logits: Float[Array, "*example moa"], output: str) -> Float[Array, "*example moa"]:
    """An output of a model from its logits."""
    if output == "logit":
        return logits
    return (jax.nn.log_softmax if output == "log_prob" else jax.nn.softmax)(logits, axis=-1)


def _with_part(batch: Batch, part: str, value: Float[Array, "..."]) -> Batch:
    if part in MOLECULE_PARTS:
        return dataclasses.replace(
            batch, molecules=dataclasses.replace(batch.molecules, **{part: value})
        )
    return dataclasses.replace(batch, **{part: value})


def moa_directions(moas: Int[np.ndarray, "example target"], num_moas: int) -> Directions:
    """The score of an MoA is its own output.

    Args:
      moas: columns of the MoAs to explain, for each example.
      num_moas: size of the output.
    """
    return np.eye(num_moas, dtype=np.float32)[moas]


def contrast_directions(
    moas: Int[np.ndarray, "example target"],
    rivals: Int[np.ndarray, "example target"],
    num_moas: int,
) -> Directions:
    """The score of a contrast is the MoA's output less its rival's.

    Of logits that is the logarithm of the ratio of their probabilities.

    Args:
      moas: columns of the MoAs to explain.
      rivals: columns of the MoAs that they are compared with.
      num_moas: size of the output.
    """
    return moa_directions(moas, num_moas) - moa_directions(rivals, num_moas)


def predicted_directions(
    probs: Float[np.ndarray, "example moa"], *, num_targets: int = 1
) -> Directions:
    """The scores of the most likely MoAs of each example, best first; of equal ones the first."""
    order = np.argsort(-probs, axis=1, kind="stable")[:, :num_targets]
    return moa_directions(order, probs.shape[1])


def score(
    outputs: Float[Array, "example moa"], directions: Float[Array, "example target moa"]
) -> Float[Array, "example target"]:
    """Scores from outputs."""
    return jnp.einsum("em,etm->et", outputs, directions, precision="highest")


def measured_genes(batch: Batch) -> Bool[Array, "example gene"]:
    """Genes that an example shows the model."""
    return batch.gene_mask & batch.expression_mask[:, None]


def moa_columns(predictor: Predictor, names: Sequence[str]) -> Int[np.ndarray, " name"]:
    """Columns of MoAs by name.

    Raises:
      InputError: the model does not know a name.
    """
    known = {name: column for column, name in enumerate(predictor.features.moas)}
    for name in names:
        if name not in known:
            raise InputError(f"the model knows no MoA {name!r}; it knows {len(known)} others.")
    return np.array([known[name] for name in names], np.int64)
