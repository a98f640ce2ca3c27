"""Network mechanisms: drugs of one mechanism share a module, but no target."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from moa_jax import random_streams
from moa_jax.data.simulated.biology import Biology
from moa_jax.data.simulated.drugs import Drug
from moa_jax.data.simulated.settings import SimulationSettings
from moa_jax.schemas import InputError


def assign_network_mechanisms(
    settings: SimulationSettings, table: tuple[Drug, ...], biology: Biology, *, stream: str
) -> tuple[Drug, ...]:
    """Assigns every drug a random mechanism, and targets in that mechanism's module.

    Mechanisms are permuted among the drugs, so that structures are uninformative and no molecule
    has a pharmacophore. The targets of a drug are `hits_per_drug` non-landmark genes of its
    mechanism's home module; two drugs of one mechanism never share a target.

    Args:
      settings: `seed`, `hits_per_drug`.
      table: drugs with their real mechanisms.
      biology: genes in modules.
      stream: name of the stream of random numbers.

    Returns:
      The drugs in their order, each with one mechanism and its targets.

    Raises:
      InputError: there are fewer modules than mechanisms, or a module has too few genes for the
        drugs of its mechanism.
    """
    rng = random_streams.generator(settings.seed, stream)
    num_homes = len(set(biology.home_modules.values()))
    if num_homes < len(biology.home_modules):
        raise InputError(
            f"num_terms is {settings.num_terms}, which gives {num_homes} modules; if mechanism is "
            f"network, each of the {len(biology.home_modules)} mechanisms needs its own."
        )
    moas = [drug.moas[0] for drug in table]
    dealt = [moas[place] for place in rng.permutation(len(moas)).tolist()]
    module = biology.genes["module"].to_numpy()
    is_measured = biology.genes["role"].to_numpy() == "landmark"
    symbols = biology.genes["gene_symbol"].to_numpy()
    left: dict[str, list[str]] = {}
    for moa, count in sorted(collections.Counter(moas).items()):
        home = biology.home_modules[moa]
        genes = rng.permutation(np.flatnonzero((module == home) & ~is_measured))
        if len(genes) < count * settings.hits_per_drug:
            raise InputError(
                f"hits_per_drug is {settings.hits_per_drug}; the {count} drugs of one mechanism "
                f"need as many genes each, but its module has {len(genes)} non-landmark genes."
            )
        left[moa] = symbols[genes].tolist()
    drugs = []
    for drug, moa in zip(table, dealt, strict=True):
        hits = tuple(sorted(left[moa].pop() for _ in range(settings.hits_per_drug)))
        drugs.append(dataclasses.replace(drug, moas=(moa,), targets=hits, pharmacophore=""))
    return tuple(drugs)
