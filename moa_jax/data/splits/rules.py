"""Split rules, by what they hold out.

========================  ==============================================================
random_signature          signatures; compounds are on both sides, so it LEAKS: only to
                          show by how much
compound                  compounds: the main result
scaffold                  Murcko scaffolds (acyclic molecules: Butina clusters)
cell_line                 cell lines and compounds
cell_line_same_compounds  cell lines only: known compounds in a new context
dose, time                a range of doses or times, and compounds
plate                     plates with all compounds that were on them
unseen_moa                MoAs; and a fold of the other compounds, so that rejecting the
                          unseen can be scored
everything                nothing: for a final model, to predict other compounds
========================  ==============================================================

The test part is fold `fold` of `num_folds`; the validation part is taken from the rest in the same
way. Rules that hold out two things test where both are new and train where both are known;
signatures where only one is new are `unused`, and so are those whose cell line, dose, time or plate
is unknown but needed. Use other seeds for repetitions. `everything` has no test part for any fold,
and holds out compounds for validation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from moa_jax.data.examples.labels import strata
from moa_jax.data.splits.condition_rules import (
    hold_out_cell_lines,
    hold_out_cell_lines_and_compounds,
    hold_out_doses,
    hold_out_times,
)
from moa_jax.data.splits.identities import (
    COMPOUND_IDENTITIES,
    identity_rows,
    joined_units,
    values_of,
)
from moa_jax.data.splits.request import (
    SplitParts,
    SplitRequest,
    hold_out_units,
    num_validation_folds,
)
from moa_jax.data.splits.stratification import grouped_folds, iterative_stratification
from moa_jax.schemas import UNUSED, Examples, InputError, Split

EVERYTHING = "everything"


def make_split(
    rule: str,
    examples: Examples,
    *,
    fold: int,
    num_folds: int = 5,
    seed: int = 0,
    validation_fraction: float = 0.2,
) -> Split:
    """The split of a rule with one of its folds as test part.

    Args:
      rule: one of `SPLIT_RULES` or `everything`; see the module's docstring.
      examples: the examples to split.
      fold: which fold is the test part.
      num_folds: number of folds.
      seed: seed of the folds and of the validation part.
      validation_fraction: share of the non-test part used for validation, 0 for none; if two
        things are held out, the share of each.

    Raises:
      InputError: there is no such rule, an argument is out of range, or the examples have too
        few compounds, scaffolds, cell lines, doses, times, plates or MoAs for it.
    """
    if rule not in _RULES:
        raise InputError(f"there is no split rule {rule!r}; the rules are {', '.join(_RULES)}.")
    if not 0 <= fold < num_folds:
        raise InputError(f"fold is {fold}, expected 0 to {num_folds - 1}.")
    if not 0 <= validation_fraction <= 0.5:
        raise InputError(f"validation_fraction is {validation_fraction}, expected 0 to 0.5.")
    rows = identity_rows(examples)
    try:
        answer = _RULES[rule](
            SplitRequest(examples, rows, fold, num_folds, seed, validation_fraction)
        )
    except InputError as error:
        raise InputError(f"the {rule} split cannot be made: {error}") from error
    return Split(
        rule=rule,
        seed=seed,
        fold=fold,
        num_folds=num_folds,
        parts=dict(zip(examples.table[answer.unit], answer.part, strict=True)),
        unit=answer.unit,
        held_out=answer.held_out,
    )


def phase_split(
    examples: Examples, other: Examples, *, seed: int = 0, validation_fraction: float = 0.2
) -> Split:
    """Trains on one release and tests on another, without training on compounds of both.

    Compounds of `examples` that share any identity (group, InChIKey block, name, structure)
    with one of `other` are `unused`; a stratified share of the rest validates.

    Args:
      examples: the release to train on.
      other: the release to test on.
      seed: seed of the validation part.
      validation_fraction: share of the remaining compounds, 0 for none.

    Returns:
      A split of both releases, joined, by `sig_id` with rule `phase`, the only fold of one.

    Raises:
      InputError: a `sig_id` is in both releases, or too few compounds remain.
    """
    if not 0 <= validation_fraction <= 0.5:
        raise InputError(f"validation_fraction is {validation_fraction}, expected 0 to 0.5.")
    shared = sorted(set(examples.table["sig_id"]) & set(other.table["sig_id"]))
    if shared:
        raise InputError(f"the signature {shared[0]} is in both releases, so it cannot be split.")
    # Units join across the releases, so that a compound counts as shared where only another
    # name of it is.
    units = joined_units(identity_rows(examples, other), COMPOUND_IDENTITIES)
    own, tested = units[: examples.num_examples], set(units[examples.num_examples :])
    part = np.array([UNUSED if unit in tested else "train" for unit in own], dtype=object)
    rest = np.flatnonzero(part == "train")
    if not len(rest):
        raise InputError("every compound of the training release is in the test release too.")
    if validation_fraction > 0:
        folds = grouped_folds(
            strata(examples)[rest],
            [own[row] for row in rest],
            num_folds=num_validation_folds(validation_fraction),
            seed=seed,
        )
        part[rest[folds == 0]] = "validation"
    parts = dict(zip(examples.table["sig_id"], part, strict=True))
    parts.update(dict.fromkeys(other.table["sig_id"], "test"))
    return Split(rule="phase", seed=seed, fold=0, num_folds=1, parts=parts, unit="sig_id")


def _random_signature(request: SplitRequest) -> SplitParts:
    return SplitParts(hold_out_units(request, list(request.examples.table["sig_id"])), "sig_id")


def _compound(request: SplitRequest) -> SplitParts:
    """Stratifies by one MoA per compound, as in the published results for this split."""
    units = joined_units(request.rows, COMPOUND_IDENTITIES)
    stratum = strata(request.examples)
    folds = grouped_folds(stratum, units, num_folds=request.num_folds, seed=request.seed)
    return _compounds(request, units, tested=folds == request.fold)


def _everything(request: SplitRequest) -> SplitParts:
    units = joined_units(request.rows, COMPOUND_IDENTITIES)
    return _compounds(request, units, tested=np.zeros(len(units), bool))


def _compounds(
    request: SplitRequest, units: list[str], *, tested: Bool[np.ndarray, " example"]
) -> SplitParts:
    """Tests some examples and validates on a stratified share of the other units."""
    stratum = strata(request.examples)
    part = np.where(tested, "test", "train").astype(object)
    if request.num_inner_folds:
        rest = np.flatnonzero(~tested)
        inner = grouped_folds(
            stratum[rest],
            [units[row] for row in rest],
            num_folds=request.num_inner_folds,
            seed=request.seed,
        )
        part[rest[inner == 0]] = "validation"
    return SplitParts(part, "pert_id")


def _scaffold(request: SplitRequest) -> SplitParts:
    units = joined_units(request.rows, (*COMPOUND_IDENTITIES, "scaffold"))
    return SplitParts(hold_out_units(request, units), "pert_id")


def _plate(request: SplitRequest) -> SplitParts:
    known = np.array([bool(plates) for plates in values_of("plate", request.rows)])
    if not known.any():
        raise InputError("no signature has a known plate.")
    units = np.array(joined_units(request.rows, (*COMPOUND_IDENTITIES, "plate")), dtype=object)
    num_units = len(set(units[known]))
    if num_units < request.num_folds:
        raise InputError(
            f"plates that share compounds form {num_units} separate sets; expected at least "
            f"{request.num_folds} for {request.num_folds} folds."
        )
    return SplitParts(hold_out_units(request, list(units), known), "sig_id")


def _unseen_moa(request: SplitRequest) -> SplitParts:
    """Folds of MoAs have about equally many compounds.

    The validation part holds out compounds of known MoAs, so that settings are chosen without the
    MoAs of the test part.
    """
    labels = request.examples.labels
    units = joined_units(request.rows, COMPOUND_IDENTITIES)
    _, unit = np.unique(units, return_inverse=True)
    carries = np.zeros((unit.max() + 1, labels.shape[1]), bool)
    np.logical_or.at(carries, unit, labels > 0)
    moa_folds = iterative_stratification(
        np.zeros((labels.shape[1], 0), np.int64),
        carries.sum(axis=0),
        num_folds=request.num_folds,
        seed=request.seed,
    )
    held_out = moa_folds == request.fold
    unseen = carries[:, held_out].any(axis=1)[unit]
    part = np.full(len(units), "test", dtype=object)
    seen = hold_out_units(request, units, ~unseen)
    part[~unseen] = seen[~unseen]
    moas = tuple(sorted(np.asarray(request.examples.moas, dtype=object)[held_out]))
    return SplitParts(part, "pert_id", moas)


_RULES: dict[str, Callable[[SplitRequest], SplitParts]] = {
    "random_signature": _random_signature,
    "compound": _compound,
    "scaffold": _scaffold,
    "cell_line": hold_out_cell_lines_and_compounds,
    "cell_line_same_compounds": hold_out_cell_lines,
    "dose": hold_out_doses,
    "time": hold_out_times,
    "plate": _plate,
    "unseen_moa": _unseen_moa,
    EVERYTHING: _everything,
}
# Those with a test part.
SPLIT_RULES = tuple(rule for rule in _RULES if rule != EVERYTHING)
