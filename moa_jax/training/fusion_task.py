"""The fusion model's task: experts that must answer alone, and views of what they know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float, Int

from moa_jax.compounds.substructures import SUBSTRUCTURE_VIEWS
from moa_jax.data.features import FeatureSpec
from moa_jax.data.graph_arrays import graph_arrays
from moa_jax.models.experts import EXPERTS, NETWORKS, SHOWN_IN, heard
from moa_jax.models.fused_networks import KINDS
from moa_jax.models.fusion import FusionModel, FusionOutput, product_of_experts
from moa_jax.models.fusion_members import FusionMembers
from moa_jax.schemas import Batch, GraphArrays, InputError, KnowledgeGraph
from moa_jax.training.further_tasks import TASKS, FurtherTasks, make_further_tasks
from moa_jax.training.fusion_objectives import Objective, Said, Totals, make_objective
from moa_jax.training.mix_up import mix_up
from moa_jax.training.modalities import ModalityDropoutTask, keep_only
from moa_jax.training.precision import PRECISIONS, cast_floats, refuse_unknown_precision

# What the model says, or each of its members.
TrainingOutput = FusionOutput | tuple[FusionOutput, ...]


@dataclasses.dataclass(frozen=True)
class FusionTask(ModalityDropoutTask):
    """Losses of the networks among the experts under modality dropout.

    The product itself is not trained: its scales are fitted to validation compounds later.
    Networks answer by the softmax of their logits, also when a loss with a sigmoid per MoA has
    trained them: that is the distribution over MoAs given that exactly one is right.

    Attributes:
      model: the network.
      joint_weight: weight of the joint expert's loss.
      expression_weight: weight of the signature expert's loss, and of the visible network's.
      structure_weight: weight of the molecule expert's loss.
      objective: what each expert minimises.
      precision: one of `PRECISIONS`: in which type the networks compute in a training step.
        Parameters, their gradients and what a loss makes of logits are float32 in any case, and
        so are answers.
      temperature: logits are divided by it before a loss sees them, and the loss is multiplied by
        its square (distillation, Hinton 2015, section 2); 1 but for soft labels.
      further: second tasks of the joint expert.
      mix_up_alpha: see `mix_up`; 0 mixes nothing.
    """

    model: FusionModel
    joint_weight: float
    expression_weight: float
    structure_weight: float
    objective: Objective
    precision: str
    temperature: float
    further: FurtherTasks
    mix_up_alpha: float

    selection_view: ClassVar[str] = "fusion"

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The weighted losses where nothing is remembered; see `Task.loss`."""
        if self.mix_up_alpha:
            mix_rng, rng = jax.random.split(rng)
            batch = mix_up(mix_rng, batch, alpha=self.mix_up_alpha)
        output = self.heard_in_training(params, batch, graph, rng)
        total, (parts, _) = self._totals(output, batch, step, {})
        return total, parts

    def remembering_loss(
        self,
        params: Any,
        batch: Batch,
        graph: GraphArrays,
        rng: Array,
        step: Int[Array, ""],
        *,
        memory: Any,
    ) -> tuple[Float[Array, ""], tuple[dict[str, Float[Array, ""]], Any]]:
        """The weighted losses and the memory after the step; see `Task.remembering_loss`."""
        if not memory:
            return super().remembering_loss(params, batch, graph, rng, step, memory=memory)
        output = self.heard_in_training(params, batch, graph, rng)
        return self._totals(output, batch, step, memory)

    def loss_of(
        self, output: TrainingOutput, batch: Batch
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The losses at the end of training; see `ModalityDropoutTask.loss_of`."""
        total, (parts, _) = self._totals(output, batch, jnp.iinfo(jnp.int32).max, {})
        return total, parts

    def _totals(
        self, output: TrainingOutput, batch: Batch, step: Int[Array, ""] | int, memory: Any
    ) -> Totals:
        weight = {
            "signature": self.expression_weight,
            "molecule": self.structure_weight,
            "joint": self.joint_weight,
            "visible": self.expression_weight,
        }
        said = Said(
            {expert: _logits(output, expert) / self.temperature for expert in self._networks},
            {expert: heard(expert, batch) & batch.example_mask for expert in self._networks},
            weight,
        )
        total, (parts, memory) = self.objective.totals(said, batch, jnp.asarray(step), memory)
        if self.temperature != 1.0:
            total, parts = jax.tree.map(lambda value: self.temperature**2 * value, (total, parts))
        for member in _members(output) if self.further.weights else ():
            losses = self.further.losses(member.state.tasks, batch)
            total += sum(weight * losses[name] for name, weight in self.further.weights)
            parts = parts | {name: parts.get(name, 0.0) + loss for name, loss in losses.items()}
        return total, (parts, memory)

    def apply_in_training(
        self, params: Any, seen: Batch, graph: GraphArrays, rng: Array
    ) -> TrainingOutput:
        """The model's output in float32, computed in `precision`."""
        dtype = PRECISIONS[self.precision]
        params, seen, graph = cast_floats((params, seen, graph), dtype)
        output = self.model.apply(
            {"params": params},
            seen,
            graph,
            train=True,
            rngs={"dropout": rng},
            method="each" if isinstance(self.model, FusionMembers) else None,
        )
        return cast_floats(output, jnp.float32)

    def first_memory(self, num_examples: int) -> Any:
        """What the objective remembers; see `Task.first_memory`."""
        return self.objective.first_memory(self._networks, num_examples, self.model.num_moas)

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

    def evidence(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "expert batch moa"]]:
        """Logits of the experts in each view; zeros where one has no say."""
        return {
            view: jnp.stack(
                [jnp.where(heard(name, seen)[:, None], own, 0.0) for name, own in logits.items()]
            )
            for view, (seen, logits) in self._seen_in_views(params, batch, graph).items()
        }

    def _seen_in_views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, tuple[Batch, dict[str, Float[Array, "batch moa"]]]]:
        """View -> the batch with what it shows, and the experts' logits for that.

        The model is applied once, unless an expert reads both modalities: the logits of the others
        do not depend on what else may be seen.
        """

        def logits(seen: Batch) -> dict[str, Float[Array, "batch moa"]]:
            return self.model.apply({"params": params}, seen, graph, train=False).experts

        whole, again = logits(batch), any(EXPERTS[name].reads_both for name in self.model.experts)
        views = {}
        for view, (expression, structure) in SHOWN_IN.items():
            seen = keep_only(batch, expression=expression, structure=structure)
            views[view] = seen, logits(seen) if again and view != "fusion" else whole
        return views


def reads_targets(config: ml_collections.ConfigDict) -> bool:
    """Whether the known targets must be found among the graph's genes."""
    if "joint" not in config.model.experts:
        return False
    return config.training.loss.target_weight > 0 or config.model.moa_head == "prototypes"


def _logits(output: TrainingOutput, expert: str) -> Float[Array, "*member batch moa"]:
    """What an expert says; with a leading axis of members where there are several."""
    if isinstance(output, FusionOutput):
        return output.experts[expert]
    return jnp.stack([member.experts[expert] for member in output])


def _members(output: TrainingOutput) -> tuple[FusionOutput, ...]:
    return (output,) if isinstance(output, FusionOutput) else output


def make_graph_arrays(config: ml_collections.ConfigDict, graph: KnowledgeGraph) -> GraphArrays:
    """The knowledge graph as the model of a configuration takes it.

    Raises:
      InputError: a network of the ontology cannot be built; see `ontology_arrays`.
    """
    return graph_arrays(
        graph,
        restart=config.graph.restart,
        num_steps=config.graph.num_steps,
        num_positions=config.graph.num_positions,
        with_ontology="visible" in config.model.experts,
    )


def make_fusion_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> FusionTask:
    """The task of a configuration (see `configs/fusion.py`) for given vocabularies and graph.

    Raises:
      InputError: the configuration names an expert that does not exist, none, or one twice, or a
        kind of encoder or fusion that does not exist; attention heads cannot share the features
        among them; or its training cannot be done; see
        `make_objective` and `refuse_unknown_precision`.
    """
    settings = config.model.to_dict()
    experts = tuple(settings.pop("experts"))
    if unknown := sorted(set(experts) - set(EXPERTS)):
        raise InputError(f"model.experts names {unknown[0]}; the experts are {', '.join(EXPERTS)}.")
    if not experts or len(set(experts)) < len(experts):
        raise InputError(f"model.experts is {experts}, expected one or more, each once.")
    for name, kinds in KINDS.items():
        if settings[name] not in kinds:
            raise InputError(
                f"model.{name} is {settings[name]!r}, expected one of {', '.join(kinds)}."
            )
    _refuse_uneven_heads(settings, experts)
    training = ml_collections.FrozenConfigDict(config.training)
    for name in TASKS:
        weight = training.loss[f"{name}_weight"]
        if weight and "joint" not in experts:
            raise InputError(
                f"training.loss.{name}_weight is {weight}, expected 0 without the expert joint, "
                "whose second task it is."
            )
    further = make_further_tasks(training.loss, features)
    refuse_unknown_precision(training.precision)
    objective = make_objective(training, len(features.moas))
    if objective.num_members > 1 and "pretraining" in config:
        raise InputError(
            "the configuration has pretraining and training.co_teaching.enabled, whose networks "
            "must start apart; expected one of them."
        )
    if objective.num_members > 1:
        settings["num_members"] = objective.num_members
    model = (FusionModel if objective.num_members == 1 else FusionMembers)(
        num_moas=len(features.moas),
        moa_names=features.moas,
        tasks=further.outputs,
        num_genes=graph_size[0],
        num_terms=graph_size[1],
        num_cell_lines=len(features.cell_lines),
        substructure_views=tuple(SUBSTRUCTURE_VIEWS.values()),
        experts=experts,
        **settings,
    )
    return FusionTask(
        model=model,
        drop_expression=training.drop_expression,
        drop_structure=training.drop_structure,
        joint_weight=training.loss.joint_weight,
        expression_weight=training.loss.expression_weight,
        structure_weight=training.loss.structure_weight,
        objective=objective,
        precision=training.precision,
        temperature=training.loss.temperature,
        further=further,
        mix_up_alpha=training.mix_up_alpha,
    )


def _refuse_uneven_heads(settings: Mapping[str, Any], experts: tuple[str, ...]) -> None:
    heads, shared = settings["num_heads"], []
    if "joint" in experts and settings["joint_fusion"] == "cross_attention":
        shared.append("features")
    of_graph = settings["knowledge_layer"] == "gat" or settings["expression_encoder"] == "tokens"
    if of_graph and {"signature", "joint"} & set(experts):
        shared.append("knowledge_features")
    for name in shared:
        if heads < 1 or settings[name] % heads:
            raise InputError(
                f"model.num_heads is {heads}, expected a divisor of model.{name}, which is "
                f"{settings[name]}."
            )
