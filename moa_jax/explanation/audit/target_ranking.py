"""Whether the proteins that a model ranks first are targets of compounds that it has not seen.

Average precision of the known targets of held-out compounds, over the proteins that some training
compound acts on, against two controls: the proteins with the most ligands first, and the same
evidence carried along a graph with rewired interactions and shuffled annotations. A page shows
proteins only if they beat the first. Targets that nobody has found yet count as wrong, for all.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.bootstrap import Difference, interval, resample_counts, two_sided_p
from moa_jax.evaluation.metrics import average_precision
from moa_jax.files import read_json, write_json
from moa_jax.kernels.protein_carry import carry_by, gene_kernel
from moa_jax.knowledge.controls import randomised_graph
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.predictions.target_evidence import TargetEvidence
from moa_jax.predictions.target_model import TargetModel
from moa_jax.schemas import Examples, InputError

TARGET_AUDIT_FILE = "target_audit.json"
# Rankings: of the model, and the controls.
MODEL, FREQUENCY, REWIRED = "model", "most_ligands", "rewired_graph"
_NUM_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class TargetAudit:
    """Average precision of known targets, and its gain over the controls.

    Attributes:
      num_compounds: held-out compounds with a known target among the proteins.
      num_proteins: proteins that are ranked.
      average_precision: ranking -> mean over the compounds.
      gain: control -> the model's average precision minus the control's, paired by compound.
    """

    num_compounds: int
    num_proteins: int
    average_precision: Mapping[str, float]
    gain: Mapping[str, Difference]

    def beats(self, control: str) -> bool:
        """Whether the interval of the gain over a control is above 0."""
        return self.gain[control].low > 0


def target_audit(
    scores: Mapping[str, Float[np.ndarray, "compound protein"]],
    is_target: Float[np.ndarray, "compound protein"],
    *,
    seed: int = 0,
) -> TargetAudit | None:
    """The audit of rankings; None if no compound has a target among the proteins.

    Args:
      scores: `MODEL` and controls -> scores of the proteins; tied ones are one threshold.
      is_target: 1 where the protein is a known target.
      seed: seed of the resamples.
    """
    rows = np.flatnonzero(is_target.any(axis=1))
    if not len(rows):
        return None
    found = {
        name: average_precision(values[rows].T, is_target[rows].T)
        for name, values in scores.items()
    }
    counts = resample_counts(len(rows), num_resamples=_NUM_RESAMPLES, seed=seed)
    gain = {}
    for name, values in found.items():
        if name != MODEL:
            means = counts.astype(np.float64) @ (found[MODEL] - values) / len(rows)
            gain[name] = Difference(float(means[0]), *interval(means[1:]), two_sided_p(means[1:]))
    means = {name: float(values.mean()) for name, values in found.items()}
    return TargetAudit(len(rows), is_target.shape[1], means, gain)


def audit_held_out(
    config: ml_collections.ConfigDict,
    model: TargetModel,
    evidence: TargetEvidence,
    held_out: Examples,
) -> TargetAudit | None:
    """The audit of a model on compounds that it was not trained on.

    The control's graph is carried along with the scales of the true one.

    Args:
      config: a complete configuration; its `proteins` are the settings of the protein kernel.
      model: what the run knows of targets.
      evidence: `target_evidence` of the held-out examples.
      held_out: examples of compounds that it was not trained on; scores are means over a
        compound's examples.

    Returns:
      None if no held-out compound has a target among the proteins of the model.
    """
    rows = np.flatnonzero([len(targets) > 0 for targets in held_out.targets])
    if not len(rows):
        return None
    held_out, proteins = held_out.take(rows), model.predictor.features.proteins
    is_target = np.array(
        [[name in set(targets) for name in proteins] for targets in held_out.targets], float
    )
    params = model.predictor.params[PROTEINS]
    by_protein = evidence.take(rows).by_protein(np.asarray(params["scales"]))
    pooled, is_target, _ = pool_by_compound(by_protein, is_target, held_out.groups)
    seed, columns = 0, model.columns
    rewired = randomised_graph(model.graph, seed=seed)
    carry = carry_by(gene_kernel(config.proteins, rewired), columns, config.proteins.ridge)
    ligands = model.num_ligands[columns].astype(float)
    scores = {
        MODEL: pooled @ np.asarray(params["carry"])[:, columns],
        FREQUENCY: np.tile(ligands, (len(pooled), 1)),
        REWIRED: pooled @ carry[:, columns],
    }
    return target_audit(scores, is_target, seed=seed)


def write_target_audit(workdir: pathlib.Path, audit: TargetAudit) -> None:
    """Writes an audit into the folder of a run."""
    write_json(workdir / TARGET_AUDIT_FILE, dataclasses.asdict(audit))


def read_target_audit(workdir: pathlib.Path) -> TargetAudit | None:
    """The audit in the folder of a run; None if it has none.

    Raises:
      InputError: the file is damaged.
    """
    path = workdir / TARGET_AUDIT_FILE
    if not path.exists():
        return None
    stored = read_json(path)
    try:
        gain = {name: Difference(**values) for name, values in stored.pop("gain").items()}
        return TargetAudit(**stored, gain=gain)
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{path} is damaged: it is not the audit of a run's targets.") from None
