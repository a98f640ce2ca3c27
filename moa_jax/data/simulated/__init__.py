"""A simulated LINCS release in the public files' formats, with planted mechanisms.

Real are the drugs' names, structures, targets and mechanisms (facts of the LINCS 2020 compound
table, CLUE) and the targets' Entrez ids. Everything else is made up: cell lines, wells, expression,
interactions, annotations, and the genes called SIMG00001, ... with Entrez ids from 990000001 on.
Where the settings' mechanism is `network`, mechanisms and targets are drawn by lot as well.
"""

from moa_jax.data.simulated.release import write_simulated_release
from moa_jax.data.simulated.settings import SimulationSettings

__all__ = ["SimulationSettings", "write_simulated_release"]
