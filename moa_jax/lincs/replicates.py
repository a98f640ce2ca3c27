"""Level 5 from level 4: replicates weighted by their agreement, as in CMap's own code.

MODZ, the replicate correlation and the transcriptional activity score are those of Subramanian
2017 and cmapM; cmapPy and cmapR weight replicates by other rules. The tests compare with cmapM's
own test data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Float64, Int
from scipy.stats import rankdata

from moa_jax.progress import track
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError, require_columns

# Replicate z-scores are clipped to +- this first.
CLIP = 10.0
# Smallest weight of a replicate, before normalisation.
MIN_WEIGHT = 0.01
# Smallest |MODZ * sqrt(replicates)| of a landmark that counts towards the signature strength.
STRENGTH_CUTOFF = 2.0
# Lower bound of the correlation in the activity score.
MIN_CC = 0.001
# Values in memory at a time while collapsing.
_VALUES_PER_CHUNK = 2**22
# CMap's plate names: batch_cell_timeH_replicate..., such as LJP005_A375_24H_X1_B19.
_PLATE_NAME = re.compile(r"(?P<batch>.+)_[^_]+_\d+(?:\.\d+)?H_X\d+.*")

_CONDITION = ("pert_id", "cell_line", "dose_um", "time_h")
# Columns for doses and times that have no value in micromolar or hours; not in every table.
_TEXTS = {"dose_um": "dose_text", "time_h": "time_text"}
_INSTANCE_COLUMNS = ("inst_id", *_CONDITION, "compound", "pert_type", "plate")


def collapse_replicates(
    values: Float[np.ndarray, "profile gene"],
    instances: pd.DataFrame,
    *,
    landmark: Bool[np.ndarray, " gene"] | None = None,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame]:
    """Collapses level 4 profiles into level 5 signatures.

    Profiles with a `sig_id` are grouped by it. The others are grouped by perturbation, cell
    line, dose, time and, if the plate's name contains it, batch; their sig_id is
    `<batch>_<cell>_<time>H:<pert_id>:<dose>`, without batch if unknown and with NA for missing
    values. A dose or time without value in micromolar or hours enters as text; different texts
    are different conditions.

    Args:
      values: z-scores, one row per row of `instances`.
      instances: output of `harmonise_instinfo`.
      landmark: genes used for correlation and activity; None for all.

    Returns:
      The signatures, and a table with `SIGNATURE_COLUMNS`, `pert_type` and, if `instances` has
      them, `dose_text` and `time_text`, both sorted by sig_id. Fields on which the replicates of
      a signature disagree are missing; `plate` joins their plates by `|`.

    Raises:
      InputError: a profile lacks its pert_id, a sig_id covers several pert_ids, or two
        conditions have the same sig_id.
    """
    require_columns(instances, _INSTANCE_COLUMNS, "the instance table")
    if len(instances) != len(values):
        raise InputError(f"{len(values)} profiles have {len(instances)} rows of metadata.")
    instances = instances.reset_index(drop=True)
    sig_ids = signature_ids(instances)
    order = np.lexsort((instances["inst_id"].to_numpy(str), sig_ids.to_numpy(str)))
    table = _signature_table(instances.iloc[order], sig_ids.iloc[order])
    sizes = table["n_replicates"].to_numpy(np.int64)
    starts = np.cumsum(sizes) - sizes
    signatures = np.empty((len(table), values.shape[1]), dtype=np.float32)
    quality = np.full((len(table), 2), np.nan)
    chunks = list(_chunks(sizes, values.shape[1]))
    for rows in track(chunks, "collapsing replicates") if len(chunks) > 1 else chunks:
        size = int(sizes[rows[0]])
        members = order[starts[rows][:, None] + np.arange(size)]
        z = np.clip(values[members].astype(np.float64), -CLIP, CLIP)
        rho = replicate_correlation(_landmarks(z, landmark))
        collapsed = np.einsum("sr,srg->sg", modz_weights(rho), z)
        signatures[rows] = collapsed
        quality[rows, 0] = cc_q75(rho)
        quality[rows, 1] = tas(_landmarks(collapsed, landmark), quality[rows, 0], size)
    table["cc_q75"], table["tas"] = quality[:, 0], quality[:, 1]
    texts = [name for name in _TEXTS.values() if name in table.columns]
    return signatures, table[[*SIGNATURE_COLUMNS, "pert_type", *texts]]


def _landmarks(
    z: Float64[np.ndarray, "..."], landmark: Bool[np.ndarray, " gene"] | None
) -> Float64[np.ndarray, "..."]:
    return z if landmark is None else z[..., landmark]


def replicate_correlation(
    z: Float64[np.ndarray, "signature replicate landmark"],
) -> Float64[np.ndarray, "signature replicate replicate"]:
    """Spearman correlation between the replicates of each signature.

    A replicate whose landmarks are all equal has correlations of 0.
    """
    if z.shape[1] == 1:
        return np.ones((len(z), 1, 1))
    ranks = rankdata(z, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    norm = np.linalg.norm(ranks, axis=-1, keepdims=True)
    ranks /= np.where(norm == 0, 1, norm)
    return ranks @ ranks.swapaxes(-1, -2)


def modz_weights(
    rho: Float64[np.ndarray, "signature replicate replicate"],
) -> Float64[np.ndarray, "signature replicate"]:
    """Weight of each replicate in the moderated z-score; those of a signature sum to 1.

    With the diagonal of rho zeroed and rho clipped at 0 from below,
    w_i = max(0.01, sum_j rho_ij / 2) (Subramanian 2017; cmapM `modzs`).
    """
    others = np.clip(rho, 0, None) * (1 - np.eye(rho.shape[-1]))
    weights = np.maximum(others.sum(axis=-1) / 2, MIN_WEIGHT)
    return weights / weights.sum(axis=-1, keepdims=True)


def cc_q75(
    rho: Float64[np.ndarray, "signature replicate replicate"],
) -> Float64[np.ndarray, " signature"]:
    """75th percentile (Hazen's rule, as MATLAB's `quantile`) of the replicates' correlations.

    Negative correlations count as 0. NaN for one replicate.
    """
    size = rho.shape[-1]
    if size == 1:
        return np.full(len(rho), np.nan)
    pairs = np.clip(rho[:, *np.triu_indices(size, k=1)], 0, None)
    return np.quantile(pairs, 0.75, axis=-1, method="hazen")


def tas(
    signatures: Float[np.ndarray, "signature landmark"],
    correlation: Float64[np.ndarray, " signature"],
    n_replicates: int,
) -> Float64[np.ndarray, " signature"]:
    """Transcriptional activity score: sqrt(SS * max(cc_q75, 0.001)) / sqrt(landmarks).

    SS is the number of landmarks with |MODZ * sqrt(n_replicates)| >= 2 (Subramanian 2017). NaN
    for one replicate. Compounds are usually called active from 0.2.

    Args:
      signatures: MODZ over the landmarks.
      correlation: `cc_q75` of the same signatures.
      n_replicates: of each signature.
    """
    if n_replicates == 1:
        return np.full(len(signatures), np.nan)
    strong = np.abs(signatures * np.sqrt(n_replicates)) >= STRENGTH_CUTOFF
    share = strong.sum(axis=-1) / signatures.shape[-1]
    return np.sqrt(share * np.maximum(correlation, MIN_CC))


def _chunks(sizes: Int[np.ndarray, " signature"], num_genes: int) -> Iterator[np.ndarray]:
    """Rows of signatures with equally many replicates, in chunks that fit in memory."""
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        step = max(1, _VALUES_PER_CHUNK // (int(size) * num_genes))
        yield from (rows[start : start + step] for start in range(0, len(rows), step))


def signature_ids(instances: pd.DataFrame) -> pd.Series:
    """The sig_id under which `collapse_replicates` groups each profile.

    Args:
      instances: output of `harmonise_instinfo`, index 0..n-1.

    Raises:
      InputError: a profile lacks its pert_id, or two conditions have the same sig_id.
    """
    nameless = instances["pert_id"].isna()
    if nameless.any():
        raise InputError(
            f"profile {instances['inst_id'][int(np.argmax(nameless))]} has no pert_id; "
            "it cannot be collapsed with others."
        )
    texts = [name for name in _TEXTS.values() if name in instances.columns]
    condition = instances[[*_CONDITION, *texts]].assign(batch=_mapped(instances["plate"], _batch))
    dose, time = _written(instances, "dose_um"), _written(instances, "time_h", "H")
    cell = condition["cell_line"].fillna("NA")
    batch = condition["batch"].fillna("")
    made = batch + cell + "_" + time + ":" + condition["pert_id"] + ":" + dose
    repeated = made.drop_duplicates().size < len(condition.drop_duplicates())
    if repeated:
        first = condition.drop_duplicates().index
        clash = made[first][made[first].duplicated()].iloc[0]
        raise InputError(f"two conditions of the instance table have the same sig_id {clash}.")
    if "sig_id" not in instances.columns:
        return made
    return instances["sig_id"].where(instances["sig_id"].notna(), made)


def _mapped(column: pd.Series, function: Callable[[object], str | None]) -> pd.Series:
    codes, values = pd.factorize(column, use_na_sentinel=False)
    texts = np.array([function(value) for value in values], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def _batch(plate: object) -> str | None:
    match = _PLATE_NAME.fullmatch(plate) if isinstance(plate, str) else None
    return f"{match['batch']}_" if match else None


def _written(instances: pd.DataFrame, column: str, unit: str = "") -> pd.Series:
    """A dose or time as part of a sig_id."""
    written = _mapped(instances[column], _amount) + unit
    if (text := _TEXTS[column]) not in instances.columns:
        return written
    only_text = instances[column].isna() & instances[text].notna()
    return written.where(~only_text, instances[text].str.replace(" ", ""))


def _amount(value: object) -> str:
    return "NA" if pd.isna(value) else np.format_float_positional(value, trim="-")


def _signature_table(instances: pd.DataFrame, sig_ids: pd.Series) -> pd.DataFrame:
    """One row per sig_id, in its order; both arguments are sorted by it."""
    groups = instances.groupby(sig_ids.to_numpy(), sort=True)
    texts = [name for name in _TEXTS.values() if name in instances.columns]
    agreed = ("pert_id", "compound", "cell_line", "dose_um", "time_h", "pert_type", *texts)
    table = groups[list(agreed)].first()
    for name in agreed:
        disagree = groups[name].nunique(dropna=False) > 1
        if name == "pert_id" and disagree.any():
            raise InputError(f"the sig_id {disagree.idxmax()} covers several pert_ids.")
        missing = np.nan if table[name].dtype.kind == "f" else None
        table[name] = table[name].where(~disagree, missing)
    table["n_replicates"] = groups.size().astype(float)
    pairs = pd.DataFrame({"sig_id": sig_ids.to_numpy(), "plate": instances["plate"].to_numpy()})
    plates = pairs.dropna().drop_duplicates().sort_values(["sig_id", "plate"])
    joined = plates.groupby("sig_id")["plate"].agg("|".join).reindex(table.index)
    table["plate"] = joined.astype(object).where(joined.notna(), None)
    return table.rename_axis("sig_id").reset_index()
