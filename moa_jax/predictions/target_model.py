"""What a run knows of targets, and what it says about each gene for compounds."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jaxtyping import Float, Int

from moa_jax.calibration.target_calibration import (
    TARGET_CALIBRATION_FILE,
    TargetCalibrator,
    read_target_calibration,
)
from moa_jax.kernels.known_targets import count_ligands, read_known_targets
from moa_jax.kernels.protein_carry import gene_rows
from moa_jax.models.experts import EXPERTS, STRUCTURE_KERNEL, VIEWS
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.predictions.answered_examples import AnsweredExamples
from moa_jax.schemas import KnowledgeGraph
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.target_answers import action_margins, target_scores

# Examples whose logits for all genes are held at a time.
_BLOCK = 1024
# Least difference of the logits of the two actions, as a share of their sum, to tell which it is.
_MIN_DIFFERENCE = 0.1


@dataclasses.dataclass(frozen=True)
class TargetModel:
    """What a run knows of targets beside its parameters.

    Attributes:
      predictor: its model.
      graph: the knowledge graph that it was trained with.
      calibrators: view -> calibrator of probabilities and actions.
      num_ligands: training compounds that are known to act on each gene.
      targets_of: training compound -> its known targets.
    """

    predictor: Predictor
    graph: KnowledgeGraph
    calibrators: Mapping[str, TargetCalibrator]
    num_ligands: Int[np.ndarray, " gene"]
    targets_of: Mapping[str, frozenset[str]]

    @property
    def columns(self) -> Int[np.ndarray, " protein"]:
        """Gene nodes of the proteins with evidence."""
        return gene_rows(self.graph, self.predictor.features.proteins)


def read_target_model(
    workdir: pathlib.Path, predictor: Predictor, graph: KnowledgeGraph
) -> TargetModel | None:
    """What `train` wrote about targets; None for a model that does not answer for proteins.

    Args:
      workdir: folder of the run.
      predictor: its model.
      graph: its knowledge graph.

    Raises:
      InputError: a file of the run is damaged.
    """
    if PROTEINS not in predictor.params or not (workdir / TARGET_CALIBRATION_FILE).exists():
        return None
    table = read_known_targets(workdir)
    return TargetModel(
        predictor=predictor,
        graph=graph,
        calibrators=read_target_calibration(workdir),
        num_ligands=count_ligands(table, list(graph.genes["symbol"])),
        targets_of={row.group: frozenset(row.targets) for row in table.itertuples(index=False)},
    )


@dataclasses.dataclass(frozen=True)
class PooledTargets:
    """What a compound probably does to each gene, pooled over its examples.

    Attributes:
      place: place of the compound among the answers.
      rows: the examples that it is answered from.
      probs: calibrated probability that it is a target.
      scores: score before calibration, which orders equal probabilities.
      activates: probability of `activates`, if it is a target; NaN where it cannot be told, because
        the gene has no ligands or little is known of what they do to it.
      parts: evidence from structure and from signatures, in logits.
    """

    place: int
    rows: Int[np.ndarray, " row"]
    probs: Float[np.ndarray, " gene"]
    scores: Float[np.ndarray, " gene"]
    activates: Float[np.ndarray, " gene"]
    parts: Float[np.ndarray, "2 gene"]


def pooled_targets(model: TargetModel, answered: AnsweredExamples) -> Iterator[PooledTargets]:
    """The genes of each compound that is answered from a calibrated view.

    Examples are pooled as for the compound's answer (`answer_basis`): signatures that pass the
    gates, or else its structures.

    Args:
      model: of the run.
      answered: the examples and their answers.
    """
    basis, examples = answered.answers.basis, answered.examples
    groups = np.asarray(examples.groups, str)
    rows_of = []
    for place, (group, view) in enumerate(zip(basis.groups, basis.views, strict=True)):
        if view in model.calibrators:
            used = examples.has_structure if view == "structure" else basis.used
            rows_of.append((place, np.flatnonzero((groups == group) & used)))
    scales = np.asarray(jax.device_get(model.predictor.params[PROTEINS]["scales"]), np.float64)
    for block in _blocks(rows_of):
        rows = np.concatenate([own for _, own in block])
        logits = model.predictor.predict_proteins(answered.encoded.take(rows))
        start = 0
        for place, own in block:
            here, start = slice(start, start + len(own)), start + len(own)
            view = basis.views[place]
            weights = basis.weights[own] if basis.weights[own].any() else np.ones(len(own))
            shares = weights / weights.sum()
            total = logits["structure" if view == "structure" else "fusion"][here]
            scores = shares @ target_scores(total, model.columns)
            parts = _parts(model, view, logits["structure"][here], total, scales)
            yield PooledTargets(
                place=place,
                rows=own,
                probs=model.calibrators[view].probability(scores[None], model.num_ligands)[0],
                scores=scores,
                activates=_activates(model, view, total, shares),
                parts=np.einsum("e,peg->pg", shares, parts),
            )


def _activates(
    model: TargetModel,
    view: str,
    logits: Float[np.ndarray, "example action gene"],
    shares: Float[np.ndarray, " example"],
) -> Float[np.ndarray, " gene"]:
    """Probability of `activates` for each gene; NaN where it cannot be told."""
    margins, total = shares @ action_margins(logits), shares @ logits.sum(axis=1)
    told = (np.abs(margins) >= _MIN_DIFFERENCE * np.abs(total)) & (model.num_ligands > 0)
    return np.where(told, model.calibrators[view].activates(margins), np.nan)


def _blocks(
    rows_of: list[tuple[int, Int[np.ndarray, " _"]]],
) -> Iterator[list[tuple[int, Int[np.ndarray, " _"]]]]:
    """The compounds, each with its rows, in blocks of some `_BLOCK` examples."""
    block, size = [], 0
    for entry in rows_of:
        block.append(entry)
        size += len(entry[1])
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _parts(
    model: TargetModel,
    view: str,
    of_structure: Float[np.ndarray, "example action gene"],
    total: Float[np.ndarray, "example action gene"],
    scales: Float[np.ndarray, "view expert"],
) -> Float[np.ndarray, "2 example gene"]:
    """Evidence from structure and from signatures for each gene, in logits.

    Args:
      model: of the run.
      view: of the compound's answer.
      of_structure: logits from structure alone.
      total: logits in the view.
      scales: of the kernel experts in each of `VIEWS`.
    """
    total = total.sum(axis=1, dtype=np.float64)
    if view == "structure":
        return np.stack([total, np.zeros_like(total)])
    structure = np.zeros_like(total)
    kernels = [name for name in model.predictor.task.model.experts if EXPERTS[name].comparison]
    if view == "fusion" and STRUCTURE_KERNEL in kernels:
        column = kernels.index(STRUCTURE_KERNEL)
        ratio = scales[VIEWS.index("fusion"), column] / scales[VIEWS.index("structure"), column]
        structure = ratio * of_structure.sum(axis=1, dtype=np.float64)
    return np.stack([structure, total - structure])
