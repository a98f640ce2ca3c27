"""The registry of experts: the modalities they read, and whether they are solved or trained.

A new kernel expert needs a `Comparison`, an entry here, and settings in the configuration. A new
network also needs a module in `FusedNetworks.networks`. An expert through proteins needs the kernel
expert whose evidence for proteins it reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from moa_jax.models.kernel_experts import (
    Comparison,
    NetworkComparison,
    SignatureComparison,
    StructureComparison,
)
from moa_jax.schemas import Batch


@dataclasses.dataclass(frozen=True)
class Expert:
    """An expert of the fusion model.

    Attributes:
      reads_expression: whether it reads the signature.
      reads_structure: whether it reads the structure. An expert that reads both answers with
        either.
      title: its name on pages; of a kernel expert, what it compares.
      reads_nodes: whether the activity of the graph's nodes is what it answers from.
      comparison: fusion model -> how a kernel expert compares examples with references; None for
        others.
      through_proteins: the kernel expert whose evidence for proteins it reads; None for others.
      corrects: whether it adds to the product of the experts in closed form, instead of answering
        by itself.
      settings: keys of `config.model` that the comparison finds in the model's `kernel_settings`.
    """

    reads_expression: bool
    reads_structure: bool
    title: str
    reads_nodes: bool = False
    comparison: Callable[[Any], Comparison] | None = None
    through_proteins: str | None = None
    corrects: bool = False
    settings: tuple[str, ...] = ()

    @property
    def reads_both(self) -> bool:
        """Whether its logits depend on which modalities are masked."""
        return self.reads_expression and self.reads_structure

    @property
    def is_network(self) -> bool:
        """Whether it is trained by gradient steps; the others are solved in closed form."""
        return self.comparison is None and self.through_proteins is None


# The expert whose parameters hold the training signatures and the means of the cell lines.
SIGNATURE_KERNEL = "signature_kernel"
STRUCTURE_KERNEL = "structure_kernel"
PROTEIN_NETWORK = "protein_network"
EXPERTS = {
    "signature": Expert(True, False, "signature network", reads_nodes=True),
    "molecule": Expert(False, True, "molecule network"),
    "joint": Expert(True, True, "joint network", reads_nodes=True),
    PROTEIN_NETWORK: Expert(True, True, "protein network", corrects=True),
    SIGNATURE_KERNEL: Expert(
        True,
        False,
        "signature",
        comparison=lambda model: SignatureComparison(
            model.kernel_settings["signature_kernel_width"]
        ),
        settings=("signature_kernel_width",),
    ),
    "network_kernel": Expert(
        True,
        False,
        "network activity",
        reads_nodes=True,
        comparison=lambda model: NetworkComparison(
            model.kernel_settings["network_kernel_width"],
            model.num_genes,
            model.kernel_settings["network_term_share"],
        ),
        settings=("network_kernel_width", "network_term_share"),
    ),
    STRUCTURE_KERNEL: Expert(
        False,
        True,
        "structure",
        comparison=lambda model: StructureComparison(model.substructure_families),
    ),
    "signature_proteins": Expert(
        True, False, "proteins by signature", through_proteins=SIGNATURE_KERNEL
    ),
    "structure_proteins": Expert(
        False, True, "proteins by structure", through_proteins=STRUCTURE_KERNEL
    ),
}
NETWORKS = tuple(name for name, expert in EXPERTS.items() if expert.is_network)

# View -> whether it shows expression and structure. Experts on the two modalities are not
# independent, so each view has its own scales.
SHOWN_IN = {"fusion": (True, True), "expression": (True, False), "structure": (False, True)}
VIEWS = tuple(SHOWN_IN)


def has_modality(expert: str, batch: Batch) -> Bool[Array, " batch"]:
    """Examples that an expert answers for: those with the modality that it reads."""
    entry = EXPERTS[expert]
    if entry.reads_both:
        return jnp.ones_like(batch.expression_mask)
    return batch.expression_mask if entry.reads_expression else batch.structure_mask


def answers_in(expert: str, view: str) -> bool:
    """Whether an expert answers in a view: one that reads both modalities always does."""
    entry, (expression, structure) = EXPERTS[expert], SHOWN_IN[view]
    return entry.reads_both or (expression if entry.reads_expression else structure)


def has_all_shown(
    view: str,
    has_expression: Bool[np.ndarray, " example"],
    has_structure: Bool[np.ndarray, " example"],
) -> Bool[np.ndarray, " example"]:
    """Examples with every modality that a view shows."""
    expression, structure = SHOWN_IN[view]
    return (has_expression | (not expression)) & (has_structure | (not structure))


def view_of(batch: Batch) -> Int[Array, " batch"]:
    """Number of each example's view in `VIEWS`; `fusion` if it has neither modality."""
    alone = jnp.where(batch.expression_mask, VIEWS.index("expression"), VIEWS.index("structure"))
    return jnp.where(batch.expression_mask == batch.structure_mask, VIEWS.index("fusion"), alone)
