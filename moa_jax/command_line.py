"""Command lines of all programs: options, config, errors.

A program declares its options and whether it takes a config; `main` receives them as keyword
arguments. User errors end with one sentence on stderr and exit status 2; only faults of the
program itself show a traceback.
"""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
import re
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from moa_jax.schemas import InputError

CONFIG = "config"
USAGE_STATUS = 2
INTERRUPTED_STATUS = 130

_HELP_FLAGS = ("-h", "-help", "--help", "--helpfull", "--helpshort")
_OVERRIDE = re.compile(rf"--?(?:no)?{CONFIG}\.(?P<key>[^=]+)")


@dataclasses.dataclass(frozen=True)
class Option:
    """A text option of a program, `--name=VALUE`, or a switch, `--name`.

    Attributes:
      name: on the command line and as keyword argument; words joined by `_`.
      meaning: phrase for `--help`.
      default: its value if it is not given.
      required: refuse to start without it.
      is_switch: takes no value; true if given, else false.
    """

    name: str
    meaning: str
    default: str = ""
    required: bool = False
    is_switch: bool = False


def run(
    main: Callable[..., None],
    *,
    description: str,
    options: Sequence[Option] = (),
    takes_config: bool = True,
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a program and returns its exit status.

    Args:
      main: called with each option by name, and with `config` (a locked ConfigDict) if
        `takes_config`.
      description: printed by `--help` above the options; usually the module's docstring.
      options: the program's own options.
      takes_config: whether `--config=FILE` is needed and `--config.KEY=VALUE` is legal.
      argv: arguments without the program's name; by default those of the process.

    Returns:
      0; 2 after bad input, with one sentence on stderr; 130 after Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.set_verbosity(logging.ERROR)
    try:
        if any(argument in _HELP_FLAGS for argument in argv):
            print(_help(description, options, takes_config, argv))
            return 0
        main(**_arguments(options, takes_config, argv))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_STATUS
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return INTERRUPTED_STATUS
    return 0


def _arguments(
    options: Sequence[Option], takes_config: bool, argv: Sequence[str]
) -> dict[str, Any]:
    """Keyword arguments of `main`.

    Raises:
      InputError: a flag is unknown, lacks its value or is missing; the config cannot be read.
    """
    # Not the global registry, so that several programs can run in one process.
    registry = flags.FlagValues()
    for option in options:
        if option.is_switch:
            flags.DEFINE_boolean(option.name, False, option.meaning, flag_values=registry)
        else:
            flags.DEFINE_string(option.name, option.default, option.meaning, flag_values=registry)
    if takes_config:
        _check_overrides(argv, load_config(_config_path(argv)))
        config_flags.DEFINE_config_file(
            CONFIG, None, "the config", flag_values=registry, sys_argv=["", *argv]
        )
    try:
        rest = registry(["", *argv])
    except (flags.Error, TypeError, ValueError) as error:
        raise InputError(_sentence(str(error))) from None
    if rest[1:]:
        raise InputError(f'unexpected argument "{rest[1]}"; options are written --name=VALUE.')
    values = {option.name: registry[option.name].value for option in options}
    for option in options:
        if option.required and not values[option.name]:
            raise InputError(f"--{option.name} is needed: {option.meaning}.")
    return {CONFIG: registry[CONFIG].value, **values} if takes_config else values


def _config_path(argv: Sequence[str]) -> str:
    """The path given by `--config`."""
    path = ""
    for number, argument in enumerate(argv):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == CONFIG:
            path = value if equals else next(iter(argv[number + 1 :]), "")
    if not path:
        raise InputError(f"--{CONFIG}=FILE is needed, such as --{CONFIG}=configs/fusion.py.")
    return path


def load_config(path: str) -> ml_collections.ConfigDict:
    """Reads a config file, a Python file with a function `get_config()`.

    Raises:
      InputError: there is no such file, it fails, or it returns no ConfigDict.
    """
    # Text after a colon is passed to get_config.
    file, colon, argument = path.partition(":")
    if not pathlib.Path(file).is_file():
        raise InputError(f"there is no config file {file}.")
    try:
        functions = runpy.run_path(file)
        if "get_config" not in functions:
            raise InputError(f"the config file {file} has no function get_config().")
        config = functions["get_config"](*([argument] if colon else []))
    except InputError:
        raise
    # A config is a program: it may raise anything.
    except Exception as error:
        reason = str(error).strip() or "no reason given"
        raise InputError(
            f"the config file {file} fails with {type(error).__name__}: {_sentence(reason)}"
        ) from None
    if not isinstance(config, ml_collections.ConfigDict):
        raise InputError(
            f"the config file {file} returns {type(config).__name__}; "
            "get_config() must return an ml_collections.ConfigDict."
        )
    return config


def _check_overrides(argv: Sequence[str], config: ml_collections.ConfigDict) -> None:
    """Refuses `--config.KEY` where the config has no such key."""
    keys = [key for key, _ in _flat(config.to_dict())]
    for match in filter(None, map(_OVERRIDE.match, argv)):
        key = match["key"]
        if key in keys:
            continue
        below = [known for known in keys if known.startswith(f"{key}.")]
        near = difflib.get_close_matches(key, keys, n=1)
        if below:
            raise InputError(f'config.{key} is a group of keys, such as "{below[0]}".')
        hint = f'; did you mean "{near[0]}"?' if near else f"; it has {', '.join(keys)}."
        raise InputError(f'the config has no key "{key}"{hint}')


def _sentence(text: str) -> str:
    """One line that ends in a full stop."""
    text = " ".join(text.split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _help(
    description: str, options: Sequence[Option], takes_config: bool, argv: Sequence[str]
) -> str:
    lines = [description.strip(), "", "options:"]
    rows = [(f"--{CONFIG}=FILE", "the config (required)")] if takes_config else []
    if takes_config:
        rows.append((f"--{CONFIG}.KEY=VALUE", "another value for one key of it; keys below"))
    for option in options:
        note = " (required)" if option.required else ""
        note = f" [{option.default}]" if option.default else note
        value = "" if option.is_switch else "=VALUE"
        rows.append((f"--{option.name}{value}", option.meaning + note))
    width = max((len(name) for name, _ in rows), default=0)
    lines += [f"  {name.ljust(width)}  {meaning}" for name, meaning in rows]
    if takes_config:
        lines += ["", *_config_help(argv)]
    return "\n".join(lines)


def _config_help(argv: Sequence[str]) -> Iterator[str]:
    try:
        path = _config_path(argv)
        config = load_config(path)
    except InputError:
        yield f"keys: give --{CONFIG}=FILE with --help to see its keys and their values."
        return
    yield f"keys of {path} and their values:"
    for key, value in _flat(config.to_dict()):
        yield f"  --{CONFIG}.{key}={value!r}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested dict."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
