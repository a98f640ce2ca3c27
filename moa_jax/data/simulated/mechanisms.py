"""Effects of mechanisms and drugs on genes, by dose, time and cell line."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from moa_jax import random_streams
from moa_jax.data.simulated import drugs
from moa_jax.data.simulated.biology import Biology, spread_over_network
from moa_jax.data.simulated.settings import SimulationSettings

# Standard deviation, in natural log units, of half-effective doses between drugs.
_EC50_SPREAD = 0.8
_NUM_OFF_TARGETS = 2
_NUM_STRESS_GENES = 6
# Expression (log2) of the targets at which a cell line responds half as much as it can.
_HALF_RESPONSE_LOG2 = 7.5
_STRESS_TAU_H = 12.0
_STRESS_HILL = 2.0


@dataclasses.dataclass(frozen=True)
class Mechanisms:
    """Planted effects, relative to the strongest gene (before `effect_log2`).

    Attributes:
      moas: names, sorted.
      moa_seeds: the mechanism's weight on each target gene, summing to 1.
      moa_effect: signed effect of each mechanism on every gene of the network; zero outside
        its affected genes.
      moa_heat: result of the random walk, before affected genes are selected.
      drug_effect: signed effect of each drug on the matrices' genes.
      off_targets: rows of each drug's off-targets in the gene table.
      stress_effect: signed effect of the stress program on the matrices' genes.
      ec50_um: half-effective dose of each drug.
      toxic_ec50_um: half-toxic dose of each drug.
      tau_h: time constant of each drug's response.
      sensitivity: response of each cell line to each drug, in [0, 1].
      baseline: expression of the untreated line, log2, on the matrices' genes.
    """

    moas: tuple[str, ...]
    moa_seeds: Float[np.ndarray, "gene moa"]
    moa_effect: Float[np.ndarray, "gene moa"]
    moa_heat: Float[np.ndarray, "gene moa"]
    drug_effect: Float[np.ndarray, "drug matrix_gene"]
    off_targets: Int[np.ndarray, "drug off_target"]
    stress_effect: Float[np.ndarray, " matrix_gene"]
    ec50_um: Float[np.ndarray, " drug"]
    toxic_ec50_um: Float[np.ndarray, " drug"]
    tau_h: Float[np.ndarray, " drug"]
    sensitivity: Float[np.ndarray, "cell_line drug"]
    baseline: Float[np.ndarray, "cell_line matrix_gene"]


def cut_to_affected(
    heat: Float[np.ndarray, "gene perturbation"], settings: SimulationSettings
) -> Float[np.ndarray, "gene perturbation"]:
    """The strongest `affected_share` of the genes: sign(r) (|r| / max |r|)^compression."""
    size = np.abs(heat)
    keep = max(1, round(settings.affected_share * len(heat)))
    limit = np.sort(size, axis=0)[-keep]
    top = np.maximum(size.max(axis=0), 1e-12)
    effect = np.sign(heat) * (size / top) ** settings.compression
    return np.where(size >= np.maximum(limit, 1e-12), effect, 0.0)


def make_mechanisms(
    settings: SimulationSettings, table: tuple[drugs.Drug, ...], biology: Biology
) -> Mechanisms:
    """Spreads targets over the network and draws the constants of drugs and cell lines."""
    rng = random_streams.generator(settings.seed, "mechanisms")
    num_genes, num_drugs = len(biology.genes), len(table)
    row_of = {symbol: row for row, symbol in enumerate(biology.genes["gene_symbol"])}
    moas = tuple(sorted({moa for drug in table for moa in drug.moas}))
    moa_seeds = np.zeros((num_genes, len(moas)))
    own = np.zeros((num_genes, num_drugs))
    for column, drug in enumerate(table):
        rows = [row_of[symbol] for symbol in drug.targets]
        own[rows, column] = 1 / len(rows)
        moa_seeds[rows, moas.index(drug.moas[0])] += 1 / len(rows)
    moa_seeds /= np.maximum(moa_seeds.sum(axis=0), 1e-12)
    signs = np.array([drugs.action_sign(moa) for moa in moas])
    moa_heat = spread_over_network(biology, moa_seeds * signs, spread=settings.spread)

    off_targets = np.stack(
        [rng.choice(num_genes, _NUM_OFF_TARGETS, replace=False) for _ in range(num_drugs)]
    )
    seeds = _drug_seeds(
        settings,
        table,
        moas=moas,
        moa_seeds=moa_seeds,
        own=own,
        off_targets=off_targets,
        rng=rng,
    )
    drug_heat = spread_over_network(biology, seeds, spread=settings.spread)
    stress = np.zeros((num_genes, 1))
    stress[rng.choice(num_genes, _NUM_STRESS_GENES, replace=False), 0] = 1.0
    stress_heat = spread_over_network(biology, stress, spread=settings.spread)

    rows = biology.matrix_rows
    expression = _cell_line_expression(settings, num_genes, rng)
    return Mechanisms(
        moas=moas,
        moa_seeds=moa_seeds,
        moa_effect=cut_to_affected(moa_heat, settings),
        moa_heat=moa_heat,
        drug_effect=cut_to_affected(drug_heat, settings)[rows].T,
        off_targets=off_targets,
        stress_effect=cut_to_affected(stress_heat, settings)[rows, 0],
        ec50_um=settings.ec50_um * np.exp(rng.normal(0, _EC50_SPREAD, num_drugs)),
        toxic_ec50_um=settings.toxic_ec50_um * np.exp(rng.normal(0, _EC50_SPREAD, num_drugs)),
        tau_h=rng.uniform(4.0, 16.0, num_drugs),
        sensitivity=_sensitivity(expression, own, rng),
        baseline=expression[:, rows],
    )


def _drug_seeds(
    settings: SimulationSettings,
    table: tuple[drugs.Drug, ...],
    *,
    moas: tuple[str, ...],
    moa_seeds: Float[np.ndarray, "gene moa"],
    own: Float[np.ndarray, "gene drug"],
    off_targets: Int[np.ndarray, "drug off_target"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "gene drug"]:
    """Mechanism consensus, own targets and off-targets of each drug, as signed weights."""
    seeds = np.zeros(own.shape)
    for column, drug in enumerate(table):
        consensus = np.mean(
            [moa_seeds[:, moas.index(moa)] * drugs.action_sign(moa) for moa in drug.moas], axis=0
        )
        share = settings.own_target_share
        seeds[:, column] = (1 - share) * consensus
        seeds[:, column] += share * drugs.action_sign(drug.moas[0]) * own[:, column]
        signs = rng.choice((-1, 1), off_targets.shape[1])
        weight = settings.off_target_weight / off_targets.shape[1]
        seeds[off_targets[column], column] += signs * weight
    return seeds


def _cell_line_expression(
    settings: SimulationSettings, num_genes: int, rng: np.random.Generator
) -> Float[np.ndarray, "cell_line gene"]:
    """Untreated expression in log2 units, between 4.5 and 14."""
    common = rng.normal(8.5, 1.8, num_genes)
    own = rng.normal(0.0, 0.9, (len(settings.cell_lines), num_genes))
    return np.clip(common + own, 4.5, 14.0)


def _sensitivity(
    expression: Float[np.ndarray, "cell_line gene"],
    own: Float[np.ndarray, "gene drug"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "cell_line drug"]:
    """A line responds if it expresses the drug's targets, with random variation."""
    target_log2 = expression @ own
    response = 1 / (1 + np.exp(-(target_log2 - _HALF_RESPONSE_LOG2)))
    return np.clip(response * np.exp(rng.normal(0, 0.2, response.shape)), 0.0, 1.0)


def response_log2(
    settings: SimulationSettings,
    mechanisms: Mechanisms,
    *,
    drug: Int[np.ndarray, " well"],
    dose_um: Float[np.ndarray, " well"],
    cell_line: int,
    time_h: float,
) -> Float[np.ndarray, "well matrix_gene"]:
    """Shift of every gene in every well; zero where `drug` is -1 (vehicle).

    Mechanism: `effect_log2 * sensitivity * d^h / (d^h + EC50^h) * (1 - exp(-t / tau))`; stress
    has its own half-toxic dose, a steeper Hill curve and no dependence on the mechanism.
    """
    h = settings.hill_coefficient
    dosed = dose_um**h / (dose_um**h + mechanisms.ec50_um[drug] ** h)
    timed = 1 - np.exp(-time_h / mechanisms.tau_h[drug])
    size = settings.effect_log2 * mechanisms.sensitivity[cell_line, drug] * dosed * timed
    ratio = (dose_um / mechanisms.toxic_ec50_um[drug]) ** _STRESS_HILL
    stress = settings.stress_log2 * ratio / (1 + ratio) * (1 - np.exp(-time_h / _STRESS_TAU_H))
    treated = drug >= 0
    return (
        np.where(treated, size, 0.0)[:, None] * mechanisms.drug_effect[drug]
        + np.where(treated, stress, 0.0)[:, None] * mechanisms.stress_effect
    )
