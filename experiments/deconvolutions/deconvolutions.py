"""Real technical noise: the same wells of one plate with several peak deconvolutions.

The plate is from CMap's deconvolution contest: `*_DE_UNI.gct` is the reference (one gene per
bead, nothing to deconvolve), the others, `*_DE_<algorithm>.gct`, have two genes per bead. All hold
robust z-scores of wells by genes, without metadata.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats
from scipy.spatial.distance import jensenshannon

from moa_jax.baselines.interface import Fitted
from moa_jax.data.examples.bead_pairs import bead_pairs
from moa_jax.data.examples.features import fit_features
from moa_jax.data.examples.release_alignment import root_mean_square
from moa_jax.data.expression.level_and_scale import ZSCORE
from moa_jax.data.user_input.plate_signatures import PlateSettings
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.schemas import Examples, InputError

# The deconvolution with one gene per bead.
REFERENCE = "UNI"
_MARK = "_DE_"

# Difference between the z-scores of a gene in two deconvolutions that counts as a jump.
JUMP = 3.0
# Pairs of genes of different beads are made by this many rotations of the second genes.
_NUM_TURNS = 20


def deconvolution_files(folder: str | os.PathLike[str]) -> dict[str, pathlib.Path]:
    """Files `<plate>_DE_<algorithm>.gct` of a folder by algorithm, the reference first.

    Raises:
      InputError: the reference or every other file is missing, or an algorithm has two files.
    """
    found: dict[str, pathlib.Path] = {}
    for path in sorted(pathlib.Path(folder).glob(f"*{_MARK}*.gct")):
        name = path.stem.rpartition(_MARK)[2]
        if name in found:
            raise InputError(
                f"{folder} has two files of the deconvolution {name}, {found[name].name} and "
                f"{path.name}, expected one plate."
            )
        found[name] = path
    if REFERENCE not in found or len(found) < 2:
        raise InputError(
            f"{folder} has the deconvolutions {', '.join(found) or 'none'} (files "
            f"*{_MARK}<name>.gct); expected {REFERENCE} and at least one other."
        )
    return {REFERENCE: found.pop(REFERENCE), **found}


def read_deconvolutions(
    files: Mapping[str, pathlib.Path], genes: pd.DataFrame, train: Examples
) -> dict[str, Examples]:
    """The same wells with each deconvolution, in the same order and over the training genes.

    Args:
      files: deconvolution -> GCT file, whose columns are wells of unknown content.
      genes: `GENE_COLUMNS` of the training expression's columns.
      train: training examples, whose vocabularies are used.

    Returns:
      Deconvolution -> examples with the z-scores of its file.

    Raises:
      InputError: a file cannot be used, or has other wells or genes than the first.
    """
    features = fit_features(train, genes)
    # Single wells are compared, so each is its own signature.
    settings = PlateSettings(level=5, scale=ZSCORE, keep_controls=True)
    plates: dict[str, Examples] = {}
    for name, path in files.items():
        wells = read_new_signatures(SignatureFiles(path, None), genes, features, settings).examples
        order = np.argsort(wells.table["sig_id"].to_numpy(str), kind="stable")
        plates[name] = wells = wells.take(order)
        first_name, first = next(iter(plates.items()))
        if list(wells.table["sig_id"]) != list(first.table["sig_id"]):
            raise InputError(
                f"{path} has other wells ({wells.num_examples}) than {files[first_name]} "
                f"({first.num_examples}), expected the same."
            )
        if not np.array_equal(wells.gene_mask, first.gene_mask):
            raise InputError(
                f"{path} has other landmark genes ({wells.gene_mask.sum()}) than "
                f"{files[first_name]} ({first.gene_mask.sum()}), expected the same."
            )
    return plates


def match_scale(wells: Examples, train: Examples) -> tuple[Examples, float]:
    """Wells on the scale of the training signatures, and the scale factor.

    Single wells are weaker or stronger than replicate-consensus signatures. One factor for the
    plate gives the wells the median root mean square of the training signatures. Values beyond the
    largest training value are clipped, before and after scaling.

    Raises:
      InputError: no training example has expression, or the median well is 0.
    """
    reference = train.expression[np.ix_(train.has_expression, train.gene_mask)]
    if not reference.size:
        raise InputError("no training example has an expression signature.")
    limit = np.abs(reference).max()
    expression = np.clip(wells.expression, -limit, limit)
    typical = float(np.median(root_mean_square(expression[:, wells.gene_mask])))
    if not typical > 0:
        raise InputError("the median well has only zeros, so it has no scale.")
    factor = float(np.median(root_mean_square(reference))) / typical
    scaled = np.clip(expression * factor, -limit, limit).astype(np.float32)
    return dataclasses.replace(wells, expression=scaled), factor


def compare_deconvolutions(fitted: Fitted, wells: Mapping[str, Examples]) -> pd.DataFrame:
    """Agreement of a method's predictions between deconvolutions of the same wells.

    Args:
      fitted: the method; wells are not rescaled here, see `match_scale`.
      wells: deconvolution -> the same wells in the same order; `REFERENCE` is one of them.

    Returns:
      One row per deconvolution: `deconvolution`, and means over wells against the reference:
      `top1_agreement`, the share with the same most probable MoA, `top1_agreement_by_chance`,
      the same for pairs of different wells (1 for a method that always predicts the same),
      `jensen_shannon`, the distance of the normalised probabilities (base 2: 0 equal, 1
      disjoint; Endres and Schindelin 2003), `spearman`, the correlation of the probabilities
      over MoAs. NaN where undefined.

    Raises:
      InputError: the reference is not among the deconvolutions.
    """
    if REFERENCE not in wells:
        raise InputError(
            f"there is no deconvolution {REFERENCE}; found {', '.join(wells) or 'none'}."
        )
    probs = {name: fitted.predict(examples) for name, examples in wells.items()}
    return pd.DataFrame(
        [{"deconvolution": name, **_agreement(probs[REFERENCE], probs[name])} for name in wells]
    )


def _agreement(
    first: Float[np.ndarray, "well moa"], second: Float[np.ndarray, "well moa"]
) -> dict[str, float]:
    count, num_moas = first.shape
    tops = [probs.argmax(axis=1) for probs in (first, second)]
    agree = int((tops[0] == tops[1]).sum())
    all_pairs = int(np.prod([np.bincount(top, minlength=num_moas) for top in tops], axis=0).sum())
    ranks = [stats.rankdata(probs, axis=1) - (num_moas + 1) / 2 for probs in (first, second)]
    lengths = [np.linalg.norm(rank, axis=1) for rank in ranks]
    with np.errstate(invalid="ignore", divide="ignore"):
        spearman = (ranks[0] * ranks[1]).sum(axis=1) / (lengths[0] * lengths[1])
        distance = jensenshannon(first, second, base=2, axis=1)
    return {
        "top1_agreement": agree / count if count else float("nan"),
        "top1_agreement_by_chance": (
            (all_pairs - agree) / (count * (count - 1)) if count > 1 else float("nan")
        ),
        "jensen_shannon": _mean_defined(distance),
        "spearman": _mean_defined(spearman),
    }


def _mean_defined(values: Float[np.ndarray, " well"]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


@dataclasses.dataclass(frozen=True)
class ExchangeRate:
    """Signs that the two genes of a bead were exchanged, as shares of (well, pair).

    `opposite_jumps - opposite_jumps_by_chance` estimates a realistic level of `peak_swap`, except
    for exchanges of similar values.

    Attributes:
      order_flips: the order of the two z-scores differs between the two deconvolutions.
      order_flips_by_chance: the same for pairs of genes of different beads, which cannot be
        exchanged: the effect of noise alone.
      opposite_jumps: both genes differ by more than `JUMP`, in opposite directions, as after an
        exchange of genes of unequal expression.
      opposite_jumps_by_chance: the same for pairs of genes of different beads.
    """

    order_flips: float
    order_flips_by_chance: float
    opposite_jumps: float
    opposite_jumps_by_chance: float


def exchange_rate(first: Examples, second: Examples, genes: pd.DataFrame) -> ExchangeRate:
    """How often the genes of a bead appear exchanged between two deconvolutions of the same wells.

    Args:
      first: wells as `read_deconvolutions` returns them, in z-scores.
      second: the same wells under another deconvolution.
      genes: one row per expression column, with the column `bead`.

    Raises:
      InputError: fewer than two bead pairs were measured, or there is no well.
    """
    pairs = bead_pairs(genes)
    pairs = pairs[(first.gene_mask & second.gene_mask)[pairs].all(axis=1)]
    if len(pairs) < 2 or not first.num_examples:
        raise InputError(
            f"{len(pairs)} bead pairs were measured in {first.num_examples} wells; expected at "
            "least 2 pairs and 1 well."
        )
    one, two = pairs.T

    def shares(two: np.ndarray) -> tuple[float, float]:
        order = [
            np.sign(wells.expression[:, one] - wells.expression[:, two])
            for wells in (first, second)
        ]
        change = [second.expression[:, end] - first.expression[:, end] for end in (one, two)]
        jumps = (np.abs(change[0]) > JUMP) & (np.abs(change[1]) > JUMP)
        return (
            float((order[0] * order[1] < 0).mean()),
            float((jumps & (change[0] * change[1] < 0)).mean()),
        )

    # Each first gene is paired with the second genes of other beads, at evenly spread distances.
    turns = np.unique(np.linspace(1, len(pairs) - 1, _NUM_TURNS).astype(int))
    by_chance = np.mean([shares(np.roll(two, turn)) for turn in turns], axis=0)
    flips, jumps = shares(two)
    return ExchangeRate(flips, float(by_chance[0]), jumps, float(by_chance[1]))
