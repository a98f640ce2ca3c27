"""Ways to join expression, structure and context into one state for the joint expert.

Late fusion has no joint expert: `FusionModel` adds the logits of the other networks.
"""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from moa_jax.models.absence import or_absent
from moa_jax.models.cross_attention import AtomAttention, NodeAttention
from moa_jax.models.encoders.molecule import MoleculeEncoding
from moa_jax.models.encoders.signature import SignatureEncoding
from moa_jax.schemas import Batch


@flax.struct.dataclass
class Encoded:
    """Outputs of the encoders for a batch.

    Attributes:
      signature: encoded expression; must not be used where the batch masks it.
      molecule: encoded structure; must not be used where the batch masks it.
      context: encoded cell line, dose and time.
      context_mask: whether the context may be used.
      nodes: embeddings of the graph's nodes.
    """

    signature: SignatureEncoding
    molecule: MoleculeEncoding
    context: Float[Array, "batch feature"]
    context_mask: Bool[Array, " batch"]
    nodes: Float[Array, "node node_feature"]


@flax.struct.dataclass
class Joined:
    """The joined state with its attention or gates.

    Attributes:
      state: input of the joint expert, which does not depend on masked modalities.
      node_attention: attention over graph nodes, zeros where expression is masked; cross-attention
        only.
      atom_attention: attention over atoms, zeros on padding and where structure is masked;
        cross-attention only.
      gates: weights of expression, structure and context in each feature; gated fusion only.
    """

    state: Float[Array, "batch joined"]
    node_attention: Float[Array, "batch head node"] | None = None
    atom_attention: Float[Array, "shard atom head"] | None = None
    gates: Float[Array, "batch modality feature"] | None = None


def _allowed(
    module: nn.Module, encoded: Encoded, batch: Batch
) -> tuple[Float[Array, "batch feature"], Float[Array, "batch feature"]]:
    """States of expression and structure, with a learned constant where one is masked."""
    return (
        or_absent(module, "absent_signature", encoded.signature.state, batch.expression_mask),
        or_absent(module, "absent_molecule", encoded.molecule.state, batch.structure_mask),
    )


class CrossAttentionFusion(nn.Module):
    """The molecule and the context attend to the graph's nodes, the signature attends to atoms.

    The state is the concatenation of the three states and both attended states. Attention to a
    masked modality returns zeros.

    Attributes:
      features: size of queries and attended states.
      num_heads: heads of both attentions.
    """

    features: int
    num_heads: int

    @nn.compact
    def __call__(self, encoded: Encoded, batch: Batch) -> Joined:
        """Joins the modalities of every example."""
        molecules = batch.molecules
        signature_state, molecule_state = _allowed(self, encoded, batch)
        from_nodes, node_attention = NodeAttention(
            self.features, self.num_heads, name="node_attention"
        )(molecule_state + encoded.context, encoded.signature.activity, encoded.nodes)
        from_atoms, atom_attention = AtomAttention(
            self.features, self.num_heads, name="atom_attention"
        )(
            signature_state + encoded.context,
            encoded.molecule.atoms,
            molecules.owner,
            molecules.atom_mask,
        )
        has_expression = batch.expression_mask[:, None]
        state = [
            signature_state,
            molecule_state,
            encoded.context,
            jnp.where(has_expression, from_nodes, 0.0),
            jnp.where(batch.structure_mask[:, None], from_atoms, 0.0),
        ]
        has_structure = jax.vmap(lambda mask, owner: mask[owner])(
            batch.structure_mask.reshape(molecules.owner.shape[0], -1), molecules.owner
        )
        return Joined(
            state=jnp.concatenate(state, axis=-1),
            node_attention=jnp.where(has_expression[..., None], node_attention, 0.0),
            atom_attention=jnp.where(has_structure[..., None], atom_attention, 0.0),
        )


class GatedFusion(nn.Module):
    """Intermediate fusion: a sum of the modalities' states, weighted in every feature.

    The gated multimodal unit (Arevalo 2017, section 3.1) with a softmax over the unmasked
    modalities in place of sigmoids, so that their weights sum to one.

    Attributes:
      features: size of the state.
    """

    features: int

    @nn.compact
    def __call__(self, encoded: Encoded, batch: Batch) -> Joined:
        """Joins the modalities of every example."""
        signature_state, molecule_state = _allowed(self, encoded, batch)
        states = {
            "signature": signature_state,
            "molecule": molecule_state,
            "context": encoded.context,
        }
        values = [
            jnp.tanh(nn.Dense(self.features, name=f"{name}_value")(state))
            for name, state in states.items()
        ]
        scores = nn.DenseGeneral((len(states), self.features), name="gates")(
            jnp.concatenate(list(states.values()), axis=-1)
        )
        masks = [batch.expression_mask, batch.structure_mask, encoded.context_mask]
        mask = jnp.stack(masks, axis=1)[..., None]
        lowest = jnp.finfo(scores.dtype).min
        gates = jnp.where(mask, jax.nn.softmax(jnp.where(mask, scores, lowest), axis=1), 0.0)
        return Joined(state=jnp.sum(gates * jnp.stack(values, axis=1), axis=1), gates=gates)


class EarlyFusion(nn.Module):
    """One network on the concatenated inputs.

    Its inputs are the genes, their graph embedding, the fingerprint, the mean atom state, the
    context and two modality masks; a masked modality is zeros.

    Attributes:
      hidden: width of the hidden layer.
    """

    hidden: int

    @nn.compact
    def __call__(self, encoded: Encoded, batch: Batch) -> Joined:
        """Joins the modalities of every example."""
        has_expression = batch.expression_mask[:, None]
        has_structure = batch.structure_mask[:, None]
        inputs = [
            jnp.where(has_expression, encoded.signature.genes, 0.0),
            jnp.where(has_expression, encoded.signature.knowledge, 0.0),
            jnp.where(has_structure, encoded.molecule.bits, 0.0),
            jnp.where(has_structure, encoded.molecule.mean, 0.0),
            encoded.context,
            has_expression.astype(jnp.float32),
            has_structure.astype(jnp.float32),
        ]
        hidden = nn.Dense(self.hidden, name="inputs")(jnp.concatenate(inputs, axis=-1))
        return Joined(state=nn.gelu(hidden))
