"""How a fusion model is made: choose the number of steps on validation, then use all data."""

from __future__ import annotations

import pathlib

import ml_collections

from moa_jax.data.examples import Examples, concatenate
from moa_jax.data.graph_arrays import graph_arrays
from moa_jax.progress import say
from moa_jax.schemas import KnowledgeGraph
from moa_jax.training.fit import Run
from moa_jax.training.predictor import Predictor

# Subfolder of the run that chooses the number of steps.
SELECTION = "selection"


def fit_fusion(
    config: ml_collections.ConfigDict,
    train: Examples,
    validation: Examples,
    graph: KnowledgeGraph,
    workdir: pathlib.Path,
) -> Predictor:
    """Trains the fusion model of a configuration; an interrupted call continues.

    With `config.refit` a first run on `train` finds the step with the best validation score
    and a second one, from new parameters, trains that long on `train` and `validation`
    together. Without it the best step of the first run is the result.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      train: training examples.
      validation: examples of other compounds; none means: train to the last step.
      graph: the knowledge graph over the examples' genes.
      workdir: folder of the run.

    Raises:
      InputError: `workdir` holds a run of another configuration.
    """
    arrays = graph_arrays(graph, restart=config.graph.restart, num_steps=config.graph.num_steps)

    def run(train: Examples, validation: Examples | None, folder: pathlib.Path) -> Run:
        return Run(
            config,
            train,
            validation,
            genes=graph.genes.iloc[: graph.num_landmarks],
            graph=arrays,
            graph_size=(graph.num_genes, graph.num_terms),
            workdir=folder,
        )

    if validation.num_examples == 0:
        return run(train, None, workdir).train()
    if not config.refit:
        return run(train, validation, workdir).train()
    chosen = run(train, validation, workdir / SELECTION).train().progress
    say(f"validation macro AUPRC {chosen.best_score:.3f} at step {chosen.best_step}")
    final = run(concatenate(train, validation), None, workdir)
    return final.train(num_steps=chosen.best_step)
