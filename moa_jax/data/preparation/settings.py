"""What `configs/data/*.py` say, typed and checked: files, quality filters, graph."""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
import typing
from typing import Any, TypeVar

import ml_collections

from moa_jax.data.expression.level_and_scale import check_scale_name
from moa_jax.data.expression.option_names import CONFIG_OPTIONS
from moa_jax.data.expression.plate_zscores import POPULATION, REFERENCES, VEHICLE
from moa_jax.knowledge.graph import GraphSettings
from moa_jax.schemas import InputError

Settings = TypeVar("Settings")

LEVELS = (3, 4, 5)
# In place of a level: the files tell it.
TOLD_BY_FILES = 0


@dataclasses.dataclass(frozen=True)
class SourceFiles:
    """Public files, relative to `raw_dir` or absolute; empty where a release has none.

    Attributes:
      expression: GCTX, GCT, h5ad, CSV or TSV matrix of the level that the config names.
      siginfo: signature metadata; at level 5, empty means the matrix's own; at levels 3 and 4 it
        tells which profiles make a signature (`distil_ids`), empty groups them by condition.
      instinfo: profile metadata at levels 3 and 4; empty means siginfo where that lists wells,
        else the matrix's own.
      geneinfo: which genes are landmarks.
      gene_ids: current symbols and aliases (NCBI gene_info, HGNC or org.Hs.eg.db).
      bead_map: which genes share a bead colour (CMap's `barcode_to_gene_map.txt`).
      cellinfo: cell lines.
      compounds: compoundinfo, a table with compound groups, or the Repurposing Hub's drugs.
      compound_samples: the Repurposing Hub's samples.
      structure_only_compounds: labelled structures beyond the release's own, of any kind that
        `compounds` may be.
      structure_only_compound_samples: the Repurposing Hub's samples, where the further compounds
        are the Hub's drugs.
      excluded_compounds: compounds that are excluded everywhere.
      string_links: STRING's `9606.protein.links`.
      string_info: STRING's `9606.protein.info`.
      ontology: Gene Ontology, OBO.
      annotations: Gene Ontology annotations, GAF.
      hallmark: MSigDB's hallmark gene sets, GMT.
      reactome: Reactome's pathways, GMT.
      older_geneinfo: gene table of an earlier release; its symbols are older names of the genes.
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
    older_geneinfo: str = ""

    def __post_init__(self) -> None:
        needed = ("expression", "geneinfo", "compounds", "string_links", "string_info")
        for name in (*needed, "ontology", "annotations"):
            if not getattr(self, name):
                raise InputError(f"config.files.{name} is empty; it must name a file.")
        if self.structure_only_compound_samples and not self.structure_only_compounds:
            raise InputError(
                "config.files.structure_only_compounds is empty; "
                "config.files.structure_only_compound_samples needs the drug table beside it."
            )


@dataclasses.dataclass(frozen=True)
class SignatureFilters:
    """Which signatures are good enough.

    Attributes:
      pert_types: kinds of perturbation that are kept, such as `trt_cp`.
      min_tas: smallest transcriptional activity score; 0 asks for none.
      min_cc_q75: smallest replicate correlation; 0 asks for none.
      min_replicates: smallest number of replicates; 1 asks for none.
      require_hiq: keep what the release marks as of high quality.
      require_qc_pass: keep what passed the release's quality control; at levels 3 and 4 this
        holds for wells too, before anything is computed from them.
      keep_missing: whether a signature stays when the release does not tell what a filter asks.
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
    """Everything that decides a prepared dataset, beside the bytes of its files.

    Attributes:
      release: what the dataset is called in tables and plots.
      raw_dir: folder of the files.
      files: the files.
      level: 5 takes signatures as they are; 4 makes them from z-scores; 3 makes z-scores from
        normalised expression before that; 0 takes it from the files.
      scale: what the matrix's numbers are, `log2`, `linear` or `zscore`; empty takes it from them.
      zscore_reference: at level 3, `population` (all wells of the plate) or `vehicle`.
      filters: which signatures are good enough.
      clip: signatures are clipped to +- this; 0 leaves them as they are.
      drop_nonfinite: leave out, and count, what has NaN or infinite values instead of refusing
        the file.
      allow_missing_signatures: make a signature, instead of refusing it, of those of its profiles
        that the files have. Metadata rows of profiles that the matrix lacks are always counted.
      graph: what becomes part of the knowledge graph.
      gene_ids: how the matrix names its genes: `entrez`, `symbol`, or the name of a column; empty
        to find out.
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
    gene_ids: str = ""

    def __post_init__(self) -> None:
        if self.level not in (*LEVELS, TOLD_BY_FILES):
            raise InputError(
                f"config.level is {self.level}; expected one of {LEVELS}, or {TOLD_BY_FILES} to "
                "take it from the files."
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
            raise InputError(f"config.raw_dir names {self.raw_dir}, which is no folder.")

    def paths(self) -> dict[str, pathlib.Path]:
        """Where each file lies, by its name in `SourceFiles`; files that are left out are absent.

        Raises:
          InputError: a file does not exist.
        """
        folder = pathlib.Path(self.raw_dir)
        named = dataclasses.asdict(self.files)
        found = {name: folder / text for name, text in named.items() if text}
        for name, path in found.items():
            if not path.is_file():
                raise InputError(f"config.files.{name} names {path}, which is no file.")
        return found

    def described(self) -> dict[str, Any]:
        """The settings as JSON values, without where the files lie on this machine."""
        values = dataclasses.asdict(self)
        del values["raw_dir"]
        values["files"] = {name: portable_name(text) for name, text in values["files"].items()}
        values["filters"]["pert_types"] = list(self.filters.pert_types)
        values["graph"]["namespaces"] = list(self.graph.namespaces)
        return values


def portable_name(text: str) -> str:
    """A file's name as the config gives it; of an absolute path the last part alone."""
    path = pathlib.PurePath(text)
    return path.name if path.is_absolute() else text


def settings_from_config(config: ml_collections.ConfigDict) -> PreparationSettings:
    """Reads the settings out of a config; keys of the program (`out`, `simulation`) are ignored.

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
      values: by field name.
      name: what to call `values` in messages.

    Raises:
      InputError: a key is missing or unknown, or a value has another type than its field.
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
