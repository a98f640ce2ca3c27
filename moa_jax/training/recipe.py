"""The steps by which fusion models are fitted; `fusion_fit` takes them."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from moa_jax.data.examples.features import FeatureSpec, fit_features
from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.known_targets import known_target_table, write_known_targets
from moa_jax.kernels.references import reference_table, write_references
from moa_jax.kernels.target_actions import known_targets
from moa_jax.kernels.target_propagation import References, references_of
from moa_jax.models.experts import EXPERTS, VIEWS
from moa_jax.progress import say
from moa_jax.schemas import Examples, GraphArrays, KnowledgeGraph
from moa_jax.training.expert_scales import (
    ExpertLogits,
    Scales,
    fit_expert_scales,
    scale_array,
)
from moa_jax.training.fit import Run
from moa_jax.training.fusion.task import make_fusion_task, make_graph_arrays
from moa_jax.training.runs.checkpoints import Checkpoints
from moa_jax.training.runs.predictor import (
    CHECKPOINTS,
    Predictor,
    Progress,
    describe_run,
    load_predictor,
    read_description,
)
from moa_jax.training.runs.run_fingerprint import digest, refuse_other_run
from moa_jax.training.sharding import is_first_process, make_mesh, replicate


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The steps of `fit_fusion`; see there for the attributes."""

    config: ml_collections.ConfigDict
    graph: KnowledgeGraph
    unlabelled: Examples | None = None

    def closed_form(self, train: Examples) -> ClosedForm:
        """The kernel experts of the model, ready to be solved for `train`."""
        references = self._references(train)
        features = fit_features(train, self.graph.genes.iloc[: self.graph.num_landmarks])
        experts = [EXPERTS[name] for name in self.config.model.experts if name in EXPERTS]
        if any(expert.through_proteins for expert in experts):
            symbols = self.graph.genes["symbol"].tolist()
            # Arrays without rows cannot be saved: without known targets, one gene has no evidence.
            proteins = known_targets(references.examples, symbols) or tuple(symbols[:1])
            features = dataclasses.replace(features, proteins=proteins)
        return ClosedForm.of(
            self.config,
            make_fusion_task(self.config, features, self.graph_size).model,
            features,
            self.arrays,
            references,
        )

    def run(
        self,
        train: Examples,
        validation: Examples | None,
        workdir: pathlib.Path,
        *,
        scales: Scales | None = None,
    ) -> Run:
        """A training run of the networks; kernels beside them are solved here.

        Args:
          train: training examples.
          validation: examples that select the step; None trains to the last step.
          workdir: folder of the run.
          scales: scales of the experts; by default the configuration's.
        """
        closed_form = self.closed_form(train)
        scales = scale_array(scales or self.prior_scales)
        return Run(
            self.config,
            train,
            validation,
            make_task=make_fusion_task,
            features=closed_form.features,
            encoded=closed_form.encoded_training(train),
            graph=self.arrays,
            graph_size=self.graph_size,
            workdir=workdir,
            unlabelled=self.unlabelled,
            non_trainable={**closed_form.params(), "expert_scales": scales},
        )

    def save_solved(
        self,
        params: Mapping[str, Any],
        train: Examples,
        features: FeatureSpec,
        workdir: pathlib.Path,
    ) -> Predictor:
        """Writes a solved model into the folder of its run, unless it is there already.

        Args:
          params: all parameters of the model.
          train: the examples that it was solved for.
          features: their vocabularies and gene statistics.
          workdir: folder of the run.

        Raises:
          InputError: the folder holds a run of another configuration or on other examples.
        """
        description = describe_run(
            self.config,
            features,
            self.graph_size,
            examples=[
                digest(train),
                None,
                None if self.unlabelled is None else digest(self.unlabelled),
            ],
            progress=Progress(),
        )
        checkpoints = Checkpoints(workdir / CHECKPOINTS, create=True)
        step = checkpoints.latest_step()
        if step is None:
            mesh = make_mesh(self.config.num_devices or None)
            checkpoints.save_solved(replicate(params, mesh), description)
        else:
            stored = read_description(checkpoints, step, workdir)
            refuse_other_run(stored, description, workdir)
        checkpoints.close()
        return load_predictor(
            workdir, self.arrays, make_fusion_task, num_devices=self.config.num_devices
        )

    def _references(self, train: Examples) -> References:
        return references_of(self.config.target_propagation, train, self.unlabelled)

    def write_references(self, train: Examples, workdir: pathlib.Path) -> None:
        """Writes the kernel experts' references and their targets into the folder of a run."""
        if is_first_process():
            examples = self._references(train).examples
            write_references(workdir, reference_table(self.config, examples))
            write_known_targets(workdir, known_target_table(examples))

    @functools.cached_property
    def arrays(self) -> GraphArrays:
        """The knowledge graph as an input of the model."""
        return make_graph_arrays(self.config, self.graph)

    @property
    def graph_size(self) -> tuple[int, int]:
        """Numbers of gene nodes and term nodes."""
        return self.graph.num_genes, self.graph.num_terms

    def fit_scales(self, answers: Mapping[str, tuple[ExpertLogits, Examples]]) -> Scales:
        """Fits the experts' scales to out-of-fold answers; see `fit_expert_scales`.

        The protein network keeps the configuration's: it has no answer of its own.
        """
        prior = self.prior_scales
        kept = {name for name in self.config.model.experts if EXPERTS[name].corrects}
        fitted = {
            view: {name: scale for name, scale in own.items() if name not in kept}
            for view, own in prior.items()
        }
        scales = fit_expert_scales(fitted, answers, prior_strength=self.config.scale_prior)
        scales = {view: prior[view] | own for view, own in scales.items()}
        values = (f"{expert} {scale:.2f}" for expert, scale in scales["fusion"].items())
        say(f"scales of the experts: {', '.join(values)}")
        return scales

    @property
    def prior_scales(self) -> dict[str, dict[str, float]]:
        """The configuration's scales of the model's experts."""
        return {
            view: {
                name: self.config.expert_scales[view][name] for name in self.config.model.experts
            }
            for view in VIEWS
        }
