"""The planted biology: genes in modules, the signed network between them, and its ontology."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse

from moa_jax import random_streams
from moa_jax.data.simulated import drugs
from moa_jax.data.simulated.settings import SimulationSettings
from moa_jax.schemas import InputError

# Edges from a gene to earlier genes of its module.
_EDGES_WITHIN = 3
# Mean number of edges from a gene to other modules, and the share within its branch.
_EDGES_BETWEEN = 0.7
_SAME_BRANCH_SHARE = 0.7
_INHIBITING_SHARE = 0.2
_LANDMARK_TARGET_SHARE = 0.1
# Modules per mechanism: some share a module (except with the mechanism `network`).
_HOMES_PER_MOA = 0.7


@dataclasses.dataclass(frozen=True)
class Biology:
    """Genes and the network that effects spread over.

    Attributes:
      genes: one row per gene: `gene_id gene_symbol protein_id accession is_synthetic role
        module`; role is `landmark`, `inferred` (in the matrices, not measured) or `network`
        (not in them).
      branch_of_module: the top-level process of each module.
      home_modules: mechanism -> module of most of its targets.
      edges: one row per undirected edge: `gene_a gene_b` (rows of `genes`), `score` (0-1000),
        `sign` (+1 activating, -1 inhibiting), `is_real`, `is_published`.
    """

    genes: pd.DataFrame
    branch_of_module: Int[np.ndarray, " module"]
    home_modules: dict[str, int]
    edges: pd.DataFrame

    @property
    def matrix_rows(self) -> Int[np.ndarray, " matrix_gene"]:
        """Rows of `genes` that the expression matrices hold, in the matrices' order."""
        return np.flatnonzero(self.genes["role"].to_numpy() != "network")

    @property
    def is_landmark(self) -> Bool[np.ndarray, " matrix_gene"]:
        """Which genes of the matrices are landmarks."""
        return (self.genes["role"].to_numpy() == "landmark")[self.matrix_rows]


def make_biology(settings: SimulationSettings, table: tuple[drugs.Drug, ...]) -> Biology:
    """Generates genes, modules and the network.

    Targets of one mechanism mostly share a module, and some mechanisms share one, so that their
    signatures are similar. Within a module, edges attach preferentially (Barabasi and Albert
    1999), which gives hubs.
    """
    rng = random_streams.generator(settings.seed, "biology")
    num_modules = max(4, int(0.4 * settings.num_terms))
    branch_of_module = np.sort(rng.integers(0, max(2, num_modules // 6), num_modules))
    moas = sorted({moa for drug in table for moa in drug.moas})
    share = 1.0 if settings.mechanism == "network" else _HOMES_PER_MOA
    num_homes = min(num_modules, max(2, int(share * len(moas))))
    homes = rng.permutation(num_modules)[:num_homes]
    home_modules = {
        moa: int(homes[rank % num_homes])
        for moa, rank in zip(moas, rng.permutation(len(moas)), strict=True)
    }
    genes = _make_genes(settings, table, home_modules, num_modules, rng)
    edges = _make_edges(settings, genes["module"].to_numpy(), branch_of_module, rng)
    return Biology(genes, branch_of_module, home_modules, edges)


def _make_genes(
    settings: SimulationSettings,
    table: tuple[drugs.Drug, ...],
    home_modules: dict[str, int],
    num_modules: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The gene table; real symbols and Entrez ids for targets, simulated ones for the rest."""
    first_moa: dict[str, str] = {}
    for drug in table:
        for symbol in drug.targets:
            first_moa.setdefault(symbol, drug.moas[0])
    targets = sorted(first_moa)
    num_genes = settings.num_landmarks + settings.num_other_genes
    if len(targets) > settings.num_other_genes:
        raise InputError(
            f"num_other_genes is {settings.num_other_genes}; "
            f"the {len(targets)} drug targets need at least as many."
        )
    entrez = drugs.entrez_ids()
    num_synthetic = num_genes - len(targets)
    symbols = targets + [f"SIMG{number:05d}" for number in range(1, num_synthetic + 1)]
    ids = [entrez[symbol] for symbol in targets]
    ids += [str(990_000_000 + number) for number in range(1, num_synthetic + 1)]
    module = rng.integers(0, num_modules, num_genes)
    for row, symbol in enumerate(targets):
        if rng.random() < 0.85:
            module[row] = home_modules[first_moa[symbol]]
    genes = pd.DataFrame(
        {
            "gene_id": ids,
            "gene_symbol": symbols,
            "protein_id": [f"9606.ENSP9{row:010d}" for row in range(num_genes)],
            "accession": [f"SIM{row:05d}" for row in range(num_genes)],
            "is_synthetic": np.arange(num_genes) >= len(targets),
            "role": _roles(settings, len(targets), rng),
            "module": module,
        }
    )
    return genes.iloc[rng.permutation(num_genes)].reset_index(drop=True)


def _roles(
    settings: SimulationSettings, num_targets: int, rng: np.random.Generator
) -> Int[np.ndarray, " gene"] | np.ndarray:
    """Role of each gene; few targets are landmarks, as in L1000."""
    num_genes = settings.num_landmarks + settings.num_other_genes
    roles = np.full(num_genes, "network", dtype="<U8")
    landmark_targets = rng.random(num_targets) < _LANDMARK_TARGET_SHARE
    wanted = settings.num_landmarks - int(landmark_targets.sum())
    synthetic = num_targets + rng.permutation(num_genes - num_targets)
    roles[:num_targets][landmark_targets] = "landmark"
    roles[synthetic[:wanted]] = "landmark"
    roles[rng.permutation(np.flatnonzero(roles == "network"))[: settings.num_inferred_genes]] = (
        "inferred"
    )
    return roles


def _make_edges(
    settings: SimulationSettings,
    module: Int[np.ndarray, " gene"],
    branch_of_module: Int[np.ndarray, " module"],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Real edges within and between modules, and false ones of low score."""
    num_genes = len(module)
    scores: dict[tuple[int, int], int] = {}

    def add(a: int, b: int, low: int, high: int) -> None:
        if a != b:
            scores.setdefault((min(a, b), max(a, b)), int(rng.integers(low, high)))

    for members in (np.flatnonzero(module == number) for number in range(len(branch_of_module))):
        degree = np.zeros(len(members))
        for place in range(1, len(members)):
            chance = (degree[:place] + 1) / (degree[:place] + 1).sum()
            count = min(place, _EDGES_WITHIN)
            for other in rng.choice(place, size=count, replace=False, p=chance):
                add(int(members[place]), int(members[other]), 700, 1000)
                degree[[place, other]] += 1
    branch = branch_of_module[module]
    by_branch = {number: np.flatnonzero(branch == number) for number in np.unique(branch).tolist()}
    for gene, count in enumerate(rng.poisson(_EDGES_BETWEEN, num_genes)):
        for _ in range(count):
            near = rng.random() < _SAME_BRANCH_SHARE
            pool = by_branch[int(branch[gene])] if near else np.arange(num_genes)
            add(gene, int(rng.choice(pool)), 400, 900)
    num_real = len(scores)
    while len(scores) < num_real * (1 + settings.false_edge_rate):
        add(*rng.integers(0, num_genes, 2).tolist(), 150, 400)
    pairs = np.array(list(scores), dtype=np.int64)
    is_real = np.arange(len(pairs)) < num_real
    return pd.DataFrame(
        {
            "gene_a": pairs[:, 0],
            "gene_b": pairs[:, 1],
            "score": np.array(list(scores.values())),
            "sign": np.where(rng.random(len(pairs)) < _INHIBITING_SHARE, -1, 1),
            "is_real": is_real,
            "is_published": ~is_real | (rng.random(len(pairs)) >= settings.missing_edge_rate),
        }
    )


def spread_over_network(
    biology: Biology, seeds: Float[np.ndarray, "gene perturbation"], *, spread: float
) -> Float[np.ndarray, "gene perturbation"]:
    """Signed random walk with restart from `seeds` over the real edges.

    `r = (1 - c) sum_k c^k S^k seeds` with `c = spread`, `S = D^-1/2 (A o sign) D^-1/2`
    (Tong 2006, with the symmetric normalisation of Zhou 2004); the series is truncated at terms of
    weight below 1e-6.
    """
    edges = biology.edges[biology.edges["is_real"]]
    num_genes = len(biology.genes)
    weight = edges["score"].to_numpy() / 1000.0
    signed = weight * edges["sign"].to_numpy()
    ends = (edges["gene_a"].to_numpy(), edges["gene_b"].to_numpy())
    upper = sparse.coo_matrix((signed, ends), shape=(num_genes, num_genes)).tocsr()
    adjacency = upper + upper.T
    degree = np.asarray(abs(adjacency).sum(axis=1)).ravel()
    scale = sparse.diags(1.0 / np.sqrt(np.maximum(degree, 1e-12)))
    step = scale @ adjacency @ scale
    term = seeds.astype(np.float64)
    total = term.copy()
    for _ in range(int(np.ceil(np.log(1e-6) / np.log(spread)))):
        term = spread * (step @ term)
        total += term
    return (1 - spread) * total
