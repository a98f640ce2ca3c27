"""The network that corrects the closed form: cross-attention from compounds to proteins.

It reads what the kernel experts say about a compound (leave-one-compound-out answers in training),
passes their evidence for proteins along STRING and GO, attends to the proteins, and adds what it
has learned to the logits of mechanisms. What it adds to those of targets and actions steers its
attention alone. All of its weights are shared by all proteins and mechanisms, and all that it adds
is 0 at first.
"""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from moa_jax.models.encoders.evidence import EvidencePassing, PassingShares
from moa_jax.schemas import ACTIONS, GraphArrays, LeftOut


@flax.struct.dataclass
class ClosedFormAnswer:
    """What the closed form says about a batch; nothing of it depends on masked modalities.

    Attributes:
      logits: logits of its experts times their scales; 0 where one takes no part.
      evidence: evidence of its kernel experts times their scales; 0 likewise.
      masks: whether expression and structure may be used, 0 or 1.
      left_out: see `schemas.Batch.left_out`.
    """

    logits: Float[Array, "batch expert moa"]
    evidence: Float[Array, "batch kernel action protein"]
    masks: Float[Array, "batch modality"]
    left_out: LeftOut | None


@flax.struct.dataclass
class Mechanisms:
    """The mechanisms as the closed form knows them.

    Attributes:
      prototypes: unit vectors of pairs of action and protein; see `kernels.target_actions`.
      lengths: the lengths that these vectors had.
    """

    prototypes: Float[Array, "action_protein moa"]
    lengths: Float[Array, " moa"]

    def match(
        self, attention: Float[Array, "batch action_protein"], left_out: LeftOut | None
    ) -> Float[Array, "batch moa"]:
        """Product of attention with the prototypes, without what the compound adds to them."""
        product = attention @ self.prototypes
        if left_out is None:
            return product
        own = left_out.own_targets
        of_own = left_out.own_moas * jnp.sum(attention * own, axis=-1, keepdims=True)
        shared = (own @ self.prototypes) * self.lengths
        size = jnp.sum(own**2, axis=-1, keepdims=True)
        square = self.lengths**2 - left_out.own_moas * (2.0 * shared - size)
        # Smaller squares are rounding errors: no other compound describes the mechanism.
        left = square > _ROUNDING
        length = jnp.sqrt(jnp.where(left, square, 1.0))
        return jnp.where(left, (product * self.lengths - of_own) / length, 0.0)


_ROUNDING = 1e-4


@flax.struct.dataclass
class Proteins:
    """The proteins as the closed form knows them.

    Attributes:
      carry: from proteins with evidence to all gene nodes; see `kernels.protein_carry`.
      rows: gene nodes of the proteins with evidence.
      counts: number of training compounds with the protein as a target.
    """

    carry: Float[Array, "protein gene"]
    rows: Int[Array, " protein"]
    counts: Float[Array, " protein"]

    def known(self, left_out: LeftOut) -> Float[Array, "batch protein"]:
        """Number of other compounds with each protein as a target."""
        own = left_out.targets.reshape(len(left_out.targets), len(ACTIONS), -1).sum(axis=1)
        return self.counts - (own > 0)


@flax.struct.dataclass
class NetworkAnswer:
    """What the network adds to the closed form, and what it attends to.

    Attributes:
      mechanisms: added to the logits of the mechanisms.
      targets: logits of the proteins with evidence as targets, with what is added.
      actions: logit of inhibition minus that of activation for each of them, likewise.
      attention: attention of the compound to them; sums to 1.
      evidence: the closed form's evidence for them, as it was read.
      carried: that evidence, carried along the graph as the closed form does.
      passed: what neighbours in STRING, and proteins that share GO terms, pass to them of it.
    """

    mechanisms: Float[Array, "batch moa"]
    targets: Float[Array, "batch protein"]
    actions: Float[Array, "batch protein"]
    attention: Float[Array, "batch protein"]
    evidence: Float[Array, "batch kernel action protein"]
    carried: Float[Array, "batch kernel action protein"]
    passed: Float[Array, "batch path protein"]


class SharedResidual(nn.Module):
    """One perceptron for all items, which reads each item and its compound; 0 at first.

    Attributes:
      hidden: width of its hidden layer.
      num_outputs: numbers that it returns for each item.
    """

    hidden: int
    num_outputs: int

    @nn.compact
    def __call__(
        self, items: Float[Array, "batch item feature"], compound: Float[Array, "batch state"]
    ) -> Float[Array, "batch item output"]:
        """Residuals of the items of each example."""
        hidden = nn.Dense(self.hidden, name="item")(items)
        hidden += nn.Dense(self.hidden, use_bias=False, name="compound")(compound)[:, None]
        zeros = nn.initializers.zeros_init()
        return nn.Dense(self.num_outputs, use_bias=False, kernel_init=zeros, name="out")(
            nn.gelu(hidden)
        )


# Items that one device computes at once: their hidden states stay in the cache of a CPU.
ITEM_BLOCK = 32


class SharedResidualInBlocks(SharedResidual):
    """A `SharedResidual` that computes a few items at a time, twice in training; same parameters.

    Faster on a CPU, where the hidden states of all items would be written to memory. Over
    several devices the gradients of each block would be summed across them one by one.
    """

    @nn.compact
    def __call__(
        self, items: Float[Array, "batch item feature"], compound: Float[Array, "batch state"]
    ) -> Float[Array, "batch item output"]:
        """Residuals of the items of each example."""
        batch, count, width = items.shape
        num_blocks = -(-count // ITEM_BLOCK)
        padded = jnp.pad(items, ((0, 0), (0, num_blocks * ITEM_BLOCK - count), (0, 0)))
        shared = SharedResidual(self.hidden, self.num_outputs)
        nn.share_scope(self, shared)

        def of_block(module, carry, block):  # noqa: ANN001, ANN202 (flax's own form)
            return carry, module(block, compound)

        _, residuals = nn.scan(
            nn.remat(of_block, prevent_cse=False),
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )(shared, (), padded.reshape(batch, num_blocks, ITEM_BLOCK, width))
        return residuals.reshape(batch, -1, self.num_outputs)[:, :count]


class ProteinNetwork(nn.Module):
    """Targets, actions and mechanisms from the closed form and the compound's state.

    Explanations add to its evidence, and differentiate by it, in the collection `perturbations`.

    Attributes:
      features: size of queries and keys.
      hidden: width of the perceptrons.
      in_blocks: whether they compute a few proteins or mechanisms at a time, for one device.
    """

    features: int
    hidden: int
    in_blocks: bool

    @nn.compact
    def __call__(
        self,
        compound: Float[Array, "batch state"],
        nodes: Float[Array, "node feature"],
        graph: GraphArrays,
        *,
        closed: ClosedFormAnswer,
        proteins: Proteins,
        mechanisms: Mechanisms,
    ) -> NetworkAnswer:
        """Answers for a batch.

        Args:
          compound: state of each compound from its unmasked modalities.
          nodes: embeddings of the gene nodes, then of the term nodes.
          graph: the knowledge graph.
          closed: what the closed form says.
          proteins: the proteins.
          mechanisms: the mechanisms.
        """
        closed = closed.replace(evidence=self.perturb("evidence", closed.evidence))
        # [batch, amount]: how much the closed form knows about the compound.
        amount = _amounts(closed)
        query = nn.Dense(self.features, kernel_init=nn.initializers.zeros_init(), name="query")(
            compound
        )
        key = nn.Dense(self.features, use_bias=False, name="key")(nodes[proteins.rows])
        # [batch, kernel, action, protein]: evidence carried from protein to protein.
        carried = jnp.matmul(closed.evidence, proteins.carry[:, proteins.rows])
        carried = self.perturb("carried", carried)
        # [batch, path, protein]: evidence passed by neighbours with trained weights.
        num_genes = proteins.carry.shape[1]
        shares = EvidencePassing(num_genes, name="passing")(nodes, graph)
        passed = self.perturb("passed", _passed(closed.evidence, shares, proteins, nodes))
        evidence = _evidence_features(closed.evidence, carried, passed)
        residual = SharedResidualInBlocks if self.in_blocks else SharedResidual
        added = residual(self.hidden, 2, name="node_residual")(evidence, amount)
        added = added.at[..., 0].add(query @ key.T / jnp.sqrt(self.features))

        by_action = carried.sum(axis=1)
        targets = by_action.sum(axis=1) + added[..., 0]
        actions = by_action[:, 0] - by_action[:, 1] + added[..., 1]
        attention = jax.nn.softmax(targets, axis=-1)
        inhibits = jax.nn.sigmoid(actions)
        pairs = jnp.concatenate([attention * inhibits, attention * (1.0 - inhibits)], axis=-1)
        of_experts = jnp.swapaxes(closed.logits, 1, 2)
        features = [
            of_experts,
            of_experts.sum(axis=-1, keepdims=True),
            mechanisms.match(pairs, closed.left_out)[..., None],
        ]
        of_moas = residual(self.hidden, 1, name="moa_residual")(
            jnp.concatenate(features, axis=-1), amount
        )
        return NetworkAnswer(
            mechanisms=of_moas[..., 0],
            targets=targets,
            actions=actions,
            attention=attention,
            evidence=closed.evidence,
            carried=carried,
            passed=passed,
        )


def _amounts(closed: ClosedFormAnswer) -> Float[Array, "batch amount"]:
    """How much each expert knows about a compound, and which modalities it has."""
    total = closed.logits.sum(axis=1)
    largest = total.max(axis=-1)
    others = jax.nn.logsumexp(total, axis=-1) - largest
    amounts = [
        closed.logits.max(axis=-1),
        closed.evidence.sum(axis=2).max(axis=-1),
        jnp.stack([largest, others], axis=-1),
    ]
    return jnp.concatenate([closed.masks, *(jnp.arcsinh(values) for values in amounts)], axis=-1)


def _passed(
    evidence: Float[Array, "batch kernel action protein"],
    shares: PassingShares,
    proteins: Proteins,
    nodes: Float[Array, "node feature"],
) -> Float[Array, "batch path protein"]:
    """The evidence of neighbours, from both kernels and for both actions together."""
    num_genes = proteins.carry.shape[1]
    at_genes = jnp.zeros((len(evidence), num_genes))
    at_genes = at_genes.at[:, proteins.rows].set(evidence.sum(axis=(1, 2)))
    # The examples are channels: one pass serves the whole batch.
    passed = shares.passed(at_genes.T, len(nodes) - num_genes)[:, proteins.rows]
    return jnp.moveaxis(passed, -1, 0)


def _evidence_features(
    evidence: Float[Array, "batch kernel action protein"],
    carried: Float[Array, "batch kernel action protein"],
    passed: Float[Array, "batch path protein"],
) -> Float[Array, "batch protein evidence"]:
    """Evidence for each protein, what is carried to it, and what its neighbours pass to it."""
    parts = [evidence.sum(axis=2), carried.sum(axis=2), passed]
    # The inverse hyperbolic sine is a logarithm for large evidence of either sign.
    return jnp.arcsinh(jnp.swapaxes(jnp.concatenate(parts, axis=1), 1, 2))
