"""Tables beside the answers: predictions and quality per signature, and pooled probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.calibration.quality_gates import SignatureQuality, joined_sentences
from moa_jax.predictions.answer_basis import MODALITIES_OF, AnswerBasis
from moa_jax.schemas import Examples

# Significant digits of numbers in tables that people read.
DIGITS = 5


def signature_table(
    examples: Examples, probs: Float[np.ndarray, "example moa"], basis: AnswerBasis
) -> pd.DataFrame:
    """`sig_id`, `pert_id`, conditions, `weight` and one column per mechanism; one row a signature.

    The weight is the signature's share of its compound's answer.
    """
    rows = np.flatnonzero(examples.has_expression)
    table = pd.DataFrame(probs[rows], columns=list(examples.moas))
    first = _described(examples).iloc[rows].reset_index(drop=True)
    return pd.concat([first.assign(weight=basis.weights[rows]), table], axis=1)


def quality_table(
    examples: Examples, quality: SignatureQuality, basis: AnswerBasis
) -> pd.DataFrame:
    """One row a signature: ids, conditions, `weight`, gates and measures.

    Gates: `passes`, `reasons`, `notes`. Measures: `share_of_genes` and `quality.measures`, missing
    without a signature.
    """
    table = _described(examples).assign(
        weight=basis.weights,
        passes=quality.passes,
        reasons=list(map(joined_sentences, quality.reasons)),
        notes=list(map(joined_sentences, quality.notes)),
        share_of_genes=np.where(examples.has_expression, examples.gene_mask.mean(), np.nan),
    )
    measures = quality.measures.reset_index(drop=True)
    return pd.concat([table, measures], axis=1)


def compound_table(examples: Examples, basis: AnswerBasis) -> pd.DataFrame:
    """`pert_id`, `n_signatures`, `modalities_used` and pooled probabilities; one row a compound.

    The probabilities are before calibration, and missing without a basis for an answer. As in the
    answers, `pert_id` joins the ids of one drug.
    """
    groups = np.asarray(examples.groups, str)
    counts = pd.Series(examples.has_expression).groupby(groups).sum()
    table = pd.DataFrame(basis.pooled, columns=list(examples.moas))
    table.insert(0, "pert_id", list(basis.groups))
    table.insert(1, "n_signatures", counts[list(basis.groups)].to_numpy())
    used = ["" if view is None else MODALITIES_OF[view] for view in basis.views]
    table.insert(2, "modalities_used", used)
    return table


def _described(examples: Examples) -> pd.DataFrame:
    names = ["sig_id", "pert_id", "cell_line", "dose_um", "time_h"]
    return examples.table[names].reset_index(drop=True)
