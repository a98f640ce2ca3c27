"""Self-describing Orbax checkpoints.

Each step holds three items: `params` (for prediction), `training` (the rest of the train state)
and `description` (configuration, vocabularies and progress, as JSON). A model that was solved in
closed form has no `training`.
"""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding, PartitionSpec
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from moa_jax.schemas import InputError
from moa_jax.training.step import TrainState

# Name under which a checkpoint's validation score is kept.
METRIC = "validation_score"


class Checkpoints:
    """The checkpoints of one run: the latest step and the best one are kept.

    Orbax's `best_fn` with `max_to_keep` may delete the latest step, hence the explicit policy.
    """

    def __init__(self, folder: pathlib.Path, *, create: bool) -> None:
        folder = folder.absolute()
        if not create and not folder.is_dir():
            raise InputError(f"there are no checkpoints in {folder}.")
        keep_best = BestN(
            get_metric_fn=lambda metrics: metrics[METRIC],
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        self._folder = folder
        self._manager = ocp.CheckpointManager(
            folder,
            # A new manager needs handlers to know the items' shapes.
            item_handlers={
                "params": ocp.StandardCheckpointHandler(),
                "training": ocp.StandardCheckpointHandler(),
                "description": ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(
                create=create,
                read_only=not create,
                # Otherwise the manager's best step is its latest one.
                best_fn=lambda metrics: metrics[METRIC],
                preservation_policy=AnyPreservationPolicy([LatestN(1), keep_best]),
            ),
        )

    def save(self, state: TrainState, description: dict[str, Any], score: float | None) -> None:
        """Starts to write a checkpoint in the background.

        Args:
          state: state to save.
          description: JSON values stored with it.
          score: validation score, higher is better; None without a validation part.
        """
        self._manager.save(
            int(state.step),
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(state.predicting),
                training=ocp.args.StandardSave(_training_part(state)),
                description=ocp.args.JsonSave(description),
            ),
            metrics=None if score is None else {METRIC: score},
        )

    def save_solved(self, params: Any, description: dict[str, Any]) -> None:
        """Saves a model that was solved in closed form, as the only checkpoint."""
        self._manager.save(
            0,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(params),
                description=ocp.args.JsonSave(description),
            ),
        )

    def latest_step(self) -> int | None:
        """The newest complete checkpoint; None if there is none."""
        return self._manager.latest_step()

    def restore(self, step: int, like: TrainState) -> TrainState:
        """Restores a training state with the structure and placement of `like`."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, _training_part(like))
        params = jax.tree.map(ocp.utils.to_shape_dtype_struct, like.predicting)
        items = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(params),
                training=ocp.args.StandardRestore(abstract),
            ),
        )
        training = items.training
        return TrainState(
            step=training["step"],
            params=training["params"],
            ema_params={name: items.params[name] for name in like.ema_params},
            non_trainable={name: items.params[name] for name in like.non_trainable},
            opt_state=training["opt_state"],
            rng=jax.random.wrap_key_data(training["rng"]),
        )

    def restore_params(self, step: int, mesh: jax.sharding.Mesh) -> Any:
        """Restores the parameters for prediction, replicated on any mesh."""
        sharding = NamedSharding(mesh, PartitionSpec())
        metadata = self._manager.item_metadata(step).params
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), metadata
        )
        return self._manager.restore(
            step, args=ocp.args.Composite(params=ocp.args.StandardRestore(target))
        ).params

    def describe(self, step: int) -> dict[str, Any]:
        """The JSON values stored with a step."""
        return self._manager.restore(
            step, args=ocp.args.Composite(description=ocp.args.JsonRestore())
        ).description

    def step_to_use(self) -> int:
        """The best step by validation score, else the latest.

        Raises:
          InputError: there is no complete checkpoint.
        """
        best = self._manager.best_step()
        step = self.latest_step() if best is None else best
        if step is None:
            raise InputError(f"there is no complete checkpoint in {self._folder}.")
        return step

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _training_part(state: TrainState) -> dict[str, Any]:
    return {
        "step": state.step,
        "params": state.params,
        "opt_state": state.opt_state,
        "rng": jax.random.key_data(state.rng),
    }
