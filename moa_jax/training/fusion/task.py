"""The fusion model's training task: losses of its networks, and its predictions in three views."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import ml_collections
from flax.core import FrozenDict
from jaxtyping import Array, Float, Int

from moa_jax.compounds.substructures import SUBSTRUCTURE_FAMILIES
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.models.experts import (
    EXPERTS,
    NETWORKS,
    PROTEIN_NETWORK,
    SHOWN_IN,
    has_modality,
)
from moa_jax.models.fusion import FusionModel, FusionOutput, product_of_experts
from moa_jax.models.networks import JOINT_FUSIONS, NETWORK_SETTINGS
from moa_jax.models.protein_answers import PROTEINS, protein_logits
from moa_jax.schemas import Batch, GraphArrays, InputError, KnowledgeGraph
from moa_jax.training.fusion.mix_up import mix_up
from moa_jax.training.fusion.modality_dropout import keep_only, modality_dropout
from moa_jax.training.fusion.target_losses import TargetLosses, make_target_losses, target_losses
from moa_jax.training.losses.factory import make_objective
from moa_jax.training.losses.objectives import Answer, ModalityMasks, Objective, PlainObjective
from moa_jax.training.losses.softmax import label_distribution_cross_entropy
from moa_jax.training.task import TrainingTask

# Cross-entropy of a softmax on all examples.
SOFTMAX = PlainObjective(label_distribution_cross_entropy)
# Name in a configuration -> type in which networks compute.
PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True)
class FusionTask(TrainingTask):
    """Losses of the networks among the experts, under modality dropout.

    The product of experts is not trained; its scales are fitted to out-of-fold answers. The protein
    network is trained on the logits of the closed form with what it adds, and on known targets.
    Networks predict by the softmax of their logits, even if a loss with a sigmoid per MoA has
    trained them: that is the distribution over MoAs given that exactly one is right.

    Attributes:
      model: the fusion model.
      drop_expression: see `modality_dropout`.
      drop_structure: see `modality_dropout`.
      objective: the loss of the networks.
      precision: one of `PRECISIONS`, in which networks compute in a training step. Parameters,
        gradients, losses and predictions are always float32.
      mix_up_alpha: see `mix_up`; 0 mixes nothing.
      target_losses: weights of the protein network's losses of targets and of actions.
    """

    model: FusionModel
    drop_expression: float = 0.0
    drop_structure: float = 0.0
    objective: Objective = SOFTMAX
    precision: str = "float32"
    mix_up_alpha: float = 0.0
    target_losses: TargetLosses | None = None

    selection_view: ClassVar[str] = "fusion"

    def init(self, rng: Array, batch: Batch, graph: GraphArrays) -> Mapping[str, Any]:
        """Initial parameters of the networks, in as many sets as the objective trains."""
        draw = functools.partial(super().init, batch=batch, graph=graph)

        def networks(rng: Array) -> dict[str, Any]:
            return {name: value for name, value in draw(rng).items() if name != "expert_scales"}

        return self.objective.first_params(networks, rng)

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The sum of the objective's losses, and each of them; see `TrainingTask.loss`."""
        if self.mix_up_alpha:
            mix_rng, rng = jax.random.split(rng)
            batch = mix_up(mix_rng, batch, alpha=self.mix_up_alpha)
        seen, rng = self._seen(batch, rng)
        answer, of_targets = self._answer(seen, graph), {}
        if self.target_losses:
            # One application for all losses: a second one would be differentiated again.
            output = self._apply_in_training(params, seen, graph, rng)
            answer = functools.partial(self._trained_logits, output, seen)
            of_targets = target_losses(output.network, params[PROTEINS], batch, self.target_losses)
        parts = self.objective.sums(
            answer, params, rng, self._modality_masks(batch), batch, step=step
        )
        parts |= of_targets
        return sum(parts.values(), jnp.zeros(())), parts

    def first_state(self, num_examples: int) -> dict[str, Any]:
        """The objective's initial state; see `TrainingTask.first_state`."""
        return self.objective.first_state(self._networks, num_examples, self.model.num_moas)

    def next_state(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array
    ) -> dict[str, Any]:
        """The objective's state at the beginning of a step; see `TrainingTask.next_state`."""
        seen, rng = self._seen(batch, rng)
        return self.objective.next_state(
            self._answer(seen, graph), params, rng, self._modality_masks(batch), batch
        )

    def answering(self, params: Any) -> Any:
        """Parameters of the one set of networks that predicts; see `TrainingTask.answering`."""
        return self.objective.answering(params)

    def _seen(self, batch: Batch, rng: Array) -> tuple[Batch, Array]:
        """A batch after modality dropout, and a new key."""
        modality_rng, rng = jax.random.split(rng)
        seen = modality_dropout(
            modality_rng,
            batch,
            drop_expression=self.drop_expression,
            drop_structure=self.drop_structure,
        )
        return seen, rng

    def _answer(self, seen: Batch, graph: GraphArrays) -> Answer:
        """Computes the networks' logits for a batch after modality dropout."""

        def answer(params: Any, rng: Array) -> dict[str, Float[Array, "batch moa"]]:
            output = self._apply_in_training(params, seen, graph, rng)
            return self._trained_logits(output, seen, params, rng)

        return answer

    def _trained_logits(
        self, output: FusionOutput, seen: Batch, params: Any, _: Array
    ) -> dict[str, Float[Array, "batch moa"]]:
        """The logits that each network is trained on; see `_trained`."""
        return {
            network: self._trained(network, output.experts, params, seen)
            for network in self._networks
        }

    def _trained(
        self,
        network: str,
        logits: Mapping[str, Float[Array, "batch moa"]],
        params: Any,
        seen: Batch,
    ) -> Float[Array, "batch moa"]:
        """The logits that a network is trained on: its own, or the closed form that it corrects."""
        if not EXPERTS[network].corrects:
            return logits[network]
        of_expert = dict(zip(self.model.experts, params["expert_scales"].T, strict=True))
        closed = {name: values for name, values in logits.items() if not EXPERTS[name].is_network}
        return product_of_experts(of_expert, closed, seen) + logits[network]

    def _apply_in_training(
        self, params: Any, seen: Batch, graph: GraphArrays, rng: Array
    ) -> FusionOutput:
        """The model's output in float32, computed in `precision`."""
        params, seen, graph = _cast_floats((params, seen, graph), PRECISIONS[self.precision])
        output = self.model.apply(
            {"params": params}, seen, graph, train=True, rngs={"dropout": rng}
        )
        return _cast_floats(output, jnp.float32)

    def _modality_masks(self, batch: Batch) -> ModalityMasks:
        return {
            network: has_modality(network, batch) & batch.example_mask for network in self._networks
        }

    @property
    def _networks(self) -> tuple[str, ...]:
        return tuple(expert for expert in NETWORKS if expert in self.model.experts)

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """Probabilities from both modalities and from each alone."""
        of_expert = dict(zip(self.model.experts, params["expert_scales"].T, strict=True))
        return {
            view: jax.nn.softmax(product_of_experts(of_expert, logits, seen), axis=-1)
            for view, (seen, logits) in self._seen_in_views(params, batch, graph).items()
        }

    def expert_logits(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "expert batch moa"]]:
        """Logits of the experts in each view; zeros where one does not answer."""
        return {
            view: jnp.stack(
                [
                    jnp.where(has_modality(expert, seen)[:, None], values, 0.0)
                    for expert, values in logits.items()
                ]
            )
            for view, (seen, logits) in self._seen_in_views(params, batch, graph).items()
        }

    def proteins(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch action gene"]]:
        """Logits of what the compound does to each gene node, in each view; see `protein_logits`.

        Empty for a model without experts through proteins.
        """
        if PROTEINS not in params:
            return {}
        evidence = self.model.apply({"params": params}, batch, graph, train=False).proteins
        logits = {}
        for view, (expression, structure) in SHOWN_IN.items():
            seen = keep_only(batch, expression=expression, structure=structure)
            logits[view] = protein_logits(params[PROTEINS], evidence, seen)
        return logits

    def added(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch moa"]]:
        """What the protein network adds to the logits of `mechanisms`, before it is scaled."""
        output = self.model.apply({"params": params}, batch, graph, train=False)
        return {"mechanisms": output.network.mechanisms}

    def _seen_in_views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, tuple[Batch, dict[str, Float[Array, "batch moa"]]]]:
        """View -> the batch with the modalities it shows, and the experts' logits for that.

        The model is applied once, unless an expert reads both modalities: the logits of the others
        do not depend on the other modality.
        """

        def logits(seen: Batch) -> dict[str, Float[Array, "batch moa"]]:
            return self.model.apply({"params": params}, seen, graph, train=False).experts

        whole, again = logits(batch), any(EXPERTS[name].reads_both for name in self.model.experts)
        views = {}
        for view, (expression, structure) in SHOWN_IN.items():
            seen = keep_only(batch, expression=expression, structure=structure)
            views[view] = seen, logits(seen) if again and view != "fusion" else whole
        return views


def _cast_floats(tree: Tree, dtype: Any) -> Tree:
    """The tree with its floating-point arrays in another type.

    The gradient of a cast is a cast back: parameters in float32 get gradients in float32.
    """

    def cast(leaf: jax.Array) -> jax.Array:
        leaf = jnp.asarray(leaf)
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)


def make_graph_arrays(config: ml_collections.ConfigDict, graph: KnowledgeGraph) -> GraphArrays:
    """The knowledge graph as an input of the model."""
    return graph_arrays(graph, restart=config.graph.restart, num_steps=config.graph.num_steps)


def make_fusion_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> FusionTask:
    """The task of a configuration; see `configs/fusion.py` and `configs/networks.py`.

    Raises:
      InputError: the configuration names an unknown expert, none, or one twice; it lacks the
        settings of its networks; a setting of an expert is missing or belongs to none;
        or a setting is not possible.
    """
    settings = config.model.to_dict()
    experts = tuple(settings.pop("experts"))
    if unknown := sorted(set(experts) - set(EXPERTS)):
        raise InputError(f"model.experts names {unknown[0]}; the experts are {', '.join(EXPERTS)}.")
    if not experts or len(set(experts)) < len(experts):
        raise InputError(f"model.experts is {experts}, expected one or more, each once.")
    model = FusionModel(
        num_moas=len(features.moas),
        num_genes=graph_size[0],
        num_terms=graph_size[1],
        num_cell_lines=len(features.cell_lines),
        substructure_families=tuple(SUBSTRUCTURE_FAMILIES.values()),
        num_proteins=len(features.proteins),
        experts=experts,
        kernel_settings=FrozenDict(
            {name: settings.pop(name) for name in tuple(settings) if name not in NETWORK_SETTINGS}
        ),
        **settings,
    )
    _refuse_kernel_settings(model)
    _refuse_lone_readers(experts)
    if not set(experts) & set(NETWORKS):
        return FusionTask(model)
    _refuse_networks(model)
    training = ml_collections.FrozenConfigDict(config.training)
    if training.precision not in PRECISIONS:
        raise InputError(
            f"config.training.precision is {training.precision!r}, expected one of "
            f"{', '.join(PRECISIONS)}."
        )
    objective = make_objective(training)
    if training.co_teaching.enabled and "pretraining" in config:
        raise InputError(
            "the configuration has pretraining and training.co_teaching.enabled, whose two sets "
            "of networks must start from different parameters; expected one of them."
        )
    return FusionTask(
        model=model,
        drop_expression=training.drop_expression,
        drop_structure=training.drop_structure,
        objective=objective,
        precision=training.precision,
        mix_up_alpha=training.mix_up_alpha,
        target_losses=make_target_losses(training, experts),
    )


def _refuse_kernel_settings(model: FusionModel) -> None:
    """Raises InputError where a kernel expert lacks a setting, or one belongs to no expert."""
    for name in model.experts:
        for setting in EXPERTS[name].settings:
            if setting not in model.kernel_settings:
                raise InputError(
                    f"model.experts names {name}, but the configuration has no model.{setting}."
                )
    known = {setting for expert in EXPERTS.values() for setting in expert.settings}
    if unknown := sorted(set(model.kernel_settings) - known):
        raise InputError(
            f"the configuration has model.{unknown[0]}; the settings of the model are "
            f"{', '.join(('experts', *NETWORK_SETTINGS, *sorted(known)))}."
        )


def _refuse_lone_readers(experts: tuple[str, ...]) -> None:
    """Raises InputError where an expert through proteins lacks the kernel expert that it reads."""
    for name in experts:
        kernel = EXPERTS[name].through_proteins
        if kernel and kernel not in experts:
            raise InputError(f"model.experts names {name}, but not {kernel}, which it reads.")
    readers = [name for name in experts if EXPERTS[name].through_proteins]
    if PROTEIN_NETWORK in experts and (not readers or experts[-1] != PROTEIN_NETWORK):
        raise InputError(
            f"model.experts is {experts}; {PROTEIN_NETWORK} comes last, after experts through "
            "proteins, whose evidence it reads."
        )


def _refuse_networks(model: FusionModel) -> None:
    """Raises InputError if the networks' settings are missing or do not fit together."""
    for name in NETWORK_SETTINGS:
        if getattr(model, name) is None:
            raise InputError(
                f"model.experts names networks, but the configuration has no model.{name}; "
                "take the settings of configs/networks.py."
            )
    if model.joint_fusion not in JOINT_FUSIONS:
        raise InputError(
            f"model.joint_fusion is {model.joint_fusion!r}, expected one of "
            f"{', '.join(JOINT_FUSIONS)}."
        )
    attends = "joint" in model.experts and model.joint_fusion == "cross_attention"
    if attends and (model.num_heads < 1 or model.features % model.num_heads):
        raise InputError(
            f"model.num_heads is {model.num_heads}, expected a divisor of model.features, which is "
            f"{model.features}."
        )
