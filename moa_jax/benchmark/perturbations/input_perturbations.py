"""Perturbations of the test inputs of a trained method: assay noise, or a damaged modality.

The noise of a signature depends only on the seed, the kind, the level and its `sig_id`; shuffling
depends on the set of rows, not on their order. The levels of one kind use the same random numbers,
so a gene that is lost at one level is lost at every higher level, and curves are smooth.

A realistic level of `peak_swap` is 0.002 to 0.005. In the files `*_DE_{UNI,benchmark,gardn999}.gct`
of the CMap deconvolution contest (plate DPK.CP003_PC3_24H_X1_B42, 372 wells, 488 pairs;
`benchmark.deconvolutions.exchange_rate`), UNI has one gene per bead and cannot exchange any.
Compared with UNI, both genes of a pair change by more than 3 in opposite directions in 0.35 %
(CMap's algorithm) and 0.23 % (the contest's winner) of the pairs, against 0.07 % and 0.04 % of
pairs of genes of different beads (figures by `experiments/deconvolutions`). The order of the two
z-scores alone flips in 32 % of the pairs, but also in 32 % and 30 % of the pairs of genes of
different beads: this is noise, not exchange. Higher levels are a stress test. The real error
exchanges expression before z-scores are computed, and collapsing replicates dampens it.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.benchmark.perturbations.perturbation import (
    CLEAN,
    Perturbation,
    perturbations_from_config,
)
from moa_jax.benchmark.perturbations.shuffling import permute_between_units
from moa_jax.data.examples.bead_pairs import bead_pairs
from moa_jax.random_streams import generator
from moa_jax.schemas import Examples, InputError


@dataclasses.dataclass(frozen=True)
class InputPerturbation(Perturbation):
    """How test examples are perturbed before prediction.

    Attributes:
      kind: one of
        `clean`: unchanged;
        `gaussian`: normal noise is added, `level` is its standard deviation in z-score units;
        `gene_dropout`: the share `level` of each signature's genes is set to 0, "no change";
        `peak_swap`: the share `level` of each signature's bead pairs exchange their two values;
        `plate_offset`: one normal offset per gene, of standard deviation `level`, is added to
          all signatures of a plate (of a cell line where the plate is unknown);
        `expression_zeroed`: every value is 0, but the signature counts as present;
        `expression_absent`: the signature is missing;
        `expression_shuffled`: every signature is replaced by one of another compound;
        `structure_absent`: the structure is missing;
        `structure_shuffled`: every compound gets the structure of another one.
      level: see `kind`; 0 for the kinds without a level.
    """

    # pytest would otherwise collect a class of this name.
    __test__: ClassVar[bool] = False
    NOUN: ClassVar[str] = "input perturbation"
    MAX_LEVELS: ClassVar[Mapping[str, float | None]] = {
        CLEAN: None,
        "gaussian": math.inf,
        "gene_dropout": 1.0,
        "peak_swap": 1.0,
        "plate_offset": math.inf,
        "expression_zeroed": None,
        "expression_absent": None,
        "expression_shuffled": None,
        "structure_absent": None,
        "structure_shuffled": None,
    }


def input_perturbations(
    config: Mapping[str, Sequence[float | int]],
) -> tuple[InputPerturbation, ...]:
    """The perturbations of a config; see `perturbations_from_config`."""
    return perturbations_from_config(InputPerturbation, config)


def perturb(
    perturbation: InputPerturbation, examples: Examples, genes: pd.DataFrame, *, seed: int
) -> Examples:
    """Examples under a perturbation; rows, labels and groups are unchanged.

    Args:
      perturbation: the input perturbation.
      examples: the test examples.
      genes: one row per expression column; `peak_swap` reads its column `bead`.
      seed: seed of the random numbers.

    Raises:
      InputError: no bead pair is known, or one compound has more than half of the signatures or
        structures to shuffle.
    """
    return _PERTURBATIONS[perturbation.kind](perturbation, examples, genes, seed)


def without_expression(examples: Examples) -> Examples:
    """The same examples without their signatures."""
    return dataclasses.replace(examples, has_expression=np.zeros(examples.num_examples, bool))


def without_structure(examples: Examples) -> Examples:
    """The same examples without their structures."""
    return dataclasses.replace(examples, smiles=(None,) * examples.num_examples)


def _draws(
    kind: str,
    names: Sequence[object],
    seed: int,
    draw: Callable[[np.random.Generator], np.ndarray],
) -> Float[np.ndarray, "name draw"]:
    """One row of random numbers per name; equal names get equal rows."""
    row_of = {name: draw(generator(seed, f"{kind} {name}")) for name in dict.fromkeys(names)}
    return np.array([row_of[name] for name in names])


def _with_expression(examples: Examples, expression: Float[np.ndarray, "row gene"]) -> Examples:
    return dataclasses.replace(examples, expression=expression.astype(np.float32))


def _clean(_: InputPerturbation, examples: Examples, __: pd.DataFrame, ___: int) -> Examples:
    return examples


def _gaussian(
    perturbation: InputPerturbation, examples: Examples, _: pd.DataFrame, seed: int
) -> Examples:
    return _with_offsets(perturbation, examples, list(examples.table["sig_id"]), seed)


def _plate_offset(
    perturbation: InputPerturbation, examples: Examples, _: pd.DataFrame, seed: int
) -> Examples:
    plates, cell_lines = examples.table["plate"], examples.table["cell_line"]
    names = [
        f"plate {plate}" if isinstance(plate, str) else f"cell line {cell_line}"
        for plate, cell_line in zip(plates, cell_lines, strict=True)
    ]
    return _with_offsets(perturbation, examples, names, seed)


def _with_offsets(
    perturbation: InputPerturbation, examples: Examples, names: Sequence[object], seed: int
) -> Examples:
    """Adds one normal offset per name and gene, of standard deviation `perturbation.level`."""
    if not examples.num_examples:
        return examples
    num_genes = len(examples.gene_mask)
    noise = _draws(perturbation.kind, names, seed, lambda rng: rng.standard_normal(num_genes))
    return _with_expression(examples, examples.expression + perturbation.level * noise)


def _gene_dropout(
    perturbation: InputPerturbation, examples: Examples, _: pd.DataFrame, seed: int
) -> Examples:
    measured = np.flatnonzero(examples.gene_mask)
    chosen = measured[_chosen(perturbation, examples, len(examples.gene_mask), measured, seed)]
    expression = examples.expression.copy()
    np.put_along_axis(expression, chosen, 0.0, axis=1)
    return _with_expression(examples, expression)


def _peak_swap(
    perturbation: InputPerturbation, examples: Examples, genes: pd.DataFrame, seed: int
) -> Examples:
    pairs = bead_pairs(genes)
    if not len(pairs):
        raise InputError(
            f"no two of the {len(genes)} genes have the same bead (column bead of the gene table); "
            "prepare the dataset with a table of beads."
        )
    measured = np.flatnonzero(examples.gene_mask[pairs].all(axis=1))
    chosen = pairs[measured][_chosen(perturbation, examples, len(pairs), measured, seed)]
    expression = examples.expression.copy()
    for to, origin in ((0, 1), (1, 0)):
        values = np.take_along_axis(examples.expression, chosen[..., origin], axis=1)
        np.put_along_axis(expression, chosen[..., to], values, axis=1)
    return _with_expression(examples, expression)


def _chosen(
    perturbation: InputPerturbation,
    examples: Examples,
    num_items: int,
    eligible: Int[np.ndarray, " eligible"],
    seed: int,
) -> Int[np.ndarray, "example chosen"]:
    """For each signature, the positions of a share `perturbation.level` of the `eligible` items.

    Every item, eligible or not, has a random number; the smallest are chosen.
    """
    count = round(perturbation.level * len(eligible))
    if not examples.num_examples:
        return np.empty((0, count), np.int64)
    draws = _draws(
        perturbation.kind, list(examples.table["sig_id"]), seed, lambda rng: rng.random(num_items)
    )
    return np.argsort(draws[:, eligible], axis=1, kind="stable")[:, :count]


def _expression_zeroed(
    _: InputPerturbation, examples: Examples, __: pd.DataFrame, ___: int
) -> Examples:
    return _with_expression(examples, np.zeros_like(examples.expression))


def _expression_absent(
    _: InputPerturbation, examples: Examples, __: pd.DataFrame, ___: int
) -> Examples:
    return without_expression(examples)


def _expression_shuffled(
    perturbation: InputPerturbation, examples: Examples, _: pd.DataFrame, seed: int
) -> Examples:
    # Sorted, so that the result does not depend on the order of the rows.
    rows = sorted(
        np.flatnonzero(examples.has_expression).tolist(),
        key=lambda row: (examples.groups[row], str(examples.table["sig_id"].iloc[row])),
    )
    source = permute_between_units(
        [examples.groups[row] for row in rows],
        rng=generator(seed, perturbation.kind),
        what="signatures",
    )
    expression = examples.expression.copy()
    expression[rows] = examples.expression[np.array(rows, int)[source]]
    return _with_expression(examples, expression)


def _structure_absent(
    _: InputPerturbation, examples: Examples, __: pd.DataFrame, ___: int
) -> Examples:
    return without_structure(examples)


def _structure_shuffled(
    perturbation: InputPerturbation, examples: Examples, _: pd.DataFrame, seed: int
) -> Examples:
    of_group = collections.defaultdict(set)
    for group, smiles in zip(examples.groups, examples.smiles, strict=True):
        if smiles is not None:
            of_group[group].add(smiles)
    groups = sorted(of_group)
    structures = [min(of_group[group]) for group in groups]
    # Structures are the units, so that no compound gets its own structure under another name.
    source = permute_between_units(
        structures, rng=generator(seed, perturbation.kind), what="structures"
    )
    given = {group: structures[donor] for group, donor in zip(groups, source, strict=True)}
    return dataclasses.replace(
        examples,
        smiles=tuple(
            None if smiles is None else given[group]
            for group, smiles in zip(examples.groups, examples.smiles, strict=True)
        ),
    )


_PERTURBATIONS: dict[str, Callable[[InputPerturbation, Examples, pd.DataFrame, int], Examples]] = {
    CLEAN: _clean,
    "gaussian": _gaussian,
    "gene_dropout": _gene_dropout,
    "peak_swap": _peak_swap,
    "plate_offset": _plate_offset,
    "expression_zeroed": _expression_zeroed,
    "expression_absent": _expression_absent,
    "expression_shuffled": _expression_shuffled,
    "structure_absent": _structure_absent,
    "structure_shuffled": _structure_shuffled,
}
