"""The encoders of the fusion model with heads for self-supervised objectives."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.networks import FusedNetworks
from moa_jax.schemas import Batch, GraphArrays


@flax.struct.dataclass
class PretrainingOutput:
    """Outputs of the heads; under `jit`, those that no loss reads are not computed.

    Attributes:
      genes: expression predicted from the signature's state.
      replicate: unit embedding of the signature, to be compared with other signatures.
      signature: unit embedding of the signature, to be compared with structures.
      molecule: unit embedding of the structure.
      response: expression predicted from structure and context alone.
      elements: logits of each atom's element.
      descriptors: molecular descriptors.
      nodes: states of the graph's nodes.
      relations: vector of each predicted relation.
    """

    genes: Float[Array, "batch gene"]
    replicate: Float[Array, "batch feature"]
    signature: Float[Array, "batch feature"]
    molecule: Float[Array, "batch feature"]
    response: Float[Array, "batch gene"]
    elements: Float[Array, "shard atom element"]
    descriptors: Float[Array, "batch descriptor"]
    nodes: Float[Array, "node node_feature"]
    relations: Float[Array, "relation node_feature"]


class PretrainingModel(FusedNetworks, kw_only=True):
    """Encoders with the names, sizes and parameters that they have in `fusion.FusionModel`.

    Their MoA logits are not trained and stay zero, as they start in the fusion model.

    Attributes:
      num_elements: number of element classes.
      num_descriptors: number of molecular descriptors.
      num_relations: number of predicted relations of the knowledge graph.
    """

    num_elements: int
    num_descriptors: int
    num_relations: int

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> PretrainingOutput:
        """Encodes a batch with hidden genes, atoms and links."""
        nodes, signature = self._signature(batch, graph, train)
        molecule = self._molecule(batch, train)
        # An expression-derived context would give away the signature that is predicted from it.
        context, _ = self._context(
            dataclasses.replace(
                batch,
                expression=jnp.zeros_like(batch.expression),
                gene_mask=jnp.zeros_like(batch.gene_mask),
                expression_mask=jnp.zeros_like(batch.expression_mask),
            ),
            train,
        )
        # Zeros, because the fusion model learns its own constant for an absent structure.
        structure = jnp.where(batch.structure_mask[:, None], molecule.state, 0.0)
        treated = nn.LayerNorm(name="response_norm")(
            jnp.concatenate([structure, context, structure * context], axis=-1)
        )
        treated = nn.gelu(nn.Dense(self.hidden, name="response_hidden")(treated))
        treated = nn.Dropout(self.dropout, name="response_dropout")(
            treated, deterministic=not train
        )
        num_measured = batch.expression.shape[1]
        return PretrainingOutput(
            genes=nn.Dense(num_measured, name="genes")(nn.gelu(signature.state)),
            replicate=_unit(nn.Dense(self.features, name="replicate")(signature.state)),
            signature=_unit(nn.Dense(self.features, name="to_structure")(signature.state)),
            molecule=_unit(nn.Dense(self.features, name="to_signature")(molecule.state)),
            response=nn.Dense(num_measured, name="response")(treated),
            elements=nn.Dense(self.num_elements, name="elements")(molecule.atoms),
            descriptors=nn.Dense(self.num_descriptors, name="descriptors")(molecule.state),
            nodes=nodes,
            relations=self.param(
                "relations",
                nn.initializers.ones_init(),
                (self.num_relations, self.knowledge_features),
            ),
        )


def _unit(rows: Float[Array, "batch feature"]) -> Float[Array, "batch feature"]:
    """Rows scaled to unit length; a row of zeros stays zero, with gradient 0."""
    return rows / jnp.sqrt(jnp.sum(rows**2, axis=-1, keepdims=True) + 1e-12)
