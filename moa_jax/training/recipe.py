"""How a fusion model is made: validation chooses steps and scales, then all data are used."""

from __future__ import annotations

import pathlib

import ml_collections

from moa_jax.data.examples import Examples, concatenate
from moa_jax.data.graph_arrays import graph_arrays
from moa_jax.progress import say
from moa_jax.schemas import KnowledgeGraph
from moa_jax.training.expert_scales import fit_expert_scales
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

    A first run on `train` finds the step with the best validation score and the scales of the
    experts. A second one, from new parameters, trains that long on `train` and `validation`
    together with those scales.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      train: training examples.
      validation: examples of other compounds; where there are none the model is trained to the
        last step with the configuration's own scales.
      graph: the knowledge graph over the examples' genes.
      workdir: folder of the run.

    Raises:
      InputError: `workdir` holds a run of another configuration.
    """
    arrays = graph_arrays(graph, restart=config.graph.restart, num_steps=config.graph.num_steps)

    def run(
        config: ml_collections.ConfigDict,
        train: Examples,
        validation: Examples | None,
        folder: pathlib.Path,
    ) -> Run:
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
        return run(config, train, None, workdir).train()
    chosen = run(config, train, validation, workdir / SELECTION).train()
    scales = fit_expert_scales(chosen, validation)
    step, score = chosen.progress.best_step, chosen.progress.best_score
    say(
        f"validation macro AUPRC {score:.3f} at step {step}; scales of the experts: "
        "expression {:.2f}, structure {:.2f}, joint {:.2f}".format(*scales)
    )
    final = ml_collections.ConfigDict(config.to_dict())
    final.expert_scales = scales
    return run(final, concatenate(train, validation), None, workdir).train(num_steps=step)
