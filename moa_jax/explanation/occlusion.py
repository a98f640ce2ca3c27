"""How far a score falls when genes, terms, nodes or atoms are taken away."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from moa_jax.compounds.substructures import atoms_within, counts_without_atoms
from moa_jax.data.features import EncodedExamples
from moa_jax.explanation.chunks import MAX_ROWS, Step, chunk_size, run_in_chunks
from moa_jax.explanation.scores import Directions, Question, score
from moa_jax.schemas import Batch, GraphArrays, InputError, KnowledgeGraph
from moa_jax.training.predictor import Predictor

# Bonds from an atom that `occlude_neighbourhoods` goes: as far as the widest Morgan environments.
MAX_RADIUS = 3


def occlude(
    predictor: Predictor,
    examples: EncodedExamples,
    question: Question,
    directions: Directions,
    *,
    groups: Bool[np.ndarray, "group feature"] | None = None,
    replacement: Float[np.ndarray, "example feature"] | None = None,
    max_rows: int = MAX_ROWS,
) -> Float[np.ndarray, "example target group"]:
    """Score less the score with a group of entries replaced (Zeiler and Fergus 2014).

    Args:
      predictor: the model.
      examples: encoded examples.
      question: of a part with one row per example, such as `expression` or `activity`.
      directions: the scores.
      groups: which entries go together, such as the genes of each term (`term_genes`); every
        entry by itself where there is none.
      replacement: what stands in their place; zeros where there is none.
      max_rows: examples times groups that are evaluated at once.
    """
    num_features = (
        predictor.graph.propagation.shape[1]
        if question.part == "activity"
        else getattr(examples, question.part).shape[1]
    )
    if groups is None:
        groups = np.eye(num_features, dtype=bool)
    if replacement is None:
        replacement = np.zeros((examples.num_examples, num_features), np.float32)
    size = chunk_size(examples.num_examples, len(groups), max_rows, predictor.mesh.size)
    step = _make_step(question, max(1, max_rows // size))
    own = {"directions": directions, "replacement": replacement}
    return run_in_chunks(functools.partial(step, groups), predictor, examples, own, size=size)


@functools.lru_cache(maxsize=32)
def _make_step(question: Question, block: int) -> Any:
    @jax.jit
    def step(
        groups: Bool[Array, "group feature"],
        params: Any,
        batch: Batch,
        graph: GraphArrays,
        own: dict[str, Array],
    ) -> Float[Array, "example target group"]:
        outputs = question.outputs(params, batch, graph)
        inputs = question.inputs(batch, graph)
        whole = score(outputs(inputs), own["directions"])

        def without(group: Bool[Array, " feature"]) -> Float[Array, "example target"]:
            left = jnp.where(group, own["replacement"], inputs)
            return whole - score(outputs(left), own["directions"])

        return jnp.moveaxis(jax.lax.map(without, groups, batch_size=block), 0, -1)

    return step


def term_genes(graph: KnowledgeGraph) -> Bool[np.ndarray, "term landmark"]:
    """Measured genes that are annotated to each term, or to a term below it."""
    edges = [
        (edges.senders, edges.receivers)
        for edges in (graph.is_a, graph.part_of)
        if len(edges.senders)
    ]
    members = np.zeros((graph.num_terms, graph.num_genes), bool)
    members[graph.annotated_to.receivers, graph.annotated_to.senders] = True
    while True:
        before = members.sum()
        for children, parents in edges:
            np.logical_or.at(members, parents, members[children])
        if members.sum() == before:
            return members[:, : graph.num_landmarks]


def occlude_atoms(
    predictor: Predictor,
    examples: EncodedExamples,
    smiles: Sequence[str | None],
    question: Question,
    directions: Directions,
    *,
    groups: Sequence[Bool[np.ndarray, "_ _"]] | None = None,
    max_rows: int = MAX_ROWS,
) -> list[Float[np.ndarray, "target _"]]:
    """Score less the score without the substructures that hold an atom, or one of a group.

    It speaks of models that read substructure counts; a model's other views of the molecule stay
    whole. For encoders of the molecular graph take gradients of `atom_features` instead.

    Args:
      predictor: the model.
      examples: encoded examples.
      smiles: their structures, as they were encoded; None where an example has none.
      question: only its output is read.
      directions: the scores.
      groups: for each example, `[group atom]` in the order of its SMILES; every atom by
        itself where there is none.
      max_rows: examples times atoms that are evaluated at once.

    Returns:
      One array per example; without columns where it has no structure.

    Raises:
      InputError: the structures or groups are not of these examples.
    """
    if len(smiles) != examples.num_examples or (groups is not None and len(groups) != len(smiles)):
        raise InputError(
            f"{len(smiles)} structures and {'no' if groups is None else len(groups)} groups of "
            f"atoms were given for {examples.num_examples} examples."
        )
    empty = np.zeros((0, examples.substructures.shape[1]), np.uint8)
    counts = []
    for row, text in enumerate(smiles):
        molecule = examples.molecules[examples.structure[row]]
        if text is None or molecule is None:
            counts.append(empty)
            continue
        removed = np.eye(molecule.num_atoms, dtype=bool) if groups is None else groups[row]
        counts.append(counts_without_atoms(text, removed))
    longest = max(1, *map(len, counts))
    padded = np.zeros((len(counts), longest, examples.substructures.shape[1]), np.uint8)
    for row, of_example in enumerate(counts):
        padded[row, : len(of_example)] = of_example
    size = chunk_size(examples.num_examples, longest, max_rows, predictor.mesh.size)
    found = run_in_chunks(
        _make_atom_step(question, max(1, max_rows // size)),
        predictor,
        examples,
        {"directions": directions, "counts": padded},
        size=size,
    )
    return [of_example[:, : len(own)] for of_example, own in zip(found, counts, strict=True)]


def occlude_neighbourhoods(
    predictor: Predictor,
    examples: EncodedExamples,
    smiles: Sequence[str | None],
    question: Question,
    directions: Directions,
    *,
    max_radius: int = MAX_RADIUS,
    max_rows: int = MAX_ROWS,
) -> list[Float[np.ndarray, "target _"]]:
    """Fall of the score without an atom and all within r bonds, mean over r from 0 to `max_radius`.

    A substructure of which one atom is gone is still told by what remains of it, so that single
    atoms seem to matter less than they do together. Near the middle of a molecule more is taken
    away: scores rank atoms, and do not add up to the score.

    Args:
      predictor: the model.
      examples: encoded examples.
      smiles: see `occlude_atoms`.
      question: only its output is read.
      directions: the scores.
      max_radius: the largest r in bonds; 0 leaves `occlude_atoms` of every atom by itself.
      max_rows: examples times atoms that are evaluated at once.

    Returns:
      One array per example; without columns where it has no structure.

    Raises:
      InputError: the structures are not of these examples, or RDKit cannot read one.
    """
    none = np.zeros((0, 0), bool)
    of_radii = [
        occlude_atoms(
            predictor,
            examples,
            smiles,
            question,
            directions,
            groups=[none if text is None else atoms_within(text, radius) for text in smiles],
            max_rows=max_rows,
        )
        for radius in range(max_radius + 1)
    ]
    return [np.mean(of_example, axis=0) for of_example in zip(*of_radii, strict=True)]


@functools.lru_cache(maxsize=32)
def _make_atom_step(question: Question, block: int) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> Float[Array, "example target group"]:
        def scored(counts: UInt8[Array, "example substructure"]) -> Float[Array, "example target"]:
            seen = dataclasses.replace(batch, substructures=counts)
            return score(question.answers(params, seen, graph), own["directions"])

        whole = scored(batch.substructures)
        left = jax.lax.map(scored, jnp.swapaxes(own["counts"], 0, 1), batch_size=block)
        return jnp.moveaxis(whole - left, 0, -1)

    return step
