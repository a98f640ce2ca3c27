"""The fusion model as a method of the benchmark, in each of its views."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax.schemas import Examples, KnowledgeGraph
from moa_jax.training.fusion_fit import FusionFit, fit_fusion


def method_name(view: str) -> str:
    """`fusion`, `fusion_expression` or `fusion_structure`."""
    return "fusion" if view == "fusion" else f"fusion_{view}"


@dataclasses.dataclass(frozen=True)
class FittedFusion:
    """A fitted fusion model in one view.

    Attributes:
      fit: the model and how its settings were selected.
      view: `fusion`, `expression` or `structure`.
    """

    fit: FusionFit
    view: str = "fusion"

    def with_view(self, view: str) -> FittedFusion:
        """The same model in another view."""
        return dataclasses.replace(self, view=view)

    @property
    def validation_probs(self) -> Float[np.ndarray, "validation moa"]:
        """See `FittedMethod` and `FusionFit`."""
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
      config: see `configs/fusion.py`; its seed is replaced by that of `fit`.
      workdir: folder of the run, one per training set.
      unlabelled: see `fit_fusion`; None trains on the training examples only.
    """

    config: ml_collections.ConfigDict
    workdir: pathlib.Path
    unlabelled: Examples | None = None

    name: ClassVar[str] = "fusion"

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedFusion:
        """Fits the model, or resumes the run in the folder.

        Raises:
          InputError: the folder has a run of another configuration or on other examples.
        """
        config = ml_collections.ConfigDict(self.config.to_dict())
        config.seed = seed
        return FittedFusion(
            fit_fusion(config, train, validation, graph, self.workdir, unlabelled=self.unlabelled)
        )
