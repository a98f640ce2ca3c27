"""Published metadata of drugs and signatures, with deliberate errors and their true values."""

from __future__ import annotations

import dataclasses

from moa_jax import random_streams
from moa_jax.data.simulated import drugs
from moa_jax.data.simulated.screen import VEHICLE, PlateGroup, PlateMap
from moa_jax.data.simulated.settings import SimulationSettings

MISSING = "-666"
VEHICLE_ID = "DMSO"
# Factors of wrong doses: errors of units or of a dilution step.
_DOSE_SLIPS = (0.001, 0.1, 10.0, 1000.0)


@dataclasses.dataclass(frozen=True)
class Alteration:
    """One published field that differs from the truth.

    Attributes:
      table: its file, without extension.
      key: `sig_id` or `pert_id`.
      field: column name.
      kind: `wrong` or `missing`.
      true_value: the true value.
      stored_value: the published value.
    """

    table: str
    key: str
    field: str
    kind: str
    true_value: str
    stored_value: str


@dataclasses.dataclass(frozen=True)
class PublishedDrug:
    """A drug as the compound table describes it; each field may be wrong or empty."""

    drug: drugs.Drug
    moas: tuple[str, ...]
    targets: tuple[str, ...]
    smiles: str

    @property
    def label_state(self) -> str:
        """`right`, `wrong` or `missing`."""
        if not self.moas:
            return "missing"
        return "right" if self.moas == self.drug.moas else "wrong"


def publish_drugs(
    settings: SimulationSettings, table: tuple[drugs.Drug, ...]
) -> tuple[tuple[PublishedDrug, ...], tuple[Alteration, ...]]:
    """Publishes some drugs with a wrong or missing mechanism, or without structure or targets."""
    rng = random_streams.generator(settings.seed, "compounds")
    all_moas = sorted({moa for drug in table for moa in drug.moas})
    published, alterations = [], []
    for drug in table:
        moas, targets, smiles = drug.moas, drug.targets, drug.smiles
        others = [moa for moa in all_moas if moa not in drug.moas]
        fate, other, structure, target = rng.random(4).tolist()
        if fate < settings.wrong_moa_rate and others:
            moas = (others[int(other * len(others))],)
        elif fate < settings.wrong_moa_rate + settings.missing_moa_rate:
            moas = ()
        if structure < settings.missing_metadata_rate:
            smiles = ""
        if target < settings.missing_metadata_rate:
            targets = ()
        published.append(PublishedDrug(drug, moas, targets, smiles))
        for field, true, stored in (
            ("moa", "|".join(drug.moas), "|".join(moas)),
            ("target", "|".join(drug.targets), "|".join(targets)),
            ("canonical_smiles", drug.smiles, smiles),
        ):
            if true != stored:
                kind = "wrong" if stored else "missing"
                alterations.append(
                    Alteration("compoundinfo", drug.pert_id, field, kind, true, stored)
                )
    return tuple(published), tuple(alterations)


@dataclasses.dataclass(frozen=True)
class SignatureRecord:
    """The treatment fields of one well of a plate map, as strings of the public files."""

    sig_id: str
    pert_id: str
    cmap_name: str
    pert_type: str
    cell_iname: str
    pert_dose: str
    pert_dose_unit: str
    pert_idose: str
    pert_time: str
    pert_time_unit: str
    pert_itime: str


def signature_records(
    settings: SimulationSettings,
    table: tuple[drugs.Drug, ...],
    plate_map: PlateMap,
    group: PlateGroup,
) -> tuple[tuple[SignatureRecord, ...], tuple[Alteration, ...]]:
    """The published records of a group's wells, and their altered fields.

    Errors are made once per treatment, in `siginfo` and the `instinfo` rows of all its replicates.
    """
    rng = random_streams.generator(settings.seed, "records", group.index)
    records, alterations = [], []
    for well, drug, dose_um in zip(
        plate_map.wells, plate_map.drug.tolist(), plate_map.dose_um.tolist(), strict=True
    ):
        true = _true_record(settings, table, group, well=well, drug=drug, dose_um=dose_um)
        fate, what, how = rng.random(3).tolist()
        stored, field = true, ("pert_dose", "pert_time", "cell_iname")[int(what * 3)]
        if drug != VEHICLE:
            if fate < settings.missing_metadata_rate:
                stored = _without(true, field)
            elif fate < settings.missing_metadata_rate + settings.wrong_metadata_rate:
                stored = _with_wrong(settings, true, field, how)
        if stored != true:
            value = getattr(stored, field)
            kind = "missing" if value == MISSING else "wrong"
            alterations.append(
                Alteration("siginfo", true.sig_id, field, kind, getattr(true, field), value)
            )
        records.append(stored)
    return tuple(records), tuple(alterations)


def _true_record(
    settings: SimulationSettings,
    table: tuple[drugs.Drug, ...],
    group: PlateGroup,
    *,
    well: str,
    drug: int,
    dose_um: float,
) -> SignatureRecord:
    is_vehicle = drug == VEHICLE
    return SignatureRecord(
        sig_id=f"{group.name}:{well}",
        pert_id=VEHICLE_ID if is_vehicle else table[drug].pert_id,
        cmap_name=VEHICLE_ID if is_vehicle else table[drug].name,
        pert_type="ctl_vehicle" if is_vehicle else "trt_cp",
        cell_iname=settings.cell_lines[group.cell_line],
        pert_dose=MISSING if is_vehicle else f"{dose_um:g}",
        pert_dose_unit=MISSING if is_vehicle else "uM",
        pert_idose=MISSING if is_vehicle else f"{dose_um:g} uM",
        pert_time=f"{group.time_h:g}",
        pert_time_unit="h",
        pert_itime=f"{group.time_h:g} h",
    )


def _without(record: SignatureRecord, field: str) -> SignatureRecord:
    changes = {field: MISSING}
    if field == "pert_dose":
        changes |= {"pert_dose_unit": MISSING, "pert_idose": MISSING}
    elif field == "pert_time":
        changes |= {"pert_time_unit": MISSING, "pert_itime": MISSING}
    return dataclasses.replace(record, **changes)


def _with_wrong(
    settings: SimulationSettings, record: SignatureRecord, field: str, how: float
) -> SignatureRecord:
    """A record with a wrong value, chosen by `how` in [0, 1); a single cell line stays."""
    if field == "cell_iname":
        others = [name for name in settings.cell_lines if name != record.cell_iname]
        name = others[int(how * len(others))] if others else record.cell_iname
        return dataclasses.replace(record, cell_iname=name)
    if field == "pert_time":
        time = f"{float(record.pert_time) * (0.25 if how < 0.5 else 2):g}"
        return dataclasses.replace(record, pert_time=time, pert_itime=f"{time} h")
    dose = f"{float(record.pert_dose) * _DOSE_SLIPS[int(how * len(_DOSE_SLIPS))]:g}"
    return dataclasses.replace(record, pert_dose=dose, pert_idose=f"{dose} uM")
