"""A simulated LINCS release in the public files' formats, with planted mechanisms.

The drugs' names, structures, targets and mechanisms (from the LINCS 2020 compound table, CLUE) and
the targets' Entrez ids are real. Everything else is simulated: cell lines, wells, expression,
interactions, annotations, and the genes SIMG00001, ... with Entrez ids from 990000001. If the
settings' mechanism is `network`, mechanisms and targets are random, too.
"""

from moa_jax.data.simulated.release import write_simulated_release
from moa_jax.data.simulated.settings import SimulationSettings

__all__ = ["SimulationSettings", "write_simulated_release"]
