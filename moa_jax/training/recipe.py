"""How a fusion model is made: validation chooses steps and scales, then all data are used."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from moa_jax.data.examples import Examples, concatenate
from moa_jax.models.fusion import VIEWS
from moa_jax.progress import say
from moa_jax.schemas import GraphArrays, KnowledgeGraph
from moa_jax.training.co_training import co_trained
from moa_jax.training.expert_scales import fit_expert_scales
from moa_jax.training.fit import Run, validation_curve
from moa_jax.training.fusion_task import make_fusion_task, make_graph_arrays, reads_targets
from moa_jax.training.predictor import Predictor
from moa_jax.training.references import reference_table, write_references
from moa_jax.training.sharding import is_first_process, replicate
from moa_jax.training.shared_labels import references_of
from moa_jax.training.task import Views

# View -> expert -> scale.
Scales = Mapping[str, Mapping[str, float]]

# Subfolder of the run that chooses the number of steps.
SELECTION = "selection"


@dataclasses.dataclass(frozen=True)
class FusionFit:
    """A fusion model and how it was chosen.

    Attributes:
      predictor: the model trained on training and validation examples.
      validation_probs: view -> what the model that never saw the validation examples answers
        for them, with the scales that were fitted to it.
      choices: JSON values: `best_step`, `expert_scales` by expert; empty without validation.
      curves: view -> [step, validation macro AUPRC] pairs.
    """

    predictor: Predictor
    validation_probs: Views
    choices: dict[str, Any]
    curves: dict[str, list[list[int | float]]]


def fit_fusion(
    config: ml_collections.ConfigDict,
    train: Examples,
    validation: Examples,
    graph: KnowledgeGraph,
    workdir: pathlib.Path,
    *,
    unlabelled: Examples | None = None,
) -> FusionFit:
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
      unlabelled: examples without label, nothing of compounds of `validation` among them; kernel
        experts learn from those with known targets, and pretraining, where the configuration
        names it, from all.

    Raises:
      InputError: `workdir` holds a run of another configuration.
    """
    arrays = make_graph_arrays(config, graph)
    make_run = functools.partial(_run, graph=graph, arrays=arrays, unlabelled=unlabelled)
    if validation.num_examples == 0:
        predictor = make_run(config, train, None, workdir).train()
        nothing = np.zeros(validation.labels.shape)
        return FusionFit(predictor, dict.fromkeys(VIEWS, nothing), {}, {view: [] for view in VIEWS})
    chosen = make_run(config, train, validation, workdir / SELECTION).train()
    scales = fit_expert_scales(chosen, validation, prior_strength=config.scale_prior)
    step, score = chosen.progress.best_step, chosen.progress.best_score
    say(
        f"validation macro AUPRC {score:.3f} at step {step}; scales of the experts: "
        + ", ".join(f"{expert} {scale:.2f}" for expert, scale in scales["fusion"].items())
    )
    final = ml_collections.ConfigDict(config.to_dict())
    for view, of_view in scales.items():
        final.expert_scales[view].update(of_view)
    everything = make_run(final, concatenate(train, validation), None, workdir)
    return FusionFit(
        predictor=everything.train(num_steps=step),
        validation_probs=_scaled(chosen, scales).predict(validation),
        choices={
            "best_step": step,
            "expert_scales": scales,
        },
        curves={view: validation_curve(workdir / SELECTION, view) for view in VIEWS},
    )


def answer_unseen(
    config: ml_collections.ConfigDict,
    train: Examples,
    unseen: Examples,
    graph: KnowledgeGraph,
    workdir: pathlib.Path,
    *,
    scales: Scales,
    unlabelled: Examples | None = None,
) -> Views:
    """What a model that learns from `train` alone answers for other compounds.

    Args:
      config: see `fit_fusion`.
      train: training examples.
      unseen: examples of other compounds, which choose the step.
      graph: the knowledge graph over the examples' genes.
      workdir: folder of this model's run.
      scales: view -> expert -> scale, as `FusionFit.choices` has them.
      unlabelled: see `fit_fusion`.

    Raises:
      InputError: `workdir` holds a run of another configuration.
    """
    arrays = make_graph_arrays(config, graph)
    run = _run(config, train, unseen, workdir, graph=graph, arrays=arrays, unlabelled=unlabelled)
    return _scaled(run.train(), scales).predict(unseen)


def _run(
    config: ml_collections.ConfigDict,
    train: Examples,
    validation: Examples | None,
    folder: pathlib.Path,
    *,
    graph: KnowledgeGraph,
    arrays: GraphArrays,
    unlabelled: Examples | None,
) -> Run:
    """A run; the last one, which has no validation part, describes its references."""
    genes = graph.genes.iloc[: graph.num_landmarks]
    shared = references_of(config.label_sharing, train, unlabelled)
    references = co_trained(config, shared, unlabelled, genes)
    if validation is None and is_first_process():
        write_references(folder, reference_table(config, references.examples))
    return Run(
        config,
        train,
        validation,
        make_task=make_fusion_task,
        genes=genes,
        graph=arrays,
        graph_size=(graph.num_genes, graph.num_terms),
        workdir=folder,
        unlabelled=unlabelled,
        references=references,
        node_symbols=tuple(graph.genes["symbol"]) if reads_targets(config) else (),
    )


def _scaled(predictor: Predictor, scales: Scales) -> Predictor:
    rows = [list(scales[view].values()) for view in VIEWS]
    given = replicate({"expert_scales": np.asarray(rows, np.float32)}, predictor.mesh)
    return dataclasses.replace(predictor, params={**predictor.params, **given})
