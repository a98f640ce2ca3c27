"""Settings of a simulated release: sizes, effects, noise and errors."""

from __future__ import annotations

import dataclasses

from moa_jax.schemas import InputError

_RATES = (
    "own_target_share",
    "affected_share",
    "bad_well_rate",
    "peak_swap_well_rate",
    "peak_swap_pair_rate",
    "wrong_moa_rate",
    "missing_moa_rate",
    "missing_metadata_rate",
    "wrong_metadata_rate",
    "false_edge_rate",
    "missing_edge_rate",
    "false_annotation_rate",
    "missing_annotation_rate",
)
MECHANISMS = ("shared_targets", "network")
_POSITIVE = (
    "num_moas",
    "drugs_per_moa",
    "hits_per_drug",
    "num_landmarks",
    "replicates",
    "repeats",
    "vehicle_wells_per_plate",
    "compression",
    "hill_coefficient",
    "ec50_um",
    "toxic_ec50_um",
)
_NOT_NEGATIVE = (
    "effect_log2",
    "stress_log2",
    "off_target_weight",
    "noise_log2",
    "well_effect_log2",
    "plate_effect_log2",
    "position_effect_log2",
)


@dataclasses.dataclass(frozen=True)
class SimulationSettings:
    """Everything that determines a simulated release.

    Rates are fractions in [0, 1]; effects and noise are in log2 units of expression (level 3).

    Attributes:
      seed: seed of every random draw.
      num_moas: mechanisms, the first of the package's drug table.
      drugs_per_moa: at most this many drugs of each mechanism.
      mechanism: what drugs of one mechanism have in common: `shared_targets` (their real targets,
        mostly in one module, and a substructure), or `network` (one module, in which each of them
        has different targets; structures are uninformative).
      hits_per_drug: number of targets of a drug if the mechanism is `network`.
      num_landmarks: number of measured genes.
      num_other_genes: other genes of the network, including most drug targets.
      num_inferred_genes: number of the other genes that are in the matrices as `inferred`.
      num_terms: Gene Ontology terms, the three roots included.
      cell_lines: names of the cell lines.
      doses_um: doses in micromolar.
      times_h: treatment times in hours.
      replicates: plates that repeat one treatment, collapsed into one signature.
      repeats: number of runs of the whole screen, each on new plates, to scale a release up (the
        number of profiles grows linearly, memory does not).
      wells_per_plate: wells of a plate that are used.
      vehicle_wells_per_plate: how many of them hold vehicle (DMSO).
      effect_log2: shift of a mechanism's strongest gene at saturating dose.
      stress_log2: shift of the stress program's strongest gene at toxic doses; every drug induces
        it at some dose, whatever its mechanism.
      off_target_weight: total weight of a drug's two private off-targets; its mechanism and own
        targets together weigh 1.
      own_target_share: weight of the drug's own targets; the rest of 1 is the weight of its
        mechanism's consensus.
      affected_share: fraction of the genes affected by one perturbation.
      compression: exponent that converts heat to effect; if smaller, distant genes are affected
        almost as much as near ones.
      spread: probability per step of not restarting, in the random walk that spreads an effect
        over the network; if greater, effects reach farther.
      hill_coefficient: steepness of the dose response.
      ec50_um: median half-effective dose, in micromolar.
      toxic_ec50_um: median half-toxic dose, in micromolar.
      noise_log2: standard deviation of one gene between replicate wells.
      well_effect_log2: standard deviation of a well's gain, common to all genes.
      plate_effect_log2: standard deviation of a plate's shift of one gene.
      position_effect_log2: size of the gradient over rows and columns.
      bad_well_rate: wells with failed signal, without compound, or with a neighbour's profile.
      peak_swap_well_rate: wells where bead pairs are assigned the wrong way round.
      peak_swap_pair_rate: fraction of the bead pairs swapped in such a well.
      wrong_moa_rate: drugs published with another drug's mechanism.
      missing_moa_rate: drugs published without mechanism.
      missing_metadata_rate: signatures that lack dose, time or cell line, and drugs that lack
        structure or targets.
      wrong_metadata_rate: signatures with a wrong dose, time or cell line.
      false_edge_rate: low-score edges published without being real, per real edge.
      missing_edge_rate: real edges that are not published.
      false_annotation_rate: wrong annotations published, per real annotation.
      missing_annotation_rate: real annotations that are not published.
    """

    seed: int = 0
    num_moas: int = 24
    drugs_per_moa: int = 7
    mechanism: str = "shared_targets"
    hits_per_drug: int = 2
    num_landmarks: int = 300
    num_other_genes: int = 500
    num_inferred_genes: int = 60
    num_terms: int = 120
    cell_lines: tuple[str, ...] = ("SIM1", "SIM2", "SIM3", "SIM4")
    doses_um: tuple[float, ...] = (1.0, 10.0)
    times_h: tuple[float, ...] = (24.0,)
    replicates: int = 3
    repeats: int = 1
    wells_per_plate: int = 96
    vehicle_wells_per_plate: int = 8
    effect_log2: float = 2.0
    stress_log2: float = 2.0
    off_target_weight: float = 2.2
    own_target_share: float = 0.7
    affected_share: float = 0.3
    compression: float = 0.25
    spread: float = 0.9
    hill_coefficient: float = 1.2
    ec50_um: float = 1.0
    toxic_ec50_um: float = 15.0
    noise_log2: float = 0.25
    well_effect_log2: float = 0.1
    plate_effect_log2: float = 0.3
    position_effect_log2: float = 0.15
    bad_well_rate: float = 0.05
    peak_swap_well_rate: float = 0.1
    peak_swap_pair_rate: float = 0.1
    wrong_moa_rate: float = 0.08
    missing_moa_rate: float = 0.02
    missing_metadata_rate: float = 0.03
    wrong_metadata_rate: float = 0.02
    false_edge_rate: float = 0.15
    missing_edge_rate: float = 0.05
    false_annotation_rate: float = 0.05
    missing_annotation_rate: float = 0.1

    def __post_init__(self) -> None:
        if self.mechanism not in MECHANISMS:
            raise InputError(
                f"mechanism is {self.mechanism!r}; the mechanisms are {', '.join(MECHANISMS)}."
            )
        for name in _RATES:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; a rate lies in [0, 1].")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be positive.")
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must not be negative.")
        for name in ("cell_lines", "doses_um", "times_h"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise InputError(f"{name} is {values}; it needs one or more distinct values.")
        if any(value <= 0 for value in self.doses_um + self.times_h):
            raise InputError("doses_um and times_h must be positive.")
        self._check_sizes()

    def _check_sizes(self) -> None:
        if not self.vehicle_wells_per_plate < self.wells_per_plate <= 384:
            raise InputError(
                f"wells_per_plate is {self.wells_per_plate}; it must exceed "
                f"vehicle_wells_per_plate ({self.vehicle_wells_per_plate}) and be at most 384."
            )
        if not 0 <= self.num_inferred_genes <= self.num_other_genes:
            raise InputError(
                f"num_inferred_genes is {self.num_inferred_genes}; "
                f"it must lie between 0 and num_other_genes ({self.num_other_genes})."
            )
        if self.num_terms < 20:
            raise InputError(f"num_terms is {self.num_terms}; it must be at least 20.")
        if not 0 < self.spread < 1:
            raise InputError(f"spread is {self.spread}; it must lie between 0 and 1.")

    @classmethod
    def network(cls, seed: int = 0) -> SimulationSettings:
        """A release with network mechanisms in large modules (about 100 genes).

        A drug affects 2 % of the genes, few of which are shared by drugs of the same mechanism.
        """
        return cls(
            seed=seed,
            mechanism="network",
            hits_per_drug=3,
            num_landmarks=900,
            num_other_genes=1600,
            num_terms=60,
            effect_log2=3.0,
            stress_log2=1.0,
            off_target_weight=0.5,
            own_target_share=1.0,
            affected_share=0.02,
            spread=0.5,
        )

    @classmethod
    def tiny(cls) -> SimulationSettings:
        """A release small enough for tests: about 45 drugs, 120 genes, 2 lines, 1 dose."""
        return cls(
            num_moas=6,
            drugs_per_moa=8,
            num_landmarks=60,
            num_other_genes=60,
            num_inferred_genes=10,
            num_terms=40,
            cell_lines=("SIM1", "SIM2"),
            doses_um=(10.0,),
            replicates=2,
            wells_per_plate=32,
            vehicle_wells_per_plate=6,
            off_target_weight=1.0,
        )
