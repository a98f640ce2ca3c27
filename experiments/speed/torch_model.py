"""`configs/cross_attention.py`'s network in PyTorch and PyG, with the names of the flax modules.

Each class follows the flax module of the same name in `moa_jax/models`; shapes are given there.
Linear layers have the flax names, so that `load_flax` can copy parameters from an .npz file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that everyone uses)
from torch import Tensor, nn
from torch_geometric.nn import GINEConv, SimpleConv, global_mean_pool
from torch_geometric.utils import scatter, softmax

Arrays = dict[str, Tensor]


def gelu(state: Tensor) -> Tensor:
    """The approximation that flax uses."""
    return F.gelu(state, approximate="tanh")


def norm(features: int) -> nn.LayerNorm:
    """A layer norm with flax's epsilon."""
    return nn.LayerNorm(features, eps=1e-6)


class RelationalLayer(nn.Module):
    """R-GCN over the typed edges: one linear layer and one weighted mean for each type."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.relations = nn.ModuleDict(
            {
                name: nn.Linear(features, features, bias=False)
                for name in (
                    "interacts",
                    "annotates",
                    "annotated_to",
                    "is_a",
                    "is_a_reverse",
                    "part_of",
                    "part_of_reverse",
                )
            }
        )
        self.mean = SimpleConv(aggr="sum")
        self.gene_self, self.term_self = (
            nn.Linear(features, features),
            nn.Linear(features, features),
        )
        self.gene_norm, self.term_norm = norm(features), norm(features)

    def forward(self, genes: Tensor, terms: Tensor, graph: Arrays) -> tuple[Tensor, Tensor]:
        """One layer; edge weights sum to 1 at each receiver."""

        def received(name: str, nodes: Tensor, receivers: Tensor) -> Tensor:
            return self.mean(
                (self.relations[name](nodes), receivers),
                graph[f"{name}/edge_index"],
                graph[f"{name}/share"],
            )

        to_genes = received("interacts", genes, genes) + received("annotates", terms, genes)
        to_terms = received("annotated_to", genes, terms)
        for name in ("is_a", "is_a_reverse", "part_of", "part_of_reverse"):
            to_terms = to_terms + received(name, terms, terms)
        genes = genes + gelu(self.gene_self(genes) + to_genes)
        terms = terms + gelu(self.term_self(terms) + to_terms)
        return self.gene_norm(genes), self.term_norm(terms)


class KnowledgeEncoder(nn.Module):
    """Node embeddings, genes first."""

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        features = sizes["knowledge_features"]
        self.gene = nn.Parameter(torch.randn(sizes["num_genes"], features))
        self.term = nn.Parameter(torch.randn(sizes["num_terms"], features))
        self.layers = nn.ModuleList(
            RelationalLayer(features) for _ in range(sizes["knowledge_layers"])
        )

    def forward(self, graph: Arrays) -> Tensor:
        """Embeds all nodes."""
        genes, terms = self.gene, self.term
        for layer in self.layers:
            genes, terms = layer(genes, terms, graph)
        return torch.cat([genes, terms])


class SignatureEncoder(nn.Module):
    """Linear logits of genes, a hidden layer, and the activity of graph nodes."""

    def __init__(self, sizes: Mapping[str, Any], num_landmarks: int) -> None:
        super().__init__()
        hidden, moas = sizes["hidden"], sizes["num_moas"]
        self.gene_dropout, self.dropout = sizes["gene_dropout"], sizes["dropout"]
        self.knowledge_norm = norm(sizes["knowledge_features"])
        self.gene_hidden = nn.Linear(num_landmarks, hidden)
        self.knowledge_hidden = nn.Linear(sizes["knowledge_features"], hidden, bias=False)
        self.gene_logits = nn.Linear(num_landmarks, moas)
        self.hidden_logits = nn.Linear(hidden, moas, bias=False)
        self.state = nn.Linear(hidden, sizes["features"])

    def forward(
        self, expression: Tensor, gene_mask: Tensor, nodes: Tensor, propagation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns logits, state and the activity of every node."""
        genes = F.dropout(expression * gene_mask, self.gene_dropout, self.training)
        activity = genes @ propagation
        known = self.knowledge_norm(activity @ nodes / len(nodes) ** 0.5)
        hidden = gelu(self.gene_hidden(genes) + self.knowledge_hidden(known))
        hidden = F.dropout(hidden, self.dropout, self.training)
        return self.gene_logits(genes) + self.hidden_logits(hidden), self.state(hidden), activity


class MoleculeEncoder(nn.Module):
    """GINE over the bonds, the mean atom, and the Morgan fingerprint."""

    def __init__(self, sizes: Mapping[str, Any], num_inputs: Mapping[str, int]) -> None:
        super().__init__()
        features, hidden, moas = sizes["atom_features"], sizes["hidden"], sizes["num_moas"]
        self.bit_dropout, self.dropout = sizes["bit_dropout"], sizes["dropout"]
        self.embed = nn.Linear(num_inputs["atom"], features)
        self.convolutions = nn.ModuleList(
            GINEConv(
                nn.Sequential(
                    nn.Linear(features, 2 * features),
                    nn.GELU(approximate="tanh"),
                    nn.Linear(2 * features, features),
                ),
                edge_dim=num_inputs["bond"],
            )
            for _ in range(sizes["molecule_layers"])
        )
        self.norms = nn.ModuleList(norm(features) for _ in self.convolutions)
        self.graph_hidden = nn.Linear(features, hidden)
        self.bit_hidden = nn.Linear(num_inputs["bit"], hidden, bias=False)
        self.bit_logits = nn.Linear(num_inputs["bit"], moas)
        self.hidden_logits = nn.Linear(hidden, moas, bias=False)
        self.state = nn.Linear(hidden, sizes["features"])

    def forward(self, batch: Arrays) -> tuple[Tensor, Tensor, Tensor]:
        """Returns logits, state and the atoms' states."""
        atoms = self.embed(batch["atom_features"])
        for convolution, layer_norm in zip(self.convolutions, self.norms, strict=True):
            atoms = layer_norm(
                atoms + convolution(atoms, batch["edge_index"], batch["bond_features"])
            )
        bits = F.dropout(batch["fingerprint"], self.bit_dropout, self.training)
        mean = global_mean_pool(atoms, batch["owner"], size=len(bits))
        hidden = gelu(self.graph_hidden(mean) + self.bit_hidden(bits))
        hidden = F.dropout(hidden, self.dropout, self.training)
        return self.bit_logits(bits) + self.hidden_logits(hidden), self.state(hidden), atoms


class ContextEncoder(nn.Module):
    """A cell-line embedding with an unknown token (row 0), dose and time."""

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        self.cell_line_dropout = sizes["cell_line_dropout"]
        self.cell_line = nn.Embedding(sizes["num_cell_lines"], sizes["features"])
        self.dose, self.time = nn.Linear(2, sizes["features"]), nn.Linear(2, sizes["features"])

    def forward(self, batch: Arrays) -> Tensor:
        """The context's state."""
        cell_line = batch["cell_line"]
        if self.training:
            keep = torch.rand(cell_line.shape) >= self.cell_line_dropout
            cell_line = torch.where(keep, cell_line, 0)
        state = self.cell_line(cell_line)
        for name, layer in (("dose", self.dose), ("time", self.time)):
            known = batch[f"{name}_mask"].float()
            state = state + layer(torch.stack([batch[f"log_{name}"] * known, known], dim=-1))
        return state


class NodeAttention(nn.Module):
    """Attention to all graph nodes.

    Either factored as in the flax module, or PyTorch's attention over one explicit token per node
    and example; the results are equal.
    """

    def __init__(self, sizes: Mapping[str, Any], *, written_out: bool) -> None:
        super().__init__()
        self.written_out = written_out
        features, nodes = sizes["features"], sizes["knowledge_features"]
        self.num_heads = sizes["num_heads"]
        self.query = nn.Linear(features, features)
        self.active_key, self.static_key, self.active_value, self.static_value = (
            nn.Linear(nodes, features, bias=False) for _ in range(4)
        )
        self.out = nn.Linear(features, features)

    def forward(self, query: Tensor, activity: Tensor, nodes: Tensor) -> tuple[Tensor, ...]:
        """Returns the attended state and, if factored, the attention [batch, head, node]."""

        def heads(layer: nn.Linear, inputs: Tensor) -> Tensor:
            return layer(inputs).view(len(inputs), self.num_heads, -1)

        asked = heads(self.query, query)
        if self.written_out:
            each = activity[:, None, :, None]
            keys, values = (
                each * heads(active, nodes).transpose(0, 1) + heads(static, nodes).transpose(0, 1)
                for active, static in (
                    (self.active_key, self.static_key),
                    (self.active_value, self.static_value),
                )
            )
            value = F.scaled_dot_product_attention(asked[:, :, None, :], keys, values)
            return (self.out(value.flatten(1)),)
        active = activity[:, None, :]
        scores = torch.einsum("bhd,nhd->bhn", asked, heads(self.active_key, nodes)) * active
        scores = scores + torch.einsum("bhd,nhd->bhn", asked, heads(self.static_key, nodes))
        attention = torch.softmax(scores / asked.shape[-1] ** 0.5, dim=-1)
        value = torch.einsum(
            "bhn,nhd->bhd", attention * active, heads(self.active_value, nodes)
        ) + torch.einsum("bhn,nhd->bhd", attention, heads(self.static_value, nodes))
        return self.out(value.flatten(1)), attention


class AtomAttention(nn.Module):
    """Attention of each example to the atoms of its molecule."""

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        features, atoms = sizes["features"], sizes["atom_features"]
        self.num_heads = sizes["num_heads"]
        self.query = nn.Linear(features, features)
        self.key, self.value = (nn.Linear(atoms, features, bias=False) for _ in range(2))
        self.out = nn.Linear(features, features, bias=False)

    def forward(self, query: Tensor, atoms: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the attended state and the attention [atom, head]."""
        asked = self.query(query).view(len(query), self.num_heads, -1)
        key, value = (
            layer(atoms).view(len(atoms), self.num_heads, -1) for layer in (self.key, self.value)
        )
        scores = (asked[owner] * key).sum(-1) / asked.shape[-1] ** 0.5
        attention = softmax(scores, owner, num_nodes=len(query))
        pooled = scatter(attention[..., None] * value, owner, dim_size=len(query), reduce="sum")
        return self.out(pooled.flatten(1)), attention


class FusionNetwork(nn.Module):
    """Encoders, joint cross-attention, and the logits of the three networks."""

    def __init__(
        self, sizes: Mapping[str, Any], num_inputs: Mapping[str, int], *, written_out: bool
    ) -> None:
        super().__init__()
        features, hidden = sizes["features"], sizes["hidden"]
        self.knowledge = KnowledgeEncoder(sizes)
        self.signature = SignatureEncoder(sizes, num_inputs["gene"])
        self.molecule = MoleculeEncoder(sizes, num_inputs)
        self.context = ContextEncoder(sizes)
        self.node_attention = NodeAttention(sizes, written_out=written_out)
        self.atom_attention = AtomAttention(sizes)
        self.absent_signature = nn.Parameter(torch.zeros(features))
        self.absent_molecule = nn.Parameter(torch.zeros(features))
        self.fuse_norm, self.fuse = norm(5 * features), nn.Linear(5 * features, hidden)
        self.joint_logits = nn.Linear(hidden, sizes["num_moas"])
        self.dropout = sizes["dropout"]

    def forward(
        self, batch: Arrays, graph: Arrays, expression_mask: Tensor, structure_mask: Tensor
    ) -> dict[str, Tensor]:
        """Logits of each network from the modalities that the masks allow."""
        has_expression, has_structure = expression_mask[:, None], structure_mask[:, None]
        nodes = self.knowledge(graph)
        signature_logits, signature, activity = self.signature(
            batch["expression"], batch["gene_mask"], nodes, graph["propagation"]
        )
        molecule_logits, molecule, atoms = self.molecule(batch)
        context = self.context(batch)
        signature = torch.where(has_expression, signature, self.absent_signature)
        molecule = torch.where(has_structure, molecule, self.absent_molecule)
        from_nodes = self.node_attention(molecule + context, activity, nodes)[0]
        from_atoms, _ = self.atom_attention(signature + context, atoms, batch["owner"])
        fused = torch.cat(
            [
                signature,
                molecule,
                context,
                from_nodes * has_expression,
                from_atoms * has_structure,
            ],
            dim=-1,
        )
        fused = F.dropout(gelu(self.fuse(self.fuse_norm(fused))), self.dropout, self.training)
        return {
            "signature": signature_logits,
            "molecule": molecule_logits,
            "joint": self.joint_logits(fused),
        }


# Substitutions, applied in turn, that map flax paths to PyTorch names (apart from dots).
_RENAMED = (
    (r"^knowledge/layer_(\d+)/((gene|term)_(self|norm))/", r"knowledge/layers/\1/\2/"),
    (r"^knowledge/layer_(\d+)/", r"knowledge/layers/\1/relations/"),
    (r"^molecule/atoms/embed/", "molecule/embed/"),
    (r"^molecule/atoms/layer_(\d+)/norm/", r"molecule/norms/\1/"),
    (r"^molecule/atoms/layer_(\d+)/bond/", r"molecule/convolutions/\1/lin/"),
    (r"^molecule/atoms/layer_(\d+)/update_hidden/", r"molecule/convolutions/\1/nn/0/"),
    (r"^molecule/atoms/layer_(\d+)/update_out/", r"molecule/convolutions/\1/nn/2/"),
    (r"/(kernel|scale|embedding)$", "/weight"),
)


def _torch_name(path: str) -> str:
    """Name of the PyTorch parameter for a flax path such as `molecule/atoms/embed/kernel`."""
    for pattern, name in _RENAMED:
        path = re.sub(pattern, name, path)
    return path.replace("/", ".")


def load_flax(module: nn.Module, arrays: Mapping[str, np.ndarray], prefix: str = "") -> None:
    """Copies flax parameters into the PyTorch network, or into one of its encoders.

    Args:
      module: the network, or for example its `signature`.
      arrays: `params.npz` of `jax_step.export`: path -> array.
      prefix: path of the encoder with its slash, such as `signature/`; "" for the whole network.

    Raises:
      KeyError, ValueError: a parameter is missing or has another size.
    """
    own = dict(module.named_parameters())
    dotted = prefix.replace("/", ".")
    for path in arrays:
        if not path.startswith(prefix):
            continue
        array = np.asarray(arrays[path])
        parameter = own.pop(_torch_name(path).removeprefix(dotted))
        if path.endswith("kernel"):
            # flax: [input, output] or, with heads, [input, head, size].
            array = array.reshape(array.shape[0], -1).T
        if array.size != parameter.numel():
            raise ValueError(f"{path} is {array.shape}, in PyTorch {tuple(parameter.shape)}.")
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(array.reshape(parameter.shape).copy()))
    if own:
        raise KeyError(f"no flax parameter for {sorted(own)[0]}.")
