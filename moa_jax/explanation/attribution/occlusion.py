"""Occlusion: how much a score falls when genes or atoms are removed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from moa_jax.compounds.substructures import atoms_within, counts_without_atoms
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.explanation.attribution.chunks import MAX_ROWS, Step, chunk_size, run_in_chunks
from moa_jax.explanation.attribution.target import AttributionTarget, Directions, score
from moa_jax.schemas import Batch, GraphArrays, InputError
from moa_jax.training.runs.predictor import Predictor

# Largest radius of `occlude_neighbourhoods`, in bonds: that of the Morgan environments.
MAX_RADIUS = 3


def occlude_genes(
    predictor: Predictor,
    examples: EncodedExamples,
    attribution_target: AttributionTarget,
    directions: Directions,
    *,
    replacement: Float[np.ndarray, "example gene"],
) -> Float[np.ndarray, "example target gene"]:
    """Score minus the score with a gene replaced (Zeiler and Fergus 2014), for every gene.

    Args:
      predictor: the model.
      examples: encoded examples.
      attribution_target: with the input `expression`.
      directions: the scores.
      replacement: values that genes are replaced by.
    """
    num_genes = examples.expression.shape[1]
    size = chunk_size(examples.num_examples, num_genes, MAX_ROWS, predictor.mesh.size)
    own = {"directions": directions, "replacement": replacement}
    step = _make_gene_step(attribution_target, max(1, MAX_ROWS // size))
    return run_in_chunks(step, predictor, examples, own, size=size)


@functools.lru_cache(maxsize=32)
def _make_gene_step(attribution_target: AttributionTarget, block: int) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> Float[Array, "example target gene"]:
        outputs = attribution_target.outputs(params, batch, graph)
        inputs = attribution_target.inputs(batch, graph)
        whole = score(outputs(inputs), own["directions"])
        genes = jnp.arange(inputs.shape[1])

        def without(gene: Int[Array, ""]) -> Float[Array, "example target"]:
            left = jnp.where(genes == gene, own["replacement"], inputs)
            return whole - score(outputs(left), own["directions"])

        return jnp.moveaxis(jax.lax.map(without, genes, batch_size=block), 0, -1)

    return step


def occlude_atoms(
    predictor: Predictor,
    examples: EncodedExamples,
    smiles: Sequence[str | None],
    attribution_target: AttributionTarget,
    directions: Directions,
    *,
    groups: Sequence[Bool[np.ndarray, "_ _"]] | None = None,
) -> list[Float[np.ndarray, "target _"]]:
    """Score minus the score without the substructures that contain an atom, or one of a group.

    Only substructure counts change, so this explains models that read these.

    Args:
      predictor: the model.
      examples: encoded examples.
      smiles: the structures that were encoded; None where an example has none.
      attribution_target: the model whose logits are scored; its input is not read.
      directions: the scores.
      groups: `[group atom]` for each example, atoms in the order of its SMILES; single atoms by
        default.

    Returns:
      One array per example, without columns where it has no structure.

    Raises:
      InputError: the number of structures or groups is not that of the examples.
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
    size = chunk_size(examples.num_examples, longest, MAX_ROWS, predictor.mesh.size)
    found = run_in_chunks(
        _make_atom_step(attribution_target, max(1, MAX_ROWS // size)),
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
    attribution_target: AttributionTarget,
    directions: Directions,
) -> list[Float[np.ndarray, "target _"]]:
    """Fall of the score without an atom and all within r bonds, mean over r up to `MAX_RADIUS`.

    Overlapping substructures are redundant, so removing single atoms understates their effect.
    Neighbourhoods near the middle of a molecule are larger: the values rank atoms but do not add
    up to the score.

    Args:
      predictor: the model.
      examples: encoded examples.
      smiles: see `occlude_atoms`.
      attribution_target: see `occlude_atoms`.
      directions: the scores.

    Returns:
      One array per example, without columns where it has no structure.

    Raises:
      InputError: the number of structures is not that of the examples, or RDKit cannot read one.
    """
    none = np.zeros((0, 0), bool)
    of_radii = [
        occlude_atoms(
            predictor,
            examples,
            smiles,
            attribution_target,
            directions,
            groups=[none if text is None else atoms_within(text, radius) for text in smiles],
        )
        for radius in range(MAX_RADIUS + 1)
    ]
    return [np.mean(of_example, axis=0) for of_example in zip(*of_radii, strict=True)]


@functools.lru_cache(maxsize=32)
def _make_atom_step(attribution_target: AttributionTarget, block: int) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> Float[Array, "example target group"]:
        def scored(counts: UInt8[Array, "example substructure"]) -> Float[Array, "example target"]:
            seen = dataclasses.replace(batch, substructures=counts)
            return score(attribution_target.logits(params, seen, graph), own["directions"])

        whole = scored(batch.substructures)
        left = jax.lax.map(scored, jnp.swapaxes(own["counts"], 0, 1), batch_size=block)
        return jnp.moveaxis(whole - left, 0, -1)

    return step
