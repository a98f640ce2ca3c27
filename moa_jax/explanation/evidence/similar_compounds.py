"""The training compounds that a prediction rests on.

A kernel expert's logit is a sum over its references, `sum_r kernel(example, r) * coefficient[r]`
(kernel ridge regression, Saunders 1998), so the contribution of each reference is exact.
References that lack an MoA count against it: their coefficients are mostly negative. An expert
through proteins is linear in the evidence of a kernel expert, `sum_r kernel(example, r) *
action_coefficient[r] @ prototype`, and so divides among the same references.

A signature that is orthogonal to every reference still has a kernel of `exp(-width)` with each, so
a compound with many references contributes much to any answer. The contribution of its similarity
is counted from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
class ScaledCoefficients:
    """What each reference adds to an expert's logits per unit of kernel, and the expert's scale.

    Attributes:
      scale: the expert scale; 0 where an example lacks the modality.
      coefficients: weight of each reference for each MoA.
    """

    scale: Float[np.ndarray, " example"]
    coefficients: Float[np.ndarray, "reference moa"]

    def weights(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        """Weight of each reference in the model's logit."""
        return self.scale[example] * self.coefficients[:, moa]


@dataclasses.dataclass(frozen=True)
class KernelEvidence:
    """Kernel and references of one kernel expert, and their coefficients.

    Attributes:
      expert: its name.
      kernel: kernel of each example with each reference.
      similarity: the similarity that the kernel is a function of: cosine of the centred signatures
        or of node activities, or mean Tanimoto similarity of the structures.
      direct: coefficients of the expert itself.
      through_proteins: expert that answers through the proteins of this one -> its coefficients.
      references: `kernels.references.REFERENCE_COLUMNS`, one row per reference.
      blank: kernel of an example that resembles no reference.
    """

    expert: str
    kernel: Float[np.ndarray, "example reference"]
    similarity: Float[np.ndarray, "example reference"]
    direct: ScaledCoefficients
    through_proteins: Mapping[str, ScaledCoefficients]
    references: pd.DataFrame
    blank: float

    def contributions(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        """Contribution of each reference to the model's logit.

        They sum to the scaled logits of this expert and of those through its proteins.
        """
        return self.kernel[example] * self._weights(example, moa)

    def from_similarity(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        """The same, minus the reference's contribution to an example that resembles nothing."""
        return (self.kernel[example] - self.blank) * self._weights(example, moa)

    def from_proteins(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        """The part of `from_similarity` that comes through proteins."""
        return (self.kernel[example] - self.blank) * self._protein_weights(example, moa)

    def _weights(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        return self.direct.weights(example, moa) + self._protein_weights(example, moa)

    def _protein_weights(self, example: int, moa: int) -> Float[np.ndarray, " reference"]:
        total = np.zeros(len(self.references))
        for reader in self.through_proteins.values():
            total += reader.weights(example, moa)
        return total


def kernel_evidence(
    predictor: Predictor, examples: EncodedExamples, references: pd.DataFrame
) -> dict[str, KernelEvidence]:
    """The evidence of the kernel experts of a model, and of the experts through their proteins.

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
        coefficients = _coefficients(expert, model.experts, params)
        # A kernel without references has one blank reference, which keeps the arrays' shape.
        if len(own) == 0 and len(coefficients[expert]) == 1 and not coefficients[expert].any():
            coefficients = {name: values[:0] for name, values in coefficients.items()}
        if len(own) != len(coefficients[expert]):
            raise InputError(
                f"the run's table of references has {len(own)} rows for {expert}, but its "
                f"checkpoint has {len(coefficients[expert])} references; they belong to different "
                "runs."
            )
        kernel, scales = _kernel_and_scales(predictor, expert, tuple(coefficients), examples)
        kernel = kernel[:, : len(own)]
        scaled = {
            name: ScaledCoefficients(scale, coefficients[name]) for name, scale in scales.items()
        }
        evidence[expert] = KernelEvidence(
            expert=expert,
            kernel=kernel,
            similarity=comparison.similarity(kernel),
            direct=scaled.pop(expert),
            through_proteins=scaled,
            references=own,
            blank=comparison.blank,
        )
    return evidence


def _coefficients(
    expert: str, experts: Sequence[str], params: Mapping[str, Any]
) -> dict[str, Float[np.ndarray, "reference moa"]]:
    """Coefficients of a kernel expert, then of the experts through its proteins."""
    own = params[expert]
    coefficients = {expert: np.asarray(own["coefficients"], np.float64)}
    readers = [name for name in experts if EXPERTS[name].through_proteins == expert]
    if readers:
        prototypes = np.asarray(params["mechanism_prototypes"])
        through = np.asarray(own["action_coefficients"]) @ prototypes
        coefficients |= dict.fromkeys(readers, through.astype(np.float64))
    return coefficients


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
      reference), `contribution`, `from_similarity` and `from_proteins` (see `KernelEvidence`).
      Contributions sum to that of the experts with references to the model's logit: of a model
      without networks, to all of it. The largest `from_similarity` comes first, ties by name.
    """
    tables = [
        own.references.assign(
            similarity=own.similarity[example],
            contribution=own.contributions(example, moa),
            from_similarity=own.from_similarity(example, moa),
            from_proteins=own.from_proteins(example, moa),
        )
        for own in evidence.values()
        if len(own.references)
    ]
    columns = ["expert", "group", "compound", "moas", "cell_lines"]
    columns += ["num_references", "similarity", "contribution"]
    columns += ["from_similarity", "from_proteins"]
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
        from_proteins=("from_proteins", "sum"),
    ).reset_index()
    return summary.sort_values(
        ["from_similarity", "expert", "group"], ascending=[False, True, True], ignore_index=True
    )[columns]


def _first_name(column: pd.Series) -> str:
    """The first of several spellings of a compound's name."""
    return min(column.astype(str))


def _kernel_and_scales(
    predictor: Predictor, expert: str, scaled: tuple[str, ...], examples: EncodedExamples
) -> tuple[Float[np.ndarray, "example reference"], dict[str, Float[np.ndarray, " example"]]]:
    """The kernel of one expert, and the scales of the experts `scaled`."""
    model, comparison = predictor.task.model, EXPERTS[expert].comparison(predictor.task.model)
    places = {name: model.experts.index(name) for name in scaled}

    @jax.jit
    def compute(params: Any, batch: Batch, graph: GraphArrays) -> tuple[Array, dict[str, Array]]:
        of_view = params["expert_scales"][view_of(batch)]
        scales = {
            name: of_view[:, place] * has_modality(name, batch) for name, place in places.items()
        }
        return comparison.compare(params[expert], batch, graph), scales

    parts = [
        jax.device_get(compute(predictor.params, batch, predictor.graph))
        for batch in evaluation_batches(examples, predictor.batch_size, num_shards=1)
    ]
    count = examples.num_examples
    kernel = np.concatenate([kernel for kernel, _ in parts])[:count].astype(np.float64)
    return kernel, {
        name: np.concatenate([scales[name] for _, scales in parts])[:count].astype(np.float64)
        for name in scaled
    }
