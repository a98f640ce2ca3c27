"""Losses of the protein network on known targets and on what compounds do to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float

from moa_jax.models.experts import NETWORKS, PROTEIN_NETWORK
from moa_jax.models.protein_network import NetworkAnswer, Proteins
from moa_jax.schemas import ACTIONS, Batch, InputError
from moa_jax.training.losses.softmax import softmax_cost
from moa_jax.training.losses.sums import masked_sum


class TargetLosses(NamedTuple):
    """The losses of targets and of actions.

    Attributes:
      targets: weight of the loss of targets, beside 1 for that of mechanisms.
      actions: weight of the loss of actions.
      q: of the generalised cross-entropy of targets; see `losses.softmax.softmax_cost`.
    """

    targets: float
    actions: float
    q: float


def make_target_losses(
    training: ml_collections.FrozenConfigDict, experts: tuple[str, ...]
) -> TargetLosses | None:
    """The protein network's losses of targets and actions; None without it.

    Args:
      training: `training` of a configuration; see `configs/networks.py`.
      experts: the model's experts.

    Raises:
      InputError: the training is not possible with this network.
    """
    if PROTEIN_NETWORK not in experts:
        return None
    if others := sorted(set(experts) & set(NETWORKS) - {PROTEIN_NETWORK}):
        raise InputError(
            f"model.experts names {PROTEIN_NETWORK}, which corrects the closed form, and "
            f"{others[0]}; it stands beside no other network."
        )
    for name, used in (
        ("co_teaching.enabled", training.co_teaching.enabled),
        ("mix_up_alpha above 0", training.mix_up_alpha > 0),
    ):
        if used:
            raise InputError(
                f"model.experts names {PROTEIN_NETWORK}, which cannot be trained with "
                f"training.{name}."
            )
    return TargetLosses(training.target_weight, training.action_weight, training.target_q)


def target_losses(
    answer: NetworkAnswer, params: Mapping[str, Array], batch: Batch, losses: TargetLosses
) -> dict[str, Float[Array, ""]]:
    """Losses summed over the examples with known targets; 0 for others.

    Of targets, the generalised cross-entropy of a softmax over all proteins that are targets of
    other compounds. Of actions, the mean logistic loss over targets whose action is known.

    Args:
      answer: what the network says.
      params: parameters of the proteins; see `models.protein_network.Proteins`.
      batch: the examples, with their answers without their own compounds.
      losses: their weights, and how targets are compared.

    Raises:
      ValueError: the batch lacks these answers.
    """
    if batch.left_out is None:
        raise ValueError("the protein network is trained on leave-one-compound-out answers.")
    proteins = Proteins(params["carry"], params["rows"], params["counts"])
    by_action = batch.left_out.targets.reshape(len(batch.row), len(ACTIONS), -1)
    is_target = (by_action.sum(axis=1) > 0).astype(jnp.float32)
    others = proteins.known(batch.left_out) > 0
    of_targets = softmax_cost(answer.targets, is_target, others, q=losses.q)
    inhibits = by_action[:, 0] > by_action[:, 1]
    stated = (by_action[:, 0] != by_action[:, 1]) & others
    sign = jnp.where(inhibits, 1.0, -1.0)
    of_actions = jnp.where(stated, jax.nn.softplus(-sign * answer.actions), 0.0)
    mean = of_actions.sum(axis=-1) / jnp.maximum(stated.sum(axis=-1), 1)
    return {
        "targets": losses.targets * masked_sum(of_targets, batch.weight, batch.example_mask),
        "actions": losses.actions * masked_sum(mean, batch.weight, batch.example_mask),
    }
