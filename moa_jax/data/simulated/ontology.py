"""A small Gene Ontology over the planted modules: terms, parents, annotations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from moa_jax import random_streams
from moa_jax.data.simulated.biology import Biology
from moa_jax.data.simulated.settings import SimulationSettings

ROOTS = {
    "biological_process": "GO:0008150",
    "molecular_function": "GO:0003674",
    "cellular_component": "GO:0005575",
}
_EVIDENCE_CODES = ("IDA", "IMP", "IPI", "TAS", "IBA", "IEA")
# Ids beyond those of the real GO.
_FIRST_ID = 9_900_001


@dataclasses.dataclass(frozen=True)
class Ontology:
    """Terms and annotations.

    Attributes:
      terms: one row per term: `go_id name namespace is_a part_of` (tuples of parents' ids).
      annotations: one row per gene and term: `gene` (row of the gene table), `go_id`,
        `evidence_code`, `is_real`, `is_published`.
    """

    terms: pd.DataFrame
    annotations: pd.DataFrame


class _Builder:
    """Collects terms and their direct genes."""

    def __init__(self) -> None:
        self.rows = [
            {"go_id": go_id, "name": name, "namespace": name, "is_a": (), "part_of": ()}
            for name, go_id in ROOTS.items()
        ]
        self.genes: dict[str, np.ndarray] = {}

    def add(
        self,
        name: str,
        namespace: str,
        is_a: tuple[str, ...],
        part_of: tuple[str, ...] = (),
        genes: np.ndarray | None = None,
    ) -> str:
        go_id = f"GO:{_FIRST_ID + len(self.rows):07d}"
        self.rows.append(
            {
                "go_id": go_id,
                "name": f"simulated {name}",
                "namespace": namespace,
                "is_a": is_a,
                "part_of": part_of,
            }
        )
        if genes is not None:
            self.genes[go_id] = genes
        return go_id


def make_ontology(settings: SimulationSettings, biology: Biology) -> Ontology:
    """Generates the terms: branches and modules are processes, other terms are across them.

    Processes: root, branches, modules (`is_a` a branch), parts of modules (`is_a` the branch,
    `part_of` the module). Functions: families of genes from two modules, some `part_of` a
    process. Components: genes of a branch, some `part_of` another component.
    """
    rng = random_streams.generator(settings.seed, "ontology")
    module = biology.genes["module"].to_numpy()
    builder = _Builder()
    process, function, component = ROOTS
    branches = {
        number: builder.add(f"process {number}", process, (ROOTS[process],))
        for number in np.unique(biology.branch_of_module).tolist()
    }
    modules = []
    for number, branch in enumerate(biology.branch_of_module.tolist()):
        members = np.flatnonzero(module == number)
        name = f"process {branch}.{number}"
        modules.append(builder.add(name, process, (branches[branch],), genes=members))
    left = settings.num_terms - len(builder.rows)
    for number in rng.permutation(len(modules))[: left // 3].tolist():
        members = np.flatnonzero(module == number)
        part = np.sort(rng.permutation(members)[: (len(members) + 1) // 2])
        branch = int(biology.branch_of_module[number])
        name = f"process {branch}.{number} part"
        builder.add(name, process, (branches[branch],), (modules[number],), part)
    left = settings.num_terms - len(builder.rows)
    functions = [ROOTS[function]]
    for count in range(left // 2):
        first, second = rng.choice(len(modules), 2, replace=False).tolist()
        pool = rng.permutation(np.flatnonzero((module == first) | (module == second)))
        parents = rng.choice(len(functions), min(2, len(functions)), replace=False)
        is_a = tuple(sorted(functions[parent] for parent in parents.tolist()))
        part_of = (modules[first],) if rng.random() < 0.3 else ()
        members = np.sort(pool[: (len(pool) + 2) // 3])
        functions.append(builder.add(f"function {count}", function, is_a, part_of, members))
    components = [ROOTS[component]]
    for count in range(settings.num_terms - len(builder.rows)):
        branch = int(rng.choice(biology.branch_of_module))
        pool = np.flatnonzero(biology.branch_of_module[module] == branch)
        members = np.sort(rng.permutation(pool)[: (len(pool) + 3) // 4])
        inside = len(components) > 1 and rng.random() < 0.5
        part_of = (components[int(rng.integers(1, len(components)))],) if inside else ()
        is_a = (ROOTS[component],)
        components.append(builder.add(f"component {count}", component, is_a, part_of, members))
    return Ontology(pd.DataFrame(builder.rows), _annotate(settings, builder.genes, rng, module))


def _annotate(
    settings: SimulationSettings,
    members: dict[str, np.ndarray],
    rng: np.random.Generator,
    module: np.ndarray,
) -> pd.DataFrame:
    """Real annotations, a share of them unpublished, and published ones that are false."""
    real = [(int(gene), go_id) for go_id, genes in members.items() for gene in genes]
    known, go_ids = set(real), sorted(members)
    false = []
    for _ in range(int(settings.false_annotation_rate * len(real))):
        pair = (int(rng.integers(len(module))), go_ids[int(rng.integers(len(go_ids)))])
        if pair not in known:
            known.add(pair)
            false.append(pair)
    is_real = np.arange(len(known)) < len(real)
    table = pd.DataFrame(real + false, columns=["gene", "go_id"])
    table["evidence_code"] = rng.choice(_EVIDENCE_CODES, len(table))
    table["is_real"] = is_real
    table["is_published"] = ~is_real | (rng.random(len(table)) >= settings.missing_annotation_rate)
    return table.sort_values(["gene", "go_id"], ignore_index=True)
