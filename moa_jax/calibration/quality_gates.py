"""Is a signature good enough to be answered? Gates with their thresholds and reasons, in one place.

A signature that fails a gate gets no answer. A reason says what was found and what to do. What a
reader should know but is no ground to refuse (an unknown cell line, one replicate) is a note.
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
# 75th percentile of the correlations between replicates; below, CMap calls none gold (Subramanian
# 2017).
MIN_CC_Q75 = 0.2
# Transcriptional activity score from which a compound is usually called active (Subramanian 2017).
MIN_TAS = 0.2
# Beyond this many training standard deviations from the training mean in the median (0.7 is usual),
# values are hardly z-scores of the kind that the model knows. Level 3 has about 5, but so have the
# strongest signatures of LINCS 2020, up to 4: those have as many genes down as up.
MAX_MAGNITUDE = 3.0
# Beyond this many, they are none, whatever their signs.
ANY_SIGN_MAGNITUDE = 10.0
# Share of values of one sign from which a large magnitude says that they are none. Among those of
# LINCS 2020 no signature has more than two thirds.
ONE_SIGN = 0.95
# Of compounds without signature.
NOTHING_KNOWN = "nothing known: the compound has no signature and no structure that can be read"
FROM_STRUCTURE = "no signature, answered from the structure alone"
# Share of the run's own compounds or signatures that lie outside the two limits taken from them.
OUTSIDE_SHARE = 0.01

# Stands between what was found and what to do.
_SO = ", so "
_STRONGER = "try a higher dose, a longer time or another cell line"


@dataclasses.dataclass(frozen=True)
class RunLimits:
    """Limits that a run's own compounds set; NaN where the run does not tell.

    Attributes:
      strength: least root mean square z-score (`pooling.signature_strength`).
      similarity: least cosine with the most similar training signature.
    """

    strength: float
    similarity: float


def run_limits(
    strength: Float[np.ndarray, " compound"], similarity: Float[np.ndarray, " signature"]
) -> RunLimits:
    """Limits that all but `OUTSIDE_SHARE` of a run's own compounds keep.

    Args:
      strength: of the run's own compounds.
      similarity: largest cosine of training signatures with those of other compounds.
    """
    return RunLimits(_low(strength), _low(similarity))


def _low(values: Float[np.ndarray, " value"]) -> float:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, OUTSIDE_SHARE)) if len(known) else float("nan")


@dataclasses.dataclass(frozen=True)
class SignatureQuality:
    """What the gates say of signatures.

    Attributes:
      passes: no gate failed.
      reasons: of each signature, the gates that failed, in plain words.
      notes: of each signature, what else should be known.
      measures: `n_replicates`, `cc_q75`, `tas`, `strength`, `similarity`, `magnitude` and
        `one_sign`, one row per signature, NaN where unknown.
    """

    passes: Bool[np.ndarray, " example"]
    reasons: tuple[tuple[str, ...], ...]
    notes: tuple[tuple[str, ...], ...]
    measures: pd.DataFrame

    def take(self, rows: Int[np.ndarray, " row"]) -> SignatureQuality:
        """Of the given signatures, in their order."""
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

    A signature is weak by its activity score where that is known, else by its strength. A compound
    without signature has none that could fail, but nothing to be answered from without a structure.

    Args:
      examples: signatures, or compounds without one.
      features: vocabularies and gene statistics of the model.
      limits: what the run itself says is usual.
      similarity: largest cosine with a training signature; NaN where the model keeps none.
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
            f"{MIN_GENES:.0%} are needed, so give a file with more of the landmark genes"
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
        passes=np.array([not own for own in reasons], bool),
        reasons=tuple(reasons),
        notes=tuple(notes),
        measures=measures,
    )


def _one_sign(examples: Examples) -> Float[np.ndarray, " example"]:
    """Share of the measured values that are above 0, or below, whichever is larger."""
    values = examples.expression[:, examples.gene_mask]
    return np.maximum((values > 0).mean(axis=1), (values < 0).mean(axis=1))


def _failed(row: tuple, limits: RunLimits) -> list[str]:
    """Why a signature cannot be answered; comparisons with NaN are false."""
    failed = []
    most = MAX_MAGNITUDE if row.one_sign >= ONE_SIGN else ANY_SIGN_MAGNITUDE
    if row.magnitude > most:
        todo = (
            "which looks like level 3, so give --level=3"
            if row.one_sign >= ONE_SIGN
            else "so give z-scores, or say of which level the values are with --level"
        )
        failed.append(
            f"no z-scores: the values lie {row.magnitude:.1f} training standard deviations from "
            f"the training mean in the median, at most {most:.0f} is expected, {todo}"
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
            f"{1 - OUTSIDE_SHARE:.0%} of the run's own compounds reach "
            f"{limits.strength:.3f}, so {_STRONGER}"
        )
    if row.similarity < limits.similarity:
        failed.append(
            f"unlike anything in training: the nearest training signature has the cosine "
            f"{row.similarity:.3f}, but {1 - OUTSIDE_SHARE:.0%} of training signatures have "
            f"{limits.similarity:.3f} to another compound's, so check genes and scale of the file, "
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
        notes.append("one replicate, so nothing says whether it can be repeated")
    elif np.isnan(row.cc_q75):
        notes.append("agreement of replicates not given")
    return notes


def advice(reason: str) -> str:
    """What to do about a reason of `SignatureQuality`: `, so ...`; empty where it does not say."""
    _, mark, todo = reason.rpartition(_SO)
    return mark + todo if mark else ""


def joined_sentences(parts: Sequence[str]) -> str:
    """Reasons or notes in one cell of a table."""
    return "; ".join(parts)
