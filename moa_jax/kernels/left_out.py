"""Evidence for proteins by models that know none of many compounds, in closed form.

What kernel ridge regression without the references `B` says about some of them needs no new fit:
with `A = K + ridge I` and the other references `R`, their answers are `- [(A^-1)_BB]^-1 (A^-1)_BR
Y_R` (block form of Allen 1974). So whole mechanisms can be left out, with all their compounds and,
if wanted, all ligands of their targets. Soft labels are made anew from the compounds that are left.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.linalg
from jaxtyping import Bool, Float32, Float64, Int
from scipy import sparse

from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.ridge import KernelSystem, reference_labels, reference_places
from moa_jax.kernels.target_actions import known_targets
from moa_jax.kernels.target_propagation import References


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a model says that does not know the compounds it is asked about.

    Attributes:
      proteins: gene symbols of the proteins that it knows a ligand of.
      of_expert: kernel expert -> its evidence for what each example does to these proteins, in the
        order of `target_actions.action_labels`; zeros where it does not answer.
    """

    proteins: tuple[str, ...]
    of_expert: dict[str, Float32[np.ndarray, "asked action_protein"]]


def evidence_without(
    closed_form: ClosedForm,
    is_left_out: Bool[np.ndarray, " example"],
    asked: Int[np.ndarray, " asked"],
) -> Evidence:
    """Evidence for some references by the kernel experts without them and others.

    Statistics without labels (standard deviations of genes, means of cell lines) stay those of all.

    Args:
      closed_form: the experts, for all references.
      is_left_out: the references that the model must not know; whole compounds.
      asked: some of these.
    """
    examples = closed_form.references.examples
    kept = np.flatnonzero(~is_left_out)
    rest = References(examples.take(kept), closed_form.references.config)
    proteins = known_targets(rest.examples, closed_form.features.proteins)
    propagation = rest.targets(proteins)
    labels = np.zeros((examples.num_examples, propagation.own.shape[1]), np.float32)
    labels[kept] = propagation.labels[propagation.unit]
    answers = {}
    for expert, system in closed_form.systems.items():
        place = reference_places(expert, system, closed_form.encoded)
        out = np.zeros(len(system.rows), bool)
        out[place[is_left_out & (place >= 0)]] = True
        has_answer = place[asked] >= 0
        of_expert = np.zeros((len(asked), labels.shape[1]), np.float32)
        if has_answer.any() and not out.all():
            own = reference_labels(expert, system, closed_form.encoded, labels)[~out]
            weights = left_out_weights(system, out, place[asked][has_answer])[:, ~out]
            # Most labels are 0, as in `KernelSystem.coefficients`.
            product = sparse.csc_array(own.T, dtype=np.float64) @ weights.T
            product -= np.outer(own.mean(axis=0, dtype=np.float64), weights.sum(axis=1))
            of_expert[has_answer] = product.T
        answers[expert] = of_expert
    return Evidence(proteins, answers)


def left_out_weights(
    system: KernelSystem,
    is_left_out: Bool[np.ndarray, " reference"],
    asked: Int[np.ndarray, " asked"],
) -> Float64[np.ndarray, "asked reference"]:
    """Weights of the labels in what a model without some references says about some of these.

    Args:
      system: all references and their kernel.
      is_left_out: the references that the model does not have.
      asked: some of these.

    Returns:
      `K_ab (K_bb + ridge I)^-1`, where `b` are the other references; zeros for those left out.
    """
    out = np.flatnonzero(is_left_out)
    place = np.full(len(is_left_out), -1)
    place[out] = np.arange(len(out))
    distinct, row = np.unique(asked, return_inverse=True)
    unit = np.zeros((len(out), len(distinct)))
    unit[place[distinct], np.arange(len(distinct))] = 1.0
    solved = scipy.linalg.solve(system.inverse[np.ix_(out, out)], unit, assume_a="pos")
    weights = np.zeros((len(distinct), len(is_left_out)))
    others = np.flatnonzero(~is_left_out)
    weights[:, others] = -solved.T @ system.inverse[np.ix_(out, others)]
    return weights[row]
