"""Message passing along bonds beside `message_passing.BondNetworkLayer`, and a virtual node.

All layers take the same arguments and return atom states that are normalised and residual.
Messages along masked bonds have no influence.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.models.message_passing import BondNetworkLayer, owner_attention, owner_sum

# Kinds of message passing along bonds.
MOLECULE_LAYERS = ("gin", "gat", "mpnn")
NUM_HEADS = 4


class BondAttentionLayer(nn.Module):
    """An atom's mean over its bonds by learned attention (GATv2: Brody 2022, eq. 7).

    The score of a bond is a linear form in LeakyReLU of linear forms in sender, receiver and
    bond; the message is that in sender and bond.

    Attributes:
      features: size of the atom states, a multiple of `NUM_HEADS`.
    """

    features: int

    @nn.compact
    def __call__(
        self,
        atoms: Float[Array, "atom feature"],
        bonds: Float[Array, "bond bond_feature"],
        senders: Int[Array, " bond"],
        receivers: Int[Array, " bond"],
        bond_mask: Bool[Array, " bond"],
    ) -> Float[Array, "atom feature"]:
        """Updates the atom states; an atom without bonds keeps its own part alone."""
        heads = (NUM_HEADS, self.features // NUM_HEADS)
        values = nn.DenseGeneral(heads, name="sender")(atoms)[senders]
        values += nn.DenseGeneral(heads, use_bias=False, name="bond")(bonds)
        asked = nn.DenseGeneral(heads, use_bias=False, name="receiver")(atoms)[receivers]
        start = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        form = self.param("score", start, heads)
        scores = (nn.leaky_relu(values + asked, negative_slope=0.2) * form).sum(axis=-1)
        attention = owner_attention(scores, receivers, bond_mask, len(atoms))
        heard = owner_sum(attention[..., None] * values, receivers, len(atoms))
        update = nn.Dense(self.features, name="own")(atoms) + heard.reshape(atoms.shape)
        return nn.LayerNorm(name="norm")(atoms + nn.gelu(update))


class BondMessageLayer(nn.Module):
    """Messages from a network on sender, receiver and bond; a gated recurrent unit keeps states.

    MPNN (Gilmer 2017) with the pair message of section 5.1 and the update of section 5.

    Attributes:
      features: size of the atom states.
    """

    features: int

    @nn.compact
    def __call__(
        self,
        atoms: Float[Array, "atom feature"],
        bonds: Float[Array, "bond bond_feature"],
        senders: Int[Array, " bond"],
        receivers: Int[Array, " bond"],
        bond_mask: Bool[Array, " bond"],
    ) -> Float[Array, "atom feature"]:
        """Updates the atom states."""
        # Linear in the three parts, so atoms are multiplied before they are copied to bonds.
        hidden = (
            nn.Dense(self.features, name="sender")(atoms)[senders]
            + nn.Dense(self.features, use_bias=False, name="receiver")(atoms)[receivers]
            + nn.Dense(self.features, use_bias=False, name="bond")(bonds)
        )
        message = nn.Dense(self.features, name="message")(nn.gelu(hidden))
        heard = owner_sum(jnp.where(bond_mask[:, None], message, 0.0), receivers, len(atoms))
        state, _ = nn.GRUCell(self.features, name="update")(atoms, heard)
        return nn.LayerNorm(name="norm")(state)


BOND_LAYERS = {"gin": BondNetworkLayer, "gat": BondAttentionLayer, "mpnn": BondMessageLayer}


class VirtualNode(nn.Module):
    """A node that all atoms of a molecule hear and are heard by (Gilmer 2017, section 5.2).

    Attributes:
      features: size of its state and of the atoms'.
      num_owners: molecules.
    """

    features: int
    num_owners: int

    @nn.compact
    def __call__(
        self,
        state: Float[Array, "owner feature"],
        atoms: Float[Array, "atom feature"],
        owner: Int[Array, " atom"],
        atom_mask: Bool[Array, " atom"],
    ) -> tuple[Float[Array, "owner feature"], Float[Array, "atom feature"]]:
        """States of the virtual nodes and of the atoms after each has heard the other."""
        mask = atom_mask[:, None]
        total = owner_sum(jnp.where(mask, atoms, 0.0), owner, self.num_owners)
        count = owner_sum(mask.astype(atoms.dtype), owner, self.num_owners)
        hidden = nn.gelu(
            nn.Dense(2 * self.features, name="hidden")(state + total / jnp.maximum(count, 1.0))
        )
        state = nn.LayerNorm(name="norm")(state + nn.Dense(self.features, name="out")(hidden))
        return state, atoms + state[owner]
