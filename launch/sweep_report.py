"""Output of a study: a table of its trials, and the config of the best one."""

from __future__ import annotations

import pathlib
import pprint
from collections.abc import Sequence

import ml_collections
import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from launch.sweep_space import Parameter, with_values
from launch.sweep_study import ABOUT, FINISHED
from moa_jax.files import write_text
from moa_jax.predictions.result_tables import file_name, markdown_table, write_csv

# Attribute of a trial: its scores on the folds so far.
FOLD_SCORES = "fold_scores"
# Trials in the Markdown table; the CSV file has all.
NUM_SHOWN = 10

_CONFIG_FILE = '''"""Trial {number} of the study {study}: {scores}.

    python -m moa_jax.train --config=THIS_FILE --workdir=runs/best
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    return ml_collections.ConfigDict(
{values}
    )
'''


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that were scored on every fold, the best first, ties by number."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(complete, key=lambda trial: (-trial.value, trial.number))


def write_report(
    folder: pathlib.Path,
    study: optuna.Study,
    config: ml_collections.ConfigDict,
    parameters: Sequence[Parameter],
    release: str,
) -> str:
    """Writes `trials.csv`, `trials.md` and, if a trial is complete, `best_config.py`.

    Files about a simulated release have the prefix `simulated_`. Equal studies give equal bytes.

    Args:
      folder: the output folder.
      study: the study; trials may still be running.
      config: the base configuration.
      parameters: the settings that are varied.
      release: name of the training release.

    Returns:
      The text of `trials.md`, and a command for the best config.

    Raises:
      InputError: the disk is full or the folder cannot be written.
    """
    best = best_trials(study)
    trials = study.get_trials(deepcopy=False)
    num_folds = study.user_attrs[ABOUT]["folds"]
    rows = {trial.number: _row(trial, num_folds, parameters) for trial in trials}
    write_csv(folder / file_name("trials.csv", release), pd.DataFrame(list(rows.values())))
    finished = [trial for trial in trials if trial.state in FINISHED]
    shown = [_for_readers(rows[trial.number], parameters) for trial in best[:NUM_SHOWN]]
    text = (
        f"{release}: study {study.study_name}, {len(finished)} trials, "
        f"{len(finished) - len(best)} of them pruned; validation macro AUPRC\n\n"
        f"{markdown_table(shown) if shown else 'No trial is complete.'}\n"
    )
    write_text(folder / file_name("trials.md", release), text)
    if not best:
        return text
    path = folder / file_name("best_config.py", release)
    write_text(path, _config_text(best[0], study.study_name, config, parameters))
    return f"{text}\nto train the best: python -m moa_jax.train --config={path}"


def best_config(
    trial: FrozenTrial, config: ml_collections.ConfigDict, parameters: Sequence[Parameter]
) -> ml_collections.ConfigDict:
    """The complete configuration of a trial."""
    values = {
        parameter.path: parameter.value_of(trial.params[parameter.path]) for parameter in parameters
    }
    return with_values(config, values)


def _row(
    trial: FrozenTrial, num_folds: int, parameters: Sequence[Parameter]
) -> dict[str, float | int | str | None]:
    """A trial as a row of the table; the mean is over the folds scored so far."""
    scores = trial.user_attrs.get(FOLD_SCORES, [])
    duration = trial.duration
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "macro_auprc": float(np.mean(scores)) if scores else None,
        **{
            f"fold_{fold}": scores[fold] if fold < len(scores) else None
            for fold in range(num_folds)
        },
        "minutes": None if duration is None else duration.total_seconds() / 60,
        **{parameter.path: trial.params.get(parameter.path) for parameter in parameters},
    }


def _for_readers(
    row: dict[str, float | int | str | None], parameters: Sequence[Parameter]
) -> dict[str, float | int | str | None]:
    """A row with settings rounded to three significant digits."""
    shown = {name: value for name, value in row.items() if name != "state"}
    for name in [parameter.path for parameter in parameters]:
        if isinstance(row[name], float):
            shown[name] = f"{row[name]:.3g}"
    return shown


def _config_text(
    trial: FrozenTrial,
    name: str,
    config: ml_collections.ConfigDict,
    parameters: Sequence[Parameter],
) -> str:
    scores = trial.user_attrs[FOLD_SCORES]
    values = best_config(trial, config, parameters).to_dict()
    lines = pprint.pformat(values, sort_dicts=False, width=88, underscore_numbers=True)
    return _CONFIG_FILE.format(
        number=trial.number,
        study=name,
        scores=f"validation macro AUPRC {trial.value:.3f}, mean of {len(scores)} folds",
        values="\n".join(f"        {line}" for line in lines.splitlines()),
    )
