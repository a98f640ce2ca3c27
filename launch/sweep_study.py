"""An Optuna study that several processes can share and that can be continued."""

from __future__ import annotations

import json
import pathlib
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from moa_jax.progress import say
from moa_jax.schemas import InputError

# States that count towards the number of trials; failed and killed trials do not.
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# Random trials before the sampler starts, and finished trials before the pruner starts.
NUM_RANDOM_TRIALS = 10
NUM_UNPRUNED_TRIALS = 5
# A trial fails if its process sends no heartbeat for so long.
HEARTBEAT_S = 60
DEAD_AFTER_S = 600
# Time to wait for SQLite's single writer.
SQLITE_WAIT_S = 120.0
# Attribute of a study: the common inputs of its trials.
ABOUT = "about"
# Retries for values that another process is about to write.
NUM_TRIES = 5
WAIT_S = 1.0


class SeededSampler(optuna.samplers.BaseSampler):
    """TPE (Bergstra 2011) whose random numbers depend on a seed and the trial's number.

    So a continued study is the same as an uninterrupted one, and processes that share a study do
    not draw the same settings.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sampler = self._of_trial(0)

    def _of_trial(self, number: int) -> optuna.samplers.TPESampler:
        seed = np.random.SeedSequence((self._seed, number)).generate_state(1)
        return optuna.samplers.TPESampler(seed=int(seed[0]), n_startup_trials=NUM_RANDOM_TRIALS)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seeds the random numbers of a trial."""
        self._sampler = self._of_trial(trial.number)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """See `BaseSampler`, as the methods below."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Settings that are sampled jointly."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A setting that is sampled independently."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def open_study(
    storage: str,
    name: str,
    *,
    about: Mapping[str, Any],
    first: Mapping[str, Any] | None,
    seed: int,
    create: bool,
) -> optuna.Study:
    """Joins a study, or creates it if there is none.

    Args:
      storage: URL of the database for SQLAlchemy, such as `sqlite:///runs/sweep/study.db`.
      name: name of the study.
      about: JSON values that determine the meaning of scores; must be equal in all processes.
      first: settings of the first trial of a new study, None for none.
      seed: seed of the sampler.
      create: create the study if there is none.

    Raises:
      InputError: the database cannot be opened, there is no study and `create` is false, or the
        study has another `about`.
    """
    database = _open_database(storage, create=create)
    about = json.loads(json.dumps(about))
    both: dict[str, Any] = {
        "storage": database,
        "study_name": name,
        "sampler": SeededSampler(seed),
        "pruner": optuna.pruners.MedianPruner(n_startup_trials=NUM_UNPRUNED_TRIALS),
    }
    if create:
        try:
            study = optuna.create_study(direction="maximize", **both)
        except optuna.exceptions.DuplicatedStudyError:
            pass
        else:
            if first is None:
                say("the config itself is outside the search space, so it is not a trial")
            else:
                study.enqueue_trial(dict(first))
            study.set_user_attr(ABOUT, about)
            return study
    try:
        study = optuna.load_study(**both)
    except KeyError:
        raise InputError(f"there is no study {name} in {_shown(storage)}.") from None
    difference = _first_difference(_about(study), about)
    if difference:
        raise InputError(f"the study {name} has {difference}; choose another --study.")
    return study


def num_finished(study: optuna.Study) -> int:
    """Number of finished trials, including pruned ones."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def _open_database(url: str, *, create: bool) -> optuna.storages.RDBStorage:
    """Opens a database, and creates its tables if needed.

    Raises:
      InputError: it cannot be opened, or the file does not exist and `create` is false.
    """
    settings: dict[str, Any] = {"pool_pre_ping": True}
    try:
        parsed = sqlalchemy.engine.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            settings["connect_args"] = {"timeout": SQLITE_WAIT_S}
            if create:
                pathlib.Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            elif not pathlib.Path(parsed.database).is_file():
                raise InputError(f"there is no database {parsed.database}.")
        for _ in range(NUM_TRIES):
            try:
                return _storage(url, settings)
            except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.OperationalError):
                # Another process may be creating the same tables.
                time.sleep(WAIT_S)
        return _storage(url, settings)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OSError) as error:
        reason = " ".join(str(error).split("\n")[0].split()).rstrip(".")
        raise InputError(f"the database {_shown(url)} cannot be opened: {reason}.") from None


def _storage(url: str, settings: dict[str, Any]) -> optuna.storages.RDBStorage:
    with warnings.catch_warnings():
        # Optuna's heartbeat is experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            url, settings, heartbeat_interval=HEARTBEAT_S, grace_period=DEAD_AFTER_S
        )


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return f'"{url}"'


def _about(study: optuna.Study) -> Any:
    """The `about` of a study, waiting for the process that created it to write it."""
    for _ in range(NUM_TRIES):
        if ABOUT in study.user_attrs:
            return study.user_attrs[ABOUT]
        time.sleep(WAIT_S)
    raise InputError(f"the study {study.study_name} was made by another program.")


def _first_difference(stored: Any, current: Any, path: str = "") -> str:
    """`path=stored, not current` for the first difference of two JSON values, or nothing."""
    if not isinstance(stored, dict) or not isinstance(current, dict):
        return "" if stored == current else f"{path}={stored}, not {current}"
    for key in sorted(stored.keys() | current.keys()):
        inner = f"{path}.{key}" if path else key
        difference = _first_difference(stored.get(key), current.get(key), inner)
        if difference:
            return difference
    return ""
