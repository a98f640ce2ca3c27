"""The training compounds that a prediction rests on.

A kernel expert's logit is a sum over its references, `sum_r kernel(example, r) * coefficient[r]`
(kernel ridge regression, Saunders 1998), so the contribution of each reference is exact.
References that lack an MoA count against it: their coefficients are mostly negative.

A signature that is orthogonal to every reference still has a kernel of `exp(-width)` with each, so
a compound with many references contributes much to any answer. The contribution of its similarity
is counted from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.models.experts import EXPERTS, has_modality, view_of
from moa_jax.schemas import Batch, GraphArrays, InputError
from moa_jax.training.runs.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class KernelEvidence:
    """Kernel, references and coefficients of one kernel expert.

    Attributes:
      expert: its name.
      kernel: kernel of each example with each reference.
      similarity: the similarity that the kernel is a function of: cosine of the centred signatures
        or of node activities, or mean Tanimoto similarity of the structures.
      scale: the expert scale; 0 where an example lacks the modality.
      coefficients: weight of each reference for each MoA.
      references: `kernels.references.REFERENCE_COLUMNS`, one row per reference.
      blank: kernel of an example that resembles no reference.
    """

    expert: str
    kernel: Float[np.ndarray, "example reference"]
    similarity: Float[np.ndarray, "example reference"]
    scale: Float[np.ndarray, " example"]
    coefficients: Float[np.ndarray, "reference moa"]
    references: pd.DataFrame
    blank: float

    def contributions(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        """Contribution of each reference to the model's logit; they sum to the scaled logit."""
        return self.scale[example] * self.kernel[example] * self.coefficients[:, moa]

    def from_similarity(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        """The same, minus the reference's contribution to an example that resembles nothing."""
        beyond = self.kernel[example] - self.blank
        return self.scale[example] * beyond * self.coefficients[:, moa]


def kernel_evidence(
    predictor: Predictor, examples: EncodedExamples, references: pd.DataFrame
) -> dict[str, KernelEvidence]:
    """The evidence of the kernel experts of a model.

    Args:
      predictor: a fusion model.
      examples: examples to explain; memory grows with examples times references.
      references: from `kernels.references.read_references`.

    Returns:
      Kernel expert -> its evidence; empty if the model has no kernel expert.

    Raises:
      InputError: the references belong to another model.
    """
    model = predictor.task.model
    params = jax.device_get(predictor.params)
    evidence = {}
    for expert in model.experts:
        if EXPERTS[expert].comparison is None:
            continue
        comparison = EXPERTS[expert].comparison(model)
        own = references[references["expert"] == expert].reset_index(drop=True)
        coefficients = np.asarray(params[expert]["coefficients"], np.float64)
        # A kernel without references has one blank reference, which keeps the arrays' shape.
        if len(own) == 0 and len(coefficients) == 1 and not coefficients.any():
            coefficients = coefficients[:0]
        if len(own) != len(coefficients):
            raise InputError(
                f"the run's table of references has {len(own)} rows for {expert}, but its "
                f"checkpoint has {len(coefficients)} references; they belong to different runs."
            )
        kernel, scale = _kernel_and_scale(predictor, expert, examples)
        kernel = kernel[:, : len(own)]
        evidence[expert] = KernelEvidence(
            expert=expert,
            kernel=kernel,
            similarity=comparison.similarity(kernel),
            scale=scale,
            coefficients=coefficients,
            references=own,
            blank=comparison.blank,
        )
    return evidence


def compound_evidence(
    evidence: Mapping[str, KernelEvidence], example: int, moa: int
) -> pd.DataFrame:
    """Contribution of each training compound to one logit of one example.

    Args:
      evidence: of `kernel_evidence`.
      example: row of the example.
      moa: column of the MoA.

    Returns:
      One row per expert and compound: `expert`, `group`, `compound`, `moas` (tuple), `cell_lines`
      (tuple; empty for structures), `num_references`, `similarity` (of the most similar
      reference), `contribution` and `from_similarity` (see `KernelEvidence`). Contributions sum
      to that of the kernel experts to the model's logit. The largest `from_similarity` comes
      first, ties by name.
    """
    tables = [
        own.references.assign(
            similarity=own.similarity[example],
            contribution=own.contributions(example, moa),
            from_similarity=own.from_similarity(example, moa),
        )
        for own in evidence.values()
        if len(own.references)
    ]
    columns = ["expert", "group", "compound", "moas", "cell_lines"]
    columns += ["num_references", "similarity", "contribution", "from_similarity"]
    if not tables:
        return pd.DataFrame(columns=columns)
    grouped = pd.concat(tables, ignore_index=True).groupby(["expert", "group"], sort=True)
    summary = grouped.agg(
        compound=("compound", _first_name),
        moas=("moas", lambda column: tuple(sorted({moa for moas in column for moa in moas}))),
        cell_lines=("cell_line", lambda column: tuple(sorted(set(column.dropna())))),
        num_references=("contribution", "size"),
        similarity=("similarity", "max"),
        contribution=("contribution", "sum"),
        from_similarity=("from_similarity", "sum"),
    ).reset_index()
    return summary.sort_values(
        ["from_similarity", "expert", "group"], ascending=[False, True, True], ignore_index=True
    )[columns]


def _first_name(column: pd.Series) -> str:
    """The first of several spellings of a compound's name."""
    return min(column.astype(str))


def _kernel_and_scale(
    predictor: Predictor, expert: str, examples: EncodedExamples
) -> tuple[Float[np.ndarray, "example reference"], Float[np.ndarray, " example"]]:
    model, params = predictor.task.model, predictor.params
    place, comparison = model.experts.index(expert), EXPERTS[expert].comparison(model)

    @jax.jit
    def compute(params: Any, batch: Batch, graph: GraphArrays) -> tuple[Array, Array]:
        scale = params["expert_scales"][view_of(batch)][:, place]
        kernel = comparison.compare(params[expert], batch, graph)
        return kernel, scale * has_modality(expert, batch)

    parts = [
        jax.device_get(compute(params, batch, predictor.graph))
        for batch in evaluation_batches(examples, predictor.batch_size, num_shards=1)
    ]
    kernel, scale = (
        np.concatenate(column)[: examples.num_examples].astype(np.float64)
        for column in zip(*parts, strict=True)
    )
    return kernel, scale
