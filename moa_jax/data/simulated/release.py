"""Writes a simulated release plate by plate, with constant memory."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from moa_jax.data.simulated import public_files, truth
from moa_jax.data.simulated.assay import CLEAN, Assay, Plate, make_assay, run_plate
from moa_jax.data.simulated.biology import Biology, make_biology
from moa_jax.data.simulated.drugs import Drug, load_drugs, load_structure_only_drugs
from moa_jax.data.simulated.mechanisms import Mechanisms, make_mechanisms
from moa_jax.data.simulated.network_mechanism import assign_network_mechanisms
from moa_jax.data.simulated.ontology import make_ontology
from moa_jax.data.simulated.records import SignatureRecord, publish_drugs, signature_records
from moa_jax.data.simulated.screen import PlateGroup, PlateMap, plate_groups, plate_maps
from moa_jax.data.simulated.settings import SimulationSettings
from moa_jax.files import atomic_path
from moa_jax.lincs.files.gctx import MATRIX
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.lincs.metadata.releases import harmonise_instinfo
from moa_jax.lincs.plates import robust_zscore
from moa_jax.lincs.replicates import STRENGTH_CUTOFF, collapse_replicates
from moa_jax.progress import track

# Wells with a smaller interquartile range over genes (log2) fail quality control.
_MIN_IQR_LOG2 = 1.5
# Thresholds of LINCS for signatures of high quality.
_HIQ_TAS, _HIQ_CC = 0.2, 0.2


@dataclasses.dataclass(frozen=True)
class _Screen:
    """Inputs of the three levels."""

    settings: SimulationSettings
    table: tuple[Drug, ...]
    biology: Biology
    mechanisms: Mechanisms
    assay: Assay
    maps: tuple[PlateMap, ...]

    def groups(self) -> Iterator[PlateGroup]:
        return plate_groups(self.settings, len(self.maps))

    def num_groups(self) -> int:
        lines, times = len(self.settings.cell_lines), len(self.settings.times_h)
        return self.settings.repeats * len(self.maps) * lines * times

    def sample_ids(self, group: PlateGroup) -> list[str]:
        """Profiles of a group, replicate after replicate."""
        wells = self.maps[group.map_index].wells
        return [
            f"{group.plate_name(replicate)}:{well}"
            for replicate in range(self.settings.replicates)
            for well in wells
        ]

    def gene_table(self) -> pd.DataFrame:
        ids = self.biology.genes["gene_id"].to_numpy()[self.biology.matrix_rows]
        return pd.DataFrame(index=pd.Index(ids, name="gene_id"))


def write_simulated_release(folder: str | os.PathLike[str], settings: SimulationSettings) -> None:
    """Writes a simulated release with planted mechanisms; equal settings give equal bytes.

    Writes `level3.gctx` (log2 intensities), `level4.gctx` (robust z per plate) and `level5.gctx`
    (MODZ), each computed from the one before; LINCS 2020's `instinfo.txt`, `siginfo.txt`,
    `geneinfo.txt`, `cellinfo.txt` and `compoundinfo.txt`; `structure_only_compounds.txt`, drugs
    that were not tested, in the format of compoundinfo; CMap's `barcode_to_gene_map.txt`; STRING's
    links and info; NCBI's gene_info; `go-basic.obo`; `goa_human.gaf.gz`; a `README.txt`; and
    `truth/` (see `truth.write_truth`).

    Args:
      folder: the release; an existing one is replaced once the new one is complete.
      settings: sizes, effects, noise and errors.

    Raises:
      InputError: the settings contradict each other, or the disk is full.
    """
    table = load_drugs(settings.num_moas, settings.drugs_per_moa)
    untested = load_structure_only_drugs(settings.num_moas, settings.drugs_per_moa)
    biology = make_biology(settings, table)
    if settings.mechanism == "network":
        table, untested = (
            assign_network_mechanisms(settings, drugs, biology, stream=stream)
            for drugs, stream in ((table, "tested drugs"), (untested, "untested drugs"))
        )
    ontology = make_ontology(settings, biology)
    mechanisms = make_mechanisms(settings, table, biology)
    published, alterations = publish_drugs(settings, table)
    screen = _Screen(
        settings=settings,
        table=table,
        biology=biology,
        mechanisms=mechanisms,
        assay=make_assay(settings, biology.is_landmark),
        maps=plate_maps(settings, len(table)),
    )
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        public_files.write_readme(temporary, settings)
        public_files.write_geneinfo(temporary, biology)
        public_files.write_gene_info(temporary, biology)
        public_files.write_bead_map(temporary, biology, screen.assay.bead_pairs)
        public_files.write_cellinfo(temporary, settings)
        public_files.write_compoundinfo(temporary, published)
        public_files.write_structure_only_compounds(temporary, untested)
        public_files.write_string(temporary, biology)
        public_files.write_obo(temporary, ontology)
        public_files.write_gaf(temporary, biology, ontology)
        truth.write_truth(
            temporary / "truth",
            settings=settings,
            published=published,
            biology=biology,
            ontology=ontology,
            mechanisms=mechanisms,
        )
        with public_files.TsvFile(temporary / "truth" / "metadata.tsv") as altered:
            altered.append(pd.DataFrame(alterations, columns=truth.ALTERATION_COLUMNS))
            passed = _write_level3(screen, temporary, altered)
        _write_level4(screen, temporary)
        _write_level5(screen, temporary, passed)


def _write_level3(
    screen: _Screen, folder: pathlib.Path, altered: public_files.TsvFile
) -> Bool[np.ndarray, " profile"]:
    """Writes level 3, `instinfo.txt` and the truth about wells; returns which wells pass QC."""
    passed: list[np.ndarray] = []
    with (
        public_files.TsvFile(folder / "instinfo.txt") as instinfo,
        public_files.TsvFile(folder / "truth" / "wells.tsv") as wells,
        public_files.TsvFile(folder / "truth" / "peak_swaps.tsv") as swaps,
    ):

        def blocks() -> Iterator[Float32[np.ndarray, "well gene"]]:
            for group in track(screen.groups(), "simulating plates", screen.num_groups()):
                plate_map = screen.maps[group.map_index]
                records, slips = signature_records(screen.settings, screen.table, plate_map, group)
                altered.append(pd.DataFrame(slips, columns=truth.ALTERATION_COLUMNS))
                for replicate in range(screen.settings.replicates):
                    plate = run_plate(
                        screen.settings,
                        screen.assay,
                        screen.mechanisms,
                        plate_map=plate_map,
                        group=group,
                        replicate=replicate,
                    )
                    inst = _instances(plate, plate_map, group.plate_name(replicate), records)
                    instinfo.append(inst)
                    passed.append(inst["qc_pass"].to_numpy() == 1)
                    wells.append(_true_wells(plate, inst["sample_id"], records))
                    swaps.append(_true_swaps(screen, plate, inst["sample_id"]))
                    yield plate.level3

        _write_matrix(screen, folder / "level3.gctx", blocks())
    return np.concatenate(passed)


def _write_matrix(
    screen: _Screen, path: pathlib.Path, blocks: Iterator[Float32[np.ndarray, "well gene"]]
) -> None:
    sample_ids = [name for group in screen.groups() for name in screen.sample_ids(group)]
    write_gctx(
        path,
        profile_table=pd.DataFrame(index=pd.Index(sample_ids, name="sample_id")),
        gene_table=screen.gene_table(),
        blocks=blocks,
    )


def _instances(
    plate: Plate, plate_map: PlateMap, plate_name: str, records: tuple[SignatureRecord, ...]
) -> pd.DataFrame:
    """`instinfo.txt` rows of one plate."""
    quartiles = np.quantile(plate.level3, (0.25, 0.75), axis=1)
    iqr = quartiles[1] - quartiles[0]
    table = pd.DataFrame(
        {
            "sample_id": [f"{plate_name}:{well}" for well in plate_map.wells],
            "det_plate": plate_name,
            "det_well": plate_map.wells,
            "qc_iqr": iqr,
            "qc_pass": (iqr >= _MIN_IQR_LOG2).astype(np.int64),
            "build_name": "SIMULATED",
        }
    )
    return table.join(pd.DataFrame(records).drop(columns="sig_id"))


def _true_wells(
    plate: Plate, sample_ids: pd.Series, records: tuple[SignatureRecord, ...]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": sample_ids,
            "sig_id": [record.sig_id for record in records],
            "is_clean": [reason == CLEAN for reason in plate.reason],
            "reason": plate.reason,
            "num_swapped_pairs": [len(pairs) for pairs in plate.swapped_pairs],
        }
    )


def _true_swaps(screen: _Screen, plate: Plate, sample_ids: pd.Series) -> pd.DataFrame:
    gene_ids = screen.gene_table().index.to_numpy()
    rows = [
        (sample_id, *gene_ids[screen.assay.bead_pairs[pair]])
        for sample_id, pairs in zip(sample_ids, plate.swapped_pairs, strict=True)
        for pair in pairs
    ]
    return pd.DataFrame(rows, columns=["sample_id", "gene_id_a", "gene_id_b"])


def _write_level4(screen: _Screen, folder: pathlib.Path) -> None:
    with h5py.File(folder / "level3.gctx") as file:

        def blocks() -> Iterator[Float32[np.ndarray, "well gene"]]:
            start = 0
            for group in track(screen.groups(), "z-scoring plates", screen.num_groups()):
                num_wells = len(screen.maps[group.map_index].wells)
                for replicate in range(screen.settings.replicates):
                    values = file[MATRIX][start : start + num_wells]
                    start += num_wells
                    yield robust_zscore(values, plate=[group.plate_name(replicate)] * num_wells)

        _write_matrix(screen, folder / "level4.gctx", blocks())


def _write_level5(
    screen: _Screen, folder: pathlib.Path, passed: Bool[np.ndarray, " profile"]
) -> None:
    """Writes level 5 and `siginfo.txt`; signatures of a group are sorted by id."""
    sig_ids = [
        f"{group.name}:{well}"
        for group in screen.groups()
        for well in sorted(screen.maps[group.map_index].wells)
    ]
    with (
        h5py.File(folder / "level4.gctx") as file,
        public_files.TsvFile(folder / "siginfo.txt") as siginfo,
    ):

        def blocks() -> Iterator[Float32[np.ndarray, "signature gene"]]:
            start = 0
            for group in track(screen.groups(), "collapsing replicates", screen.num_groups()):
                sample_ids = screen.sample_ids(group)
                rows = slice(start, start + len(sample_ids))
                start = rows.stop
                signatures, table = _collapse(screen, group, file[MATRIX][rows], passed[rows])
                siginfo.append(table)
                yield signatures

        write_gctx(
            folder / "level5.gctx",
            profile_table=pd.DataFrame(index=pd.Index(sig_ids, name="sig_id")),
            gene_table=screen.gene_table(),
            blocks=blocks(),
        )


def _collapse(
    screen: _Screen,
    group: PlateGroup,
    level4: Float32[np.ndarray, "profile gene"],
    passed: Bool[np.ndarray, " profile"],
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame]:
    """Signatures of one group and their `siginfo.txt` rows."""
    plate_map = screen.maps[group.map_index]
    records, _ = signature_records(screen.settings, screen.table, plate_map, group)
    published = pd.DataFrame(records)
    replicates = screen.settings.replicates
    instances = pd.concat([published] * replicates, ignore_index=True)
    instances["sample_id"] = screen.sample_ids(group)
    instances["det_plate"] = instances["sample_id"].str.rsplit(":", n=1).str[0]
    instances["passed"] = passed
    landmark = screen.biology.is_landmark
    signatures, quality = collapse_replicates(
        level4, harmonise_instinfo(instances, "instinfo.txt"), landmark=landmark
    )
    strong = np.abs(signatures[:, landmark]) * np.sqrt(replicates) >= STRENGTH_CUTOFF
    by_signature = instances.groupby("sig_id", sort=True)
    table = published.set_index("sig_id").loc[quality["sig_id"]].reset_index()
    table["nsample"] = replicates
    table["cc_q75"] = quality["cc_q75"].to_numpy()
    table["ss_ngene"] = strong.sum(axis=1)
    table["tas"] = quality["tas"].to_numpy()
    table["qc_pass"] = (by_signature["passed"].mean() > 0.5).to_numpy().astype(np.int64)
    hiq = (table["tas"] >= _HIQ_TAS) & (table["cc_q75"] >= _HIQ_CC)
    table["is_hiq"] = hiq.astype(np.int64)
    table["det_plates"] = quality["plate"].to_numpy()
    table["distil_ids"] = by_signature["sample_id"].agg("|".join).to_numpy()
    table["build_name"] = "SIMULATED"
    return signatures, table
