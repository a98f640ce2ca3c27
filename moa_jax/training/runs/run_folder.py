"""The folder of a run: everything that is needed to use its model.

Layout::

    config.json        the complete configuration
    data_manifest.json where the data came from
    split.json         the part of each compound
    genes.parquet      the measured genes
    graph/             the knowledge graph
    gene_sets.parquet  gene sets for explanations, if there are any
    gene_names.parquet full and other names of the graph's genes, if they are known
    references.parquet the training examples that the kernel experts compare with
    known_targets.parquet        the targets of the training compounds
    calibration_answers.parquet  out-of-fold answers that predictions are calibrated on
    target_calibration.json      calibration of targets, for a model that predicts them
    held_out.parquet   signatures of the test part, to be explained
    target_audit.json  whether the proteins that the model ranks first are targets of the test part
    checkpoints/       Orbax checkpoints of the final model
    selection/         the run that selected the number of steps, if the model has networks
    model_card.md      data, scores, failures and intended use
    metrics.jsonl, tensorboard/, plots/, metrics.json, per_moa.csv, compound_predictions.csv
    target_metrics.json, per_target.csv
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
import pandas as pd

from moa_jax.data.splits.manifest import write_split
from moa_jax.data.storage.graph_folder import (
    read_gene_names,
    read_graph,
    write_gene_names,
    write_gene_sets,
    write_graph,
)
from moa_jax.data.storage.parquet_tables import read_table, write_table
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.files import atomic_path, read_json, sha256_of, write_json
from moa_jax.schemas import GENE_COLUMNS, InputError, KnowledgeGraph, Split
from moa_jax.training.fusion.task import make_fusion_task, make_graph_arrays
from moa_jax.training.runs.checkpoints import Checkpoints
from moa_jax.training.runs.predictor import CHECKPOINTS, Predictor, load_predictor, read_description
from moa_jax.training.runs.run_fingerprint import refuse_other_config


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run, restored from its folder alone.

    Attributes:
      predictor: the trained model.
      genes: `GENE_COLUMNS` of the model's expression columns.
      graph: the knowledge graph that the model was trained with.
      manifest: where the training data came from.
      gene_names: `GENE_TEXT_COLUMNS` of the graph's genes; symbols alone for older data.
    """

    predictor: Predictor
    genes: pd.DataFrame
    graph: KnowledgeGraph
    manifest: dict[str, Any]
    gene_names: pd.DataFrame


def start_run(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    split: Split,
    dataset: PreparedDataset,
) -> None:
    """Writes the files that do not change during a run, unless the folder has them already.

    Raises:
      InputError: the folder holds a run of another configuration or other data.
    """
    path = workdir / "config.json"
    if path.exists():
        refuse_other_config(read_json(path), config.to_dict(), workdir)
        if read_json(workdir / "data_manifest.json") != dataset.manifest:
            raise InputError(f"{workdir} holds a run on other data; choose another --workdir.")
        return
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / "data_manifest.json", dataset.manifest)
    write_split(workdir / "split.json", split)
    with atomic_path(workdir / "genes.parquet") as temporary:
        write_table(temporary, dataset.signatures.genes, GENE_COLUMNS)
    with atomic_path(workdir / "graph") as temporary:
        write_graph(temporary, dataset.graph)
    write_gene_sets(workdir, dataset.gene_sets)
    write_gene_names(workdir, dataset.gene_names)
    # Written last: a folder with a config has everything else.
    write_json(path, config.to_dict())


def open_run(workdir: pathlib.Path, *, num_devices: int = 0) -> FinishedRun:
    """Restores a run.

    Args:
      workdir: folder of the run.
      num_devices: devices to use; 0 means all.

    Raises:
      InputError: the folder holds no run, or one of another format version.
    """
    if not (workdir / "config.json").is_file():
        raise InputError(f"{workdir} is not the folder of a run: it has no config.json.")
    # Checks the format version before anything reads settings that older versions lack.
    checkpoints = Checkpoints(workdir / CHECKPOINTS, create=False)
    read_description(checkpoints, checkpoints.step_to_use(), workdir)
    checkpoints.close()
    config = ml_collections.ConfigDict(read_json(workdir / "config.json"))
    graph = read_graph(workdir / "graph")
    arrays = make_graph_arrays(config, graph)
    return FinishedRun(
        predictor=load_predictor(workdir, arrays, make_fusion_task, num_devices=num_devices),
        genes=read_table(workdir / "genes.parquet", GENE_COLUMNS),
        graph=graph,
        manifest=read_json(workdir / "data_manifest.json"),
        gene_names=_gene_names(workdir, graph),
    )


def _gene_names(workdir: pathlib.Path, graph: KnowledgeGraph) -> pd.DataFrame:
    names = read_gene_names(workdir)
    if len(names):
        return names
    return graph.genes[["entrez_id", "symbol"]].assign(name="", aliases="")


def run_identity(workdir: pathlib.Path, run: FinishedRun) -> dict[str, Any]:
    """Release, size and digests of a run's model, as JSON values."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(run.predictor.params)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return {
        "release": run.manifest.get("release"),
        "num_moas": len(run.predictor.features.moas),
        "config_sha256": sha256_of(workdir / "config.json"),
        "params_sha256": digest.hexdigest(),
    }
