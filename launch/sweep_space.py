"""Search spaces: the settings of a configuration that a study varies, and their values.

A search space is a Python file with a function `get_space()` that returns plain data: the dotted
path of a setting -> one of ::

    ("log_uniform", low, high)   a number whose logarithm is uniform
    ("uniform", low, high)       a number
    ("int", low, high)           a whole number, both ends included
    ("choice", values)           one of some values: numbers, texts, True, False, None, tuples
"""

from __future__ import annotations

import dataclasses
import pathlib
import runpy
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import optuna

from moa_jax.schemas import InputError

RANGES = ("log_uniform", "uniform", "int")
CHOICE = "choice"
_FORMS = (
    '("log_uniform", low, high), ("uniform", low, high), ("int", low, high), ("choice", values)'
)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A setting that is varied.

    Attributes:
      path: dotted path in the configuration.
      kind: one of `RANGES`, or `CHOICE`.
      values: lowest and highest value of a range, or the choices.
    """

    path: str
    kind: str
    values: tuple[Any, ...]

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value suggested for a trial."""
        if self.kind == CHOICE:
            return self.value_of(trial.suggest_categorical(self.path, list(self._by_label())))
        low, high = self.values
        if self.kind == "int":
            return trial.suggest_int(self.path, low, high)
        return trial.suggest_float(self.path, low, high, log=self.kind == "log_uniform")

    def value_of(self, stored: Any) -> Any:
        """The configuration's value for a value in a study's database."""
        return self._by_label()[stored] if self.kind == CHOICE else stored

    def label_of(self, value: Any) -> Any:
        """The value in a study's database for a value of the configuration."""
        return _label(value) if self.kind == CHOICE else value

    def contains(self, value: Any) -> bool:
        """Whether this value is in the search space."""
        if self.kind == CHOICE:
            return _label(value) in self._by_label()
        low, high = self.values
        return low <= value <= high

    def _by_label(self) -> dict[Any, Any]:
        return {_label(value): value for value in self.values}


def _label(value: Any) -> Any:
    # A database returns tuples as lists.
    return repr(value) if isinstance(value, tuple) else value


def read_space(path: str, config: ml_collections.ConfigDict) -> tuple[Parameter, ...]:
    """Reads a search space for a configuration.

    Args:
      path: the file.
      config: the base configuration.

    Returns:
      The parameters, in the file's order.

    Raises:
      InputError: there is no such file, it fails, a parameter has an invalid form, or the
        configuration lacks its path or does not accept its values.
    """
    if not pathlib.Path(path).is_file():
        raise InputError(f"there is no search space {path}.")
    try:
        functions = runpy.run_path(path)
        if "get_space" not in functions:
            raise InputError(f"the search space {path} has no function get_space().")
        space = functions["get_space"]()
    except InputError:
        raise
    # The file is a program: it may raise anything.
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise InputError(
            f"the search space {path} fails with {type(error).__name__}: {reason}."
        ) from None
    if not isinstance(space, Mapping) or not space:
        raise InputError(
            f"the search space {path} returns {space!r}; get_space() must return a dict with at "
            "least one setting."
        )
    parameters = tuple(_parameter(name, form, path) for name, form in space.items())
    for parameter in parameters:
        _check_fits(parameter, config, path)
    return parameters


def _parameter(name: Any, form: Any, path: str) -> Parameter:
    wrong = InputError(f"the search space {path} gives {name} as {form!r}; expected {_FORMS}.")
    if not isinstance(name, str) or not isinstance(form, tuple | list) or len(form) < 2:
        raise wrong
    kind, *values = form
    if kind == CHOICE:
        if len(values) != 1 or not isinstance(values[0], tuple | list) or not values[0]:
            raise wrong
        if not all(
            isinstance(value, bool | int | float | str | tuple | None) for value in values[0]
        ):
            raise wrong
        return Parameter(name, kind, tuple(values[0]))
    numbers = (int,) if kind == "int" else (int, float)
    if kind not in RANGES or len(values) != 2:
        raise wrong
    if not all(isinstance(value, numbers) and not isinstance(value, bool) for value in values):
        raise wrong
    low, high = values
    if not low < high or (kind == "log_uniform" and low <= 0):
        raise wrong
    return Parameter(name, kind, (low, high) if kind == "int" else (float(low), float(high)))


def _check_fits(parameter: Parameter, config: ml_collections.ConfigDict, path: str) -> None:
    """Refuses a parameter that does not fit the configuration."""
    about = f'the search space {path} varies "{parameter.path}"'
    value = config
    for name in parameter.path.split("."):
        known = list(value) if isinstance(value, ml_collections.ConfigDict) else []
        if name not in known:
            instead = f"only {', '.join(known)}" if known else "no settings"
            raise InputError(f'{about}, but the config has no "{name}" there: it has {instead}.')
        value = value[name]
    if isinstance(value, ml_collections.ConfigDict):
        raise InputError(f"{about}, which is a group of settings: {', '.join(value)}.")
    for wanted in parameter.values:
        try:
            with_values(config, {parameter.path: wanted})
        except TypeError:
            raise InputError(
                f"{about} with the value {wanted!r}, but the config's {value!r} is of type "
                f"{type(value).__name__}."
            ) from None


def with_values(
    config: ml_collections.ConfigDict, values: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """A copy of a configuration with other values at some dotted paths.

    Raises:
      TypeError: a value does not have the setting's type.
    """
    changed = ml_collections.ConfigDict(config.to_dict())
    changed.update_from_flattened_dict(values)
    return changed


def values_in(
    config: ml_collections.ConfigDict, parameters: Sequence[Parameter]
) -> dict[str, Any] | None:
    """The configuration's own values as in a database; None if one is outside the space."""
    values = {}
    for parameter in parameters:
        value = config
        for name in parameter.path.split("."):
            value = value[name]
        if not parameter.contains(value):
            return None
        values[parameter.path] = parameter.label_of(value)
    return values
