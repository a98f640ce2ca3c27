"""Our fusion model as one of the methods, in each of its views."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax.schemas import Examples, KnowledgeGraph
from moa_jax.training.recipe import FusionFit, fit_fusion


@dataclasses.dataclass(frozen=True)
class FittedFusion:
    """A trained fusion model asked for one view.

    Attributes:
      fit: the trained model and how it was chosen.
      view: `fusion`, `expression` or `structure`.
    """

    fit: FusionFit
    view: str

    @property
    def validation_probs(self) -> Float[np.ndarray, "validation moa"]:
        """See `FittedMethod`: the selection run's model with the fitted scales of its experts."""
        return self.fit.validation_probs[self.view]

    @property
    def report(self) -> Mapping[str, Any]:
        """`best_step`, `expert_scales` and `validation_curve`: [step, macro AUPRC] pairs."""
        return {**self.fit.choices, "validation_curve": self.fit.curves[self.view]}

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probability of each MoA for each example."""
        return self.fit.predictor.predict(examples)[self.view]


@dataclasses.dataclass(frozen=True)
class Fusion:
    """The fusion model of a configuration.

    Attributes:
      config: see `configs/fusion.py`; its seed gives way to that of `fit`.
      workdir: folder of the run; one folder, one training set.
      view: `fusion`, `expression` or `structure`.
      unlabelled: see `fit_fusion`; None learns from the training examples alone.
      fits: what was trained in this process, by folder; views that share it train once.
    """

    config: ml_collections.ConfigDict
    workdir: pathlib.Path
    view: str = "fusion"
    unlabelled: Examples | None = None
    fits: dict[pathlib.Path, FusionFit] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the view among the methods."""
        return self.name_of(self.view)

    @staticmethod
    def name_of(view: str) -> str:
        """`fusion`, or `fusion_expression` and `fusion_structure` for one modality alone."""
        return "fusion" if view == "fusion" else f"fusion_{view}"

    def seen_as(self, view: str) -> Fusion:
        """The same model, trained once, asked for another view."""
        return dataclasses.replace(self, view=view)

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedFusion:
        """Trains the model, or goes on with the run that the folder holds.

        Raises:
          InputError: the folder holds a run of another configuration or on other examples.
        """
        if self.workdir not in self.fits:
            config = ml_collections.ConfigDict(self.config.to_dict())
            config.seed = seed
            self.fits[self.workdir] = fit_fusion(
                config, train, validation, graph, self.workdir, unlabelled=self.unlabelled
            )
        return FittedFusion(self.fits[self.workdir], self.view)
