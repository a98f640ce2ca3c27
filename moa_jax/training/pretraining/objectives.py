"""The objectives of pretraining, weighted and summed over one forward pass.

Genes, atoms and links are hidden once, and every objective reads the same states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float

from moa_jax.compounds.descriptors import DESCRIPTORS
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.models.networks import FusedNetworks
from moa_jax.models.pretraining_heads import PretrainingModel
from moa_jax.schemas import GraphArrays, InputError
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.pretraining.batches import PretrainingBatch
from moa_jax.training.pretraining.contrast import alignment_loss, compound_contrast
from moa_jax.training.pretraining.links import (
    RELATIONS,
    LinkNumbers,
    hide_links,
    relation_loss,
)
from moa_jax.training.pretraining.masked_genes import hide_genes, mean_squared_error
from moa_jax.training.pretraining.molecules import ELEMENTS, hidden_element_loss, hide_atoms

# Objective -> the encoders that it trains.
OBJECTIVES = {
    "masked_genes": ("signature", "knowledge"),
    "compound_contrast": ("signature", "knowledge"),
    "alignment": ("signature", "knowledge", "molecule"),
    "response": ("molecule", "context"),
    "elements": ("molecule",),
    "descriptors": ("molecule",),
    "links": ("knowledge",),
}
# Fields of every flax module.
_OWN_OF_FLAX = ("parent", "name")


@dataclasses.dataclass(frozen=True)
class PretrainingTask:
    """A model and its pretraining losses; hashable.

    Attributes:
      model: encoders and heads.
      weights: (objective, weight) pairs; other `OBJECTIVES` are not used.
      hidden_genes: share of genes that are hidden.
      hidden_atoms: share of atoms that are hidden.
      hidden_links: share of links that are hidden.
      temperature: temperature of the contrastive losses.
    """

    model: PretrainingModel
    weights: tuple[tuple[str, float], ...]
    hidden_genes: float
    hidden_atoms: float
    hidden_links: float
    temperature: float

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the encoders that an objective trains, sorted."""
        return tuple(
            sorted({name for objective, _ in self.weights for name in OBJECTIVES[objective]})
        )

    def loss(
        self,
        params: Any,
        seen: PretrainingBatch,
        graph: GraphArrays,
        links: LinkNumbers,
        rng: Array,
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The weighted sum of the objectives on one batch, and each of them.

        Args:
          params: parameters of the model.
          seen: the batch before anything is hidden.
          graph: the knowledge graph.
          links: its `link_numbers`.
          rng: key of the step.
        """
        genes_rng, atoms_rng, links_rng, others_rng, dropout_rng = jax.random.split(rng, 5)
        batch, graph_left = seen.batch, graph
        shown, hidden_genes = hide_genes(genes_rng, batch, share=self.hidden_genes)
        molecules, hidden_atoms = hide_atoms(atoms_rng, batch.molecules, share=self.hidden_atoms)
        shown = dataclasses.replace(shown, molecules=molecules)
        if "links" in dict(self.weights):
            graph_left, hidden_links = hide_links(links_rng, graph, links, share=self.hidden_links)
        output = self.model.apply(
            {"params": params}, shown, graph_left, train=True, rngs={"dropout": dropout_rng}
        )
        has_expression = batch.expression_mask & batch.example_mask
        has_structure = batch.structure_mask & batch.example_mask
        measured = batch.gene_mask & has_expression[:, None]
        objectives = {
            "masked_genes": lambda: mean_squared_error(
                output.genes, batch.expression, hidden_genes & measured
            ),
            "compound_contrast": lambda: compound_contrast(
                output.replicate, seen.compound, has_expression, temperature=self.temperature
            ),
            "alignment": lambda: alignment_loss(
                output.signature,
                output.molecule,
                seen.compound,
                has_expression & has_structure,
                temperature=self.temperature,
            ),
            "response": lambda: mean_squared_error(
                output.response, batch.expression, measured & has_structure[:, None]
            ),
            "elements": lambda: hidden_element_loss(
                output.elements, batch.molecules.atom_features, hidden_atoms
            ),
            "descriptors": lambda: mean_squared_error(
                output.descriptors,
                seen.descriptors,
                jnp.broadcast_to(has_structure[:, None], seen.descriptors.shape),
            ),
            "links": lambda: relation_loss(
                others_rng,
                output.nodes,
                output.relations,
                graph,
                hidden_links,
                num_genes=self.model.num_genes,
            ),
        }
        parts = {name: objectives[name]() for name, _ in self.weights}
        total = sum((weight * parts[name] for name, weight in self.weights), jnp.zeros(()))
        return total, parts


def make_pretraining_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> PretrainingTask:
    """The task of a configuration; see `configs/pretraining.py`.

    Raises:
      InputError: the configuration names an objective that does not exist, or gives none weight.
    """
    settings = config.pretraining
    weight_of: Mapping[str, float] = settings.objectives.to_dict()
    if unknown := sorted(set(weight_of) - set(OBJECTIVES)):
        raise InputError(
            f"pretraining.objectives names {unknown[0]}; the objectives are "
            f"{', '.join(OBJECTIVES)}."
        )
    weights = tuple(
        (name, float(weight_of[name])) for name in OBJECTIVES if weight_of.get(name, 0.0) > 0
    )
    if not weights:
        raise InputError("pretraining.objectives gives no objective a weight above 0.")
    fusion = make_fusion_task(config, features, graph_size).model
    return PretrainingTask(
        model=PretrainingModel(
            num_elements=len(ELEMENTS),
            num_descriptors=len(DESCRIPTORS),
            num_relations=len(RELATIONS),
            **{
                field.name: getattr(fusion, field.name)
                for field in dataclasses.fields(FusedNetworks)
                if field.name not in _OWN_OF_FLAX
            },
        ),
        weights=weights,
        hidden_genes=settings.hidden_genes,
        hidden_atoms=settings.hidden_atoms,
        hidden_links=settings.hidden_links,
        temperature=settings.temperature,
    )
