"""What the kernel experts say that examples do to each protein, before it is carried to genes.

The evidence of an expert depends neither on the view nor on what carries it to other genes, so
one pass over the examples serves every view and graph (see `models.protein_answers`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int
from scipy import sparse

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.models.experts import EXPERTS, SHOWN_IN, VIEWS
from moa_jax.schemas import ACTIONS, Batch, GraphArrays
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.target_answers import target_scores

# Examples whose scores of all genes are held at a time.
_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class TargetEvidence:
    """Evidence of kernel experts for what examples do to each protein.

    Attributes:
      of_expert: kernel expert, in the order of the scales -> its evidence, not scaled.
      has_expression: whether each example has a signature.
      has_structure: whether its structure is known.
    """

    of_expert: Mapping[str, Float32[np.ndarray, "example action_protein"]]
    has_expression: Bool[np.ndarray, " example"]
    has_structure: Bool[np.ndarray, " example"]

    def take(self, rows: Int[np.ndarray, " row"]) -> TargetEvidence:
        """The evidence for some examples."""
        return TargetEvidence(
            {expert: values[rows] for expert, values in self.of_expert.items()},
            self.has_expression[rows],
            self.has_structure[rows],
        )

    def views(self, view: str) -> Int[np.ndarray, " example"]:
        """Number in `VIEWS` of each example's view, if only the modalities of a view are shown."""
        expression, structure = self._shown(view)
        alone = np.where(expression, VIEWS.index("expression"), VIEWS.index("structure"))
        return np.where(expression == structure, VIEWS.index("fusion"), alone)

    def scaled(
        self, expert: str, scales: Float32[np.ndarray, " view"], view: str = "fusion"
    ) -> Float32[np.ndarray, "example action_protein"]:
        """Evidence of a kernel expert times its scale; 0 where the modality is missing.

        Args:
          expert: the kernel expert.
          scales: its scale in each of `VIEWS`. An example without one of the modalities has that of
            the other.
          view: which modalities are shown.
        """
        expression, structure = self._shown(view)
        has_modality = expression if EXPERTS[expert].reads_expression else structure
        return (scales[self.views(view)] * has_modality)[:, None] * self.of_expert[expert]

    def by_protein(
        self, scales: Float32[np.ndarray, "view expert"], view: str = "fusion"
    ) -> Float32[np.ndarray, "example protein"]:
        """Scaled evidence that each protein is a target, the sum over experts and actions.

        Args:
          scales: of the kernel experts in each of `VIEWS`.
          view: which modalities are shown.
        """
        total = sum(
            self.scaled(expert, of_expert, view)
            for expert, of_expert in zip(self.of_expert, scales.T, strict=True)
        )
        return total.reshape(len(total), len(ACTIONS), -1).sum(axis=1)

    def _shown(
        self, view: str
    ) -> tuple[Bool[np.ndarray, " example"], Bool[np.ndarray, " example"]]:
        """Whether expression and structure of each example are shown in a view."""
        expression, structure = SHOWN_IN[view]
        return self.has_expression & expression, self.has_structure & structure


def target_evidence(predictor: Predictor, examples: EncodedExamples) -> TargetEvidence:
    """The evidence of the kernel experts that the experts through proteins of a model read.

    Args:
      predictor: a fusion model.
      examples: what to predict.
    """
    model = predictor.task.model

    @jax.jit
    def compute(params: Any, batch: Batch, graph: GraphArrays) -> dict[str, Array]:
        return model.apply({"params": params}, batch, graph, train=False).proteins

    # On one device of this process, so that one process of several can ask.
    given = jax.device_get((predictor.params, predictor.graph))
    params, graph = jax.device_put(given, jax.local_devices()[0])
    parts = [
        jax.device_get(compute(params, batch, graph))
        for batch in evaluation_batches(examples, predictor.batch_size, num_shards=1)
    ]
    return TargetEvidence(
        {
            # The last batch is padded.
            name: np.concatenate([part[name] for part in parts])[: examples.num_examples]
            for name in model.experts
            if name in parts[0]
        },
        np.asarray(examples.has_expression, bool),
        np.asarray(examples.has_structure, bool),
    )


def pooled_scores(
    evidence: TargetEvidence,
    scales: Float32[np.ndarray, "view expert"],
    carry: Float32[np.ndarray, "protein gene"],
    columns: Int[np.ndarray, " protein"],
    groups: Sequence[str],
) -> dict[str, Float[np.ndarray, "compound gene"]]:
    """View -> `target_scores` of genes, averaged over the examples of each compound.

    Args:
      evidence: of the examples.
      scales: of its experts in each of `VIEWS`.
      carry: from the proteins with evidence to genes, these proteins among them.
      columns: the columns of `carry` that are these proteins.
      groups: compound group of each example; compounds are sorted as by `pool_by_compound`.
    """
    names, unit = np.unique(np.asarray(groups, str), return_inverse=True)
    shares = sparse.csc_array(((1 / np.bincount(unit))[unit], (unit, np.arange(len(unit)))))
    pooled = {view: np.zeros((len(names), carry.shape[1])) for view in VIEWS}
    for view in VIEWS:
        # The score of a gene is that of both actions together.
        by_protein = evidence.by_protein(scales, view)
        for start in range(0, len(unit), _BLOCK):
            rows = slice(start, start + _BLOCK)
            scores = target_scores((by_protein[rows] @ carry)[:, None], columns)
            pooled[view] += shares[:, rows] @ scores
    return pooled
