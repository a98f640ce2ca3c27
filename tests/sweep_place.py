"""A folder in which the search for settings can be started, and fits that cost nothing."""

import dataclasses
import pathlib
import time

import numpy as np
import optuna

from launch import sweep
from launch.sweep_report import FOLD_SCORES
from moa_jax.data.storage.prepared_folder import write_prepared
from tests import small_sets, synthetic

KERNELS = ("signature_kernel", "structure_kernel")
RIDGE = "kernels.signature.ridge"
SPACE = {
    RIDGE: ("log_uniform", 0.01, 10.0),
    "scale_prior": ("uniform", 1.0, 9.0),
    "model.molecule_layers": ("int", 1, 3),
    "model.experts": ("choice", (KERNELS, KERNELS[:1])),
}

CONFIG_FILE = """
from tests.sweep_place import tiny_config

def get_config():
    return tiny_config()
"""


def tiny_config():
    config = synthetic.tiny_config(min_compounds=2)
    config.model.experts = KERNELS
    config.split.num_folds = 3
    config.split.validation_fraction = 0.5
    return config


def fake_score(_, config, fold, folder):
    """Best where the ridge is 1, whatever the fold."""
    time.sleep(0.01)
    return 1 / (1 + abs(np.log(config.kernels.signature.ridge)) + 0.1 * fold)


def make_dataset(seed=0):
    rows = [
        (f"P{row:02d}", f"G{row:02d}", small_sets.ALCOHOLS[row], (f"moa {row % 3}",))
        for row in range(24)
    ]
    pert_ids = [row[0] for row in rows for _ in range(2)]
    return small_sets.dataset(rows, pert_ids, manifest={"release": "made up"}, seed=seed)


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder with data, a config and a search space."""

    folder: pathlib.Path

    @property
    def storage(self):
        return f"sqlite:///{self.folder}/database/study.db"

    def flags(self, *more, study="s", trials=2, folder="out", data="prepared"):
        return [
            f"--config={self.folder / 'config.py'}",
            f"--config.data={self.folder / data}",
            f"--space={self.folder / 'space.py'}",
            f"--study={study}",
            f"--storage={self.storage}",
            f"--trials={trials}",
            f"--workdir={self.folder / folder}",
            *more,
        ]

    def start(self, *more, **changes):
        return sweep.run(self.flags(*more, **changes))

    def trials(self, study="s"):
        return optuna.load_study(study_name=study, storage=self.storage).trials

    def told(self, study="s"):
        """What was tried and how it was scored."""
        return [
            (trial.state.name, trial.params, trial.user_attrs.get(FOLD_SCORES))
            for trial in self.trials(study)
        ]


def make_place(folder, space=SPACE):
    write_prepared(folder / "prepared", make_dataset())
    (folder / "config.py").write_text(CONFIG_FILE)
    (folder / "space.py").write_text(f"def get_space():\n    return {space!r}\n")
    return Place(folder)


def refusal(capfd, status):
    assert status == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    return line
