"""The registry of experts: what each reads, and whether it is solved or trained.

A new expert that is solved in closed form needs a `Comparison` and an entry here, and its settings
in the configuration. A new one that is trained in steps needs a module in `fused_networks`.
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
    """What the program knows about an expert.

    Attributes:
      reads_expression: it reads the signature.
      reads_structure: it reads the structure. One that reads both reads whichever is there.
      title: what pages call it, or what it compares by.
      reads_nodes: it reads the activity of the graph's nodes.
      comparison: fusion model -> how the expert compares examples with references, for one that
        is solved in closed form; None for a network, which is trained in steps.
    """

    reads_expression: bool
    reads_structure: bool
    title: str
    reads_nodes: bool = False
    comparison: Callable[[Any], Comparison] | None = None

    @property
    def reads_both(self) -> bool:
        """Its logits depend on which modalities may be seen."""
        return self.reads_expression and self.reads_structure


# The expert whose parameters hold the training signatures and the means of the cell lines.
SIGNATURE_KERNEL = "signature_kernel"
EXPERTS = {
    "signature": Expert(True, False, "signature network", reads_nodes=True),
    "molecule": Expert(False, True, "molecule network"),
    "joint": Expert(True, True, "joint network", reads_nodes=True),
    SIGNATURE_KERNEL: Expert(
        True,
        False,
        "signature",
        comparison=lambda model: SignatureComparison(model.signature_kernel_width),
    ),
    "network_kernel": Expert(
        True,
        False,
        "network activity",
        reads_nodes=True,
        comparison=lambda model: NetworkComparison(
            model.network_kernel_width, model.num_genes, model.network_term_share
        ),
    ),
    "structure_kernel": Expert(
        False,
        True,
        "structure",
        comparison=lambda model: StructureComparison(model.substructure_families),
    ),
}
# The experts that are trained in steps; the others are solved in closed form.
NETWORKS = tuple(name for name, expert in EXPERTS.items() if expert.comparison is None)

# View -> whether it shows expression and whether it shows structure. Experts that agree are no
# independent witnesses, so each view has its own scales.
SHOWN_IN = {"fusion": (True, True), "expression": (True, False), "structure": (False, True)}
VIEWS = tuple(SHOWN_IN)


def has_modality(expert: str, batch: Batch) -> Bool[Array, " batch"]:
    """Examples that an expert answers for: those with the modality that it reads."""
    own = EXPERTS[expert]
    if own.reads_both:
        return jnp.ones_like(batch.expression_mask)
    return batch.expression_mask if own.reads_expression else batch.structure_mask


def answers_in(expert: str, view: str) -> bool:
    """Whether an expert answers in a view: one that reads both modalities always does."""
    own, (expression, structure) = EXPERTS[expert], SHOWN_IN[view]
    return own.reads_both or (expression if own.reads_expression else structure)


def has_all_shown(
    view: str,
    has_expression: Bool[np.ndarray, " example"],
    has_structure: Bool[np.ndarray, " example"],
) -> Bool[np.ndarray, " example"]:
    """Examples with every modality that a view shows."""
    expression, structure = SHOWN_IN[view]
    return (has_expression | (not expression)) & (has_structure | (not structure))


def view_of(batch: Batch) -> Int[Array, " batch"]:
    """Which of `VIEWS` each example is seen in; without either modality it is the first."""
    alone = jnp.where(batch.expression_mask, VIEWS.index("expression"), VIEWS.index("structure"))
    return jnp.where(batch.expression_mask == batch.structure_mask, VIEWS.index("fusion"), alone)
