"""The configs of `configs/data/*.py`, typed and checked: files, quality filters, graph."""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
import typing
from typing import Any, TypeVar

import ml_collections

from moa_jax.compounds.ligands.selection import LigandSettings
from moa_jax.data.expression.level_and_scale import check_scale_name
from moa_jax.data.expression.option_names import CONFIG_OPTIONS
from moa_jax.data.expression.plate_zscores import POPULATION, REFERENCES, VEHICLE
from moa_jax.knowledge.graph import GraphSettings
from moa_jax.schemas import InputError

Settings = TypeVar("Settings")

LEVELS = (3, 4, 5)
# Value of `level` for automatic recognition.
LEVEL_FROM_FILES = 0


@dataclasses.dataclass(frozen=True)
class SourceFiles:
    """Public files, relative to `raw_dir` or absolute; empty if a release has none.

    Attributes:
      expression: GCTX, GCT, h5ad, CSV or TSV matrix of the config's level.
      siginfo: signature metadata; if empty at level 5, the matrix's own. At levels 3 and 4 it
        lists the profiles of each signature (`distil_ids`); if empty, they are grouped by
        condition.
      instinfo: profile metadata at levels 3 and 4; if empty, siginfo if that lists wells, else
        the matrix's own.
      geneinfo: gene table of the release, with landmark marks.
      gene_ids: current symbols and aliases (NCBI gene_info, HGNC or org.Hs.eg.db).
      bead_map: bead colour of each gene (CMap's `barcode_to_gene_map.txt`).
      cellinfo: cell lines.
      compounds: compoundinfo, a table with compound groups, or the Repurposing Hub's drugs.
      compound_samples: the Repurposing Hub's samples.
      structure_only_compounds: labelled structures outside the release, in any format of
        `compounds`.
      structure_only_compound_samples: the Repurposing Hub's samples, if
        `structure_only_compounds` are the Hub's drugs.
      excluded_compounds: the exclusion list.
      string_links: STRING's `9606.protein.links`.
      string_info: STRING's `9606.protein.info`.
      ontology: Gene Ontology, OBO.
      annotations: Gene Ontology annotations, GAF.
      hallmark: MSigDB's hallmark gene sets, GMT.
      reactome: Reactome's pathways, GMT.
      ligands: tables of further compounds with known targets, in any format that
        `compounds.ligands.formats` knows; KIBA, Davis and MoleculeACE are folders.
      chembl_targets: ChEMBL's `chembl_uniprot_mapping.txt`, for ligand tables that name targets by
        ChEMBL id.
      older_geneinfo: gene table of an earlier release, with previous symbols.
    """

    expression: str
    siginfo: str
    instinfo: str
    geneinfo: str
    gene_ids: str
    bead_map: str
    cellinfo: str
    compounds: str
    compound_samples: str
    structure_only_compounds: str
    structure_only_compound_samples: str
    excluded_compounds: str
    string_links: str
    string_info: str
    ontology: str
    annotations: str
    hallmark: str
    reactome: str
    ligands: tuple[str, ...] = ()
    chembl_targets: str = ""
    older_geneinfo: str = ""

    def __post_init__(self) -> None:
        needed = ("expression", "geneinfo", "compounds", "string_links", "string_info")
        for name in (*needed, "ontology", "annotations"):
            if not getattr(self, name):
                raise InputError(f"config.files.{name} is empty; it must name a file.")
        if self.structure_only_compound_samples and not self.structure_only_compounds:
            raise InputError(
                "config.files.structure_only_compounds is empty; "
                "config.files.structure_only_compound_samples needs the drug table."
            )


@dataclasses.dataclass(frozen=True)
class SignatureFilters:
    """Quality filters for signatures.

    Attributes:
      pert_types: types of perturbation that are kept, such as `trt_cp`.
      min_tas: smallest transcriptional activity score; 0 for no limit.
      min_cc_q75: smallest replicate correlation; 0 for no limit.
      min_replicates: smallest number of replicates; 1 for no limit.
      require_hiq: keep only signatures marked as high quality by the release.
      require_qc_pass: keep only what passed the release's quality control; at levels 3 and 4 this
        holds for wells too, before anything is computed from them.
      keep_missing: keep signatures without the values that a filter needs.
    """

    pert_types: tuple[str, ...]
    min_tas: float
    min_cc_q75: float
    min_replicates: int
    require_hiq: bool
    require_qc_pass: bool
    keep_missing: bool


@dataclasses.dataclass(frozen=True)
class PreparationSettings:
    """Everything that determines a prepared dataset, except the contents of its files.

    Attributes:
      release: name of the dataset in tables and plots.
      raw_dir: folder of the files.
      files: the files.
      level: level of the matrix: 5 (signatures), 4 (z-scores), 3 (normalised expression), or 0 for
        automatic.
      scale: scale of the values, `log2`, `linear` or `zscore`; empty for automatic.
      zscore_reference: at level 3, `population` (all wells of the plate) or `vehicle`.
      filters: quality filters.
      clip: signatures are clipped to +- this; 0 for no clipping.
      drop_nonfinite: leave out and count rows with NaN or infinite values instead of refusing the
        file.
      allow_missing_signatures: collapse the available profiles of a signature if others are not in
        the files, instead of refusing it. Metadata without a profile are always only counted.
      graph: selection of the knowledge graph.
      ligands: selection of ligands from the ligand tables.
      gene_ids: how the matrix names its genes: `entrez`, `symbol`, or the name of a column; empty
        for automatic.
    """

    release: str
    raw_dir: str
    files: SourceFiles
    level: int
    scale: str
    zscore_reference: str
    filters: SignatureFilters
    clip: float
    drop_nonfinite: bool
    allow_missing_signatures: bool
    graph: GraphSettings
    ligands: LigandSettings
    gene_ids: str = ""

    def __post_init__(self) -> None:
        if self.level not in (*LEVELS, LEVEL_FROM_FILES):
            raise InputError(
                f"config.level is {self.level}; expected one of {LEVELS}, or {LEVEL_FROM_FILES} "
                "for automatic."
            )
        check_scale_name(self.scale or None, CONFIG_OPTIONS)
        if self.zscore_reference not in REFERENCES:
            raise InputError(
                f"config.zscore_reference is {self.zscore_reference!r}; "
                f"expected {POPULATION!r} or {VEHICLE!r}."
            )
        if self.clip < 0:
            raise InputError(f"config.clip is {self.clip}; expected 0 (off) or more.")
        if not self.raw_dir:
            raise InputError("config.raw_dir is empty; it must name the folder of the files.")
        if not pathlib.Path(self.raw_dir).is_dir():
            raise InputError(f"config.raw_dir names {self.raw_dir}, which is not a folder.")

    def paths(self) -> dict[str, pathlib.Path]:
        """Path of each file by its name in `SourceFiles`, without empty ones and ligand tables.

        Raises:
          InputError: a file does not exist.
        """
        folder = pathlib.Path(self.raw_dir)
        named = dataclasses.asdict(self.files)
        del named["ligands"]
        found = {name: folder / text for name, text in named.items() if text}
        for name, path in found.items():
            if not path.is_file():
                raise InputError(f"config.files.{name} names {path}, which is not a file.")
        return found

    def ligand_paths(self) -> dict[str, pathlib.Path]:
        """Path of each ligand table, a file or a folder, by its name without absolute path.

        Raises:
          InputError: a table does not exist, or two have the same name.
        """
        found: dict[str, pathlib.Path] = {}
        for text in self.files.ligands:
            path = pathlib.Path(self.raw_dir) / text
            if not path.exists():
                raise InputError(
                    f"config.files.ligands names {path}, which is neither a file nor a folder."
                )
            if portable_name(text) in found:
                raise InputError(f"config.files.ligands has two tables {portable_name(text)}.")
            found[portable_name(text)] = path
        return found

    def described(self) -> dict[str, Any]:
        """The settings as JSON values, without absolute paths."""
        values = dataclasses.asdict(self)
        del values["raw_dir"]
        ligands = values["files"].pop("ligands")
        values["files"] = {name: portable_name(text) for name, text in values["files"].items()}
        values["files"]["ligands"] = list(map(portable_name, ligands))
        values["ligands"]["measures"] = list(self.ligands.measures)
        values["filters"]["pert_types"] = list(self.filters.pert_types)
        values["graph"]["namespaces"] = list(self.graph.namespaces)
        return values


def portable_name(text: str) -> str:
    """A file's name as in the config; only the last part of an absolute path."""
    path = pathlib.PurePath(text)
    return path.name if path.is_absolute() else text


def settings_from_config(config: ml_collections.ConfigDict) -> PreparationSettings:
    """Reads the settings from a config, ignoring the program's keys `out` and `simulation`.

    Raises:
      InputError: a key is missing, unknown or of another type, or values contradict each other.
    """
    values = config.to_dict()
    values.pop("out", None)
    values.pop("simulation", None)
    return build_settings(PreparationSettings, values, "config")


def build_settings(cls: type[Settings], values: dict[str, Any], name: str) -> Settings:
    """Fills a dataclass of texts, numbers, flags, tuples and dataclasses from nested dicts.

    Args:
      cls: the dataclass; fields without default must be given.
      values: values by field name.
      name: name of `values` in messages.

    Raises:
      InputError: a key is missing or unknown, or a value does not have its field's type.
    """
    kinds = typing.get_type_hints(cls)
    for key in values:
        if key not in kinds:
            near = difflib.get_close_matches(key, kinds, n=1)
            hint = f'did you mean "{near[0]}"' if near else f"it has {', '.join(kinds)}"
            raise InputError(f'{name} has no key "{key}"; {hint}.')
    for field in dataclasses.fields(cls):
        if field.name not in values and field.default is dataclasses.MISSING:
            raise InputError(f'{name} lacks the key "{field.name}".')
    return cls(**{key: _typed(values[key], kinds[key], f"{name}.{key}") for key in values})


def _typed(value: Any, kind: Any, name: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return build_settings(kind, value, name)
    if typing.get_origin(kind) is tuple and isinstance(value, (tuple, list)):
        item = typing.get_args(kind)[0]
        return tuple(_typed(entry, item, name) for entry in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:
        return value
    wanted = (
        "keys of its own" if dataclasses.is_dataclass(kind) else getattr(kind, "__name__", kind)
    )
    raise InputError(f"{name} is {value!r}; expected {wanted}.")
