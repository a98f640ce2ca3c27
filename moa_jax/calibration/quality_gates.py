"""Quality gates: checks that a signature must pass before it is answered.

A signature that fails a gate gets no answer, but reasons with advice. Notes are for information
only, for instance on an unknown cell line or a single replicate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from moa_jax.data.examples.features import FeatureSpec
from moa_jax.data.examples.pooling import signature_strength
from moa_jax.schemas import Examples

# Share of the model's genes that must be measured.
MIN_GENES = 0.5
# 75th percentile of the correlations between replicates; CMap calls no signature below it gold
# (Subramanian 2017).
MIN_CC_Q75 = 0.2
# Transcriptional activity score from which a compound is usually called active (Subramanian 2017).
MIN_TAS = 0.2
# Median distance of values from the training mean, in training standard deviations (usually 0.7),
# above which values of one sign are not z-scores. Level 3 has about 5; the strongest signatures of
# LINCS 2020 have up to 4, but both signs.
MAX_MAGNITUDE = 3.0
# The same for values of both signs.
ANY_SIGN_MAGNITUDE = 10.0
# Share of values of one sign from which they count as one-sided; at most two thirds in LINCS 2020.
ONE_SIGN = 0.95
# Reasons and notes for compounds without a signature.
NOTHING_KNOWN = "nothing known: the compound has no signature and no structure that can be read"
FROM_STRUCTURE = "no signature, answered from the structure alone"
# Share of the run's training compounds or signatures outside the limits taken from them.
OUTSIDE_SHARE = 0.01

# Separates a reason from its advice.
_SO = ", so "
_STRONGER = "try a higher dose, a longer time or another cell line"


@dataclasses.dataclass(frozen=True)
class RunLimits:
    """Limits from a run's training compounds; NaN if unknown.

    Attributes:
      strength: least root mean square z-score (`pooling.signature_strength`).
      similarity: least cosine with the most similar training signature.
    """

    strength: float
    similarity: float


def run_limits(
    strength: Float[np.ndarray, " compound"], similarity: Float[np.ndarray, " signature"]
) -> RunLimits:
    """Limits that all but `OUTSIDE_SHARE` of a run's training compounds satisfy.

    Args:
      strength: signature strength of training compounds.
      similarity: largest cosine of training signatures with those of other compounds.
    """
    return RunLimits(_low(strength), _low(similarity))


def _low(values: Float[np.ndarray, " value"]) -> float:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, OUTSIDE_SHARE)) if len(known) else float("nan")


@dataclasses.dataclass(frozen=True)
class SignatureQuality:
    """Results of the quality gates.

    Attributes:
      passes: whether the signature passed all gates.
      reasons: the gates that each signature failed, with advice.
      notes: further information on each signature.
      measures: `n_replicates`, `cc_q75`, `tas`, `strength`, `similarity`, `magnitude` and
        `one_sign`, one row per signature, NaN if unknown.
    """

    passes: Bool[np.ndarray, " example"]
    reasons: tuple[tuple[str, ...], ...]
    notes: tuple[tuple[str, ...], ...]
    measures: pd.DataFrame

    def take(self, rows: Int[np.ndarray, " row"]) -> SignatureQuality:
        """The results of some signatures, in their order."""
        return SignatureQuality(
            passes=self.passes[rows],
            reasons=tuple(self.reasons[row] for row in rows),
            notes=tuple(self.notes[row] for row in rows),
            measures=self.measures.iloc[rows].reset_index(drop=True),
        )


def check_signatures(
    examples: Examples,
    features: FeatureSpec,
    limits: RunLimits,
    similarity: Float[np.ndarray, " example"],
) -> SignatureQuality:
    """Applies the gates.

    A signature is weak by its activity score if that is known, else by its strength. A compound
    without a signature passes if it has a structure.

    Args:
      examples: signatures, or compounds without one.
      features: vocabularies and gene statistics of the model.
      limits: limits from the run's training compounds.
      similarity: largest cosine with a training signature; NaN if the model has none.
    """
    columns = ["n_replicates", "cc_q75", "tas"]
    measures = examples.table[columns].astype(float).reset_index(drop=True)
    measures["strength"] = signature_strength(examples)
    measures["similarity"] = similarity
    measures["magnitude"] = np.median(features.distances(examples), axis=1)
    measures["one_sign"] = _one_sign(examples)
    measures[~examples.has_expression] = np.nan
    measured, expected = int(examples.gene_mask.sum()), len(examples.gene_mask)
    common = []
    if measured < MIN_GENES * expected:
        common.append(
            f"too few genes: {measured} of the model's {expected} are measured, at least "
            f"{MIN_GENES:.0%} are needed, so provide a file with more of the landmark genes"
        )
    known_lines = set(features.cell_lines[1:])
    reasons, notes = [], []
    for place, (row, cell_line) in enumerate(
        zip(measures.itertuples(index=False), examples.table["cell_line"], strict=True)
    ):
        if not examples.has_expression[place]:
            is_known = examples.smiles[place] is not None
            reasons.append(() if is_known else (NOTHING_KNOWN,))
            notes.append((FROM_STRUCTURE,) if is_known else ())
            continue
        reasons.append((*common, *_failed(row, limits)))
        notes.append(tuple(_notes(row, cell_line, known_lines)))
    return SignatureQuality(
        passes=np.array([not failed for failed in reasons], bool),
        reasons=tuple(reasons),
        notes=tuple(notes),
        measures=measures,
    )


def _one_sign(examples: Examples) -> Float[np.ndarray, " example"]:
    """Share of the measured values that have the more frequent sign."""
    values = examples.expression[:, examples.gene_mask]
    return np.maximum((values > 0).mean(axis=1), (values < 0).mean(axis=1))


def _failed(row: tuple, limits: RunLimits) -> list[str]:
    """The gates that a signature fails; comparisons with NaN are false."""
    failed = []
    most = MAX_MAGNITUDE if row.one_sign >= ONE_SIGN else ANY_SIGN_MAGNITUDE
    if row.magnitude > most:
        remedy = (
            "which looks like level 3, so give --level=3"
            if row.one_sign >= ONE_SIGN
            else "so provide z-scores, or set the level of the values with --level"
        )
        failed.append(
            f"no z-scores: the median distance of the values from the training mean is "
            f"{row.magnitude:.1f} training standard deviations, at most {most:.0f} is expected, "
            f"{remedy}"
        )
    if row.cc_q75 < MIN_CC_Q75:
        failed.append(
            f"replicates disagree: their correlation (cc_q75) is {row.cc_q75:.2f}, at least "
            f"{MIN_CC_Q75:.2f} is needed, so measure more replicates"
        )
    if row.tas < MIN_TAS:
        failed.append(
            f"weak: the activity score (TAS) is {row.tas:.2f}, at least {MIN_TAS:.2f} is needed, "
            f"so {_STRONGER}"
        )
    elif np.isnan(row.tas) and row.strength < limits.strength:
        failed.append(
            f"weak: the root mean square z-score is {row.strength:.3f}, but "
            f"{1 - OUTSIDE_SHARE:.0%} of the model's training compounds reach "
            f"{limits.strength:.3f}, so {_STRONGER}"
        )
    if row.similarity < limits.similarity:
        failed.append(
            f"unlike anything in training: the largest cosine with a training signature is "
            f"{row.similarity:.3f}, but {1 - OUTSIDE_SHARE:.0%} of training signatures reach "
            f"{limits.similarity:.3f} with another compound, so check genes and scale of the file, "
            "or try another dose, time or cell line"
        )
    return failed


def _notes(row: tuple, cell_line: str | None, known_lines: set[str]) -> list[str]:
    notes = []
    if pd.isna(cell_line):
        notes.append("cell line not given")
    elif cell_line not in known_lines:
        notes.append(f"cell line {cell_line} was not in training")
    if row.n_replicates == 1:
        notes.append("one replicate, so its reproducibility is unknown")
    elif np.isnan(row.cc_q75):
        notes.append("correlation of replicates not given")
    return notes


def advice(reason: str) -> str:
    """The advice in a reason of `SignatureQuality`, `, so ...`; empty if there is none."""
    _, mark, remedy = reason.rpartition(_SO)
    return mark + remedy if mark else ""


def joined_sentences(parts: Sequence[str]) -> str:
    """Reasons or notes in one cell of a table."""
    return "; ".join(parts)
