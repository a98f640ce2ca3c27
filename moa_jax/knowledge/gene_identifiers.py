"""Current and previous gene names to Entrez ids.

L1000 names genes by Entrez id, compound tables by symbol (often an old one), STRING by its
preferred symbol and Gene Ontology by the ids of the annotating database. Here Entrez ids, as
strings, are the only key.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from moa_jax.schemas import GENE_NAME_COLUMNS, InputError, require_columns
from moa_jax.text.chunks import open_table, read_columns

ALIAS_SEPARATOR = "|"


@dataclasses.dataclass(frozen=True)
class GeneIdLayout:
    """Columns of a gene-id table; `former` and `ensembl` are optional."""

    entrez_id: str
    symbol: str
    aliases: str
    gene_type: str
    former: str
    ensembl: str


# Columns of id and full name, in the same order.
_FULL_NAMES = (("gene_id", "name"), ("GeneID", "description"), ("entrez_id", "name"))
# org.Hs.eg.db as a table, NCBI's gene_info, HGNC's complete set.
GENE_ID_LAYOUTS = (
    GeneIdLayout("gene_id", "symbol", "aliases", "gene_type", "", "ensembl_gene"),
    GeneIdLayout("GeneID", "Symbol", "Synonyms", "type_of_gene", "", "dbXrefs"),
    GeneIdLayout(
        "entrez_id", "symbol", "alias_symbol", "locus_group", "prev_symbol", "ensembl_gene_id"
    ),
)
_ENSEMBL_ID = re.compile(r"ENSG[0-9]{11}")

# Kinds of names, the most reliable first. A name is looked up in this order, and the first kind
# that has it decides, even if it is ambiguous there.
WAYS = (
    "entrez_id",
    "symbol",
    "older symbol",
    "alias",
    "symbol, other case",
    "older symbol, other case",
    "alias, other case",
)
AMBIGUOUS = "ambiguous"
UNKNOWN = "unknown"

_WHOLE = re.compile(r"([0-9]+)\.0*")
# Numbers with thousands separators, ids prefixed with the database, and symbol with id, as in
# DepMap (`TP53 (7157)`) and TCGA (`TP53|7157`).
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_OF_DATABASE = re.compile(r"(?:entrez(?:gene)?|ncbi_?gene|geneid)[ :_]\s*([0-9]+)", re.IGNORECASE)
_SYMBOL_AND_ID = re.compile(r"([^|()]+?)\s*(?:\(([0-9]+)\)|\|([0-9]+))")
_VERSIONED = re.compile(r"(ENSG[0-9]{11})\.[0-9]+", re.IGNORECASE)
_PLAIN = (_WHOLE, _VERSIONED, _OF_DATABASE)

Index = Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Resolution:
    """The gene of a name.

    Attributes:
      entrez_id: the gene, or None.
      how: one of `WAYS`, `AMBIGUOUS` or `UNKNOWN`.
      candidates: Entrez ids of every gene that the name could mean.
    """

    entrez_id: str | None
    how: str
    candidates: tuple[str, ...] = ()


def entrez_order(entrez_id: str) -> tuple[int, str]:
    """Sort key for Entrez ids in numeric order; deterministic for other ids."""
    return len(entrez_id), entrez_id


@dataclasses.dataclass(frozen=True)
class GeneIdentifiers:
    """Every name of every gene; constructed by `from_table`.

    Attributes:
      symbol_of: Entrez id -> current symbol.
      indexes: one index (name -> Entrez ids) per entry of `WAYS`; those for other case have the
        names in upper case.
    """

    symbol_of: Mapping[str, str]
    indexes: tuple[Index, ...]

    @classmethod
    def from_table(cls, *tables: pd.DataFrame) -> GeneIdentifiers:
        """Joins gene tables, the most current first.

        Args:
          *tables: columns `entrez_id` and `symbol`, optionally `former_symbols` and `aliases`
            (separated by `|`). The first table with an Entrez id gives its current symbol;
            symbols in later tables, and former symbols, are older symbols.

        Raises:
          InputError: a table lacks a column, or there is none.
        """
        if not tables:
            raise InputError("gene identifiers need at least one table of genes; none was given.")
        symbol_of: dict[str, str] = {}
        pairs: dict[str, set[tuple[str, str]]] = {way: set() for way in WAYS[:4]}
        for number, table in enumerate(tables, start=1):
            require_columns(table, GENE_NAME_COLUMNS, f"gene table {number}")
            nothing = pd.Series("", index=table.index)
            former, aliases = (
                table.get(name, nothing).fillna("") for name in ("former_symbols", "aliases")
            )
            known = set(symbol_of)
            # Sorted, so that the order of rows does not matter if a table repeats an id.
            for entrez_id, symbol, older, names in sorted(
                zip(table["entrez_id"], table["symbol"], former, aliases, strict=True)
            ):
                pairs["entrez_id"].add((entrez_id, entrez_id))
                if symbol:
                    symbol_of.setdefault(entrez_id, symbol)
                    pairs["older symbol" if entrez_id in known else "symbol"].add(
                        (symbol, entrez_id)
                    )
                for way, joined in (("older symbol", older), ("alias", names)):
                    pairs[way].update(
                        (name, entrez_id) for name in joined.split(ALIAS_SEPARATOR) if name
                    )
        for way in WAYS[1:4]:
            pairs[f"{way}, other case"] = {(name.upper(), gene) for name, gene in pairs[way]}
        return cls(symbol_of, tuple(_index(pairs[way]) for way in WAYS))

    def resolve(self, name: str) -> Resolution:
        """Resolves a name to a gene.

        Tries the exact spelling as Entrez id, current symbol, older symbol and alias, then
        ignores case, because compound tables write `Trp53` or `C1ORF112`. The first kind that has
        the name decides; if it means two genes there, it is ambiguous. Ids written as floats
        (`16.0`), with thousands separators (`5,720`) or with a symbol (`TP53 (7157)`, unless
        that is another gene's) and Ensembl ids with a version are accepted.
        """
        name = _plain(name)
        if (both := _SYMBOL_AND_ID.fullmatch(name)) is not None:
            by_id, by_symbol = self.resolve(both[2] or both[3]), self.resolve(both[1])
            found = {by_id.entrez_id, by_symbol.entrez_id} - {None}
            if len(found) == 2:
                return Resolution(None, AMBIGUOUS, tuple(sorted(found, key=entrez_order)))
            return by_id
        for way, index in zip(WAYS, self.indexes, strict=True):
            candidates = index.get(name.upper() if way.endswith("other case") else name, ())
            if len(candidates) == 1:
                return Resolution(candidates[0], way, candidates)
            if candidates:
                return Resolution(None, AMBIGUOUS, candidates)
        return Resolution(None, UNKNOWN)

    def unambiguous_aliases(self, entrez_ids: Sequence[str]) -> list[str]:
        """Other names of each gene that stay unambiguous in a table of these genes only.

        A name is omitted if any spelling of it, ignoring case, means another gene or is ambiguous,
        so that such a table never resolves the name of a gene outside it.

        Returns:
          The sorted names of each gene, joined by `ALIAS_SEPARATOR`; empty if there is none.
        """
        exact = {name for index in self.indexes[:4] for name in index}
        meanings = collections.defaultdict(set)
        for name in exact:
            meanings[name.upper()].add(self.resolve(name).entrez_id)
        names_of = collections.defaultdict(list)
        for name in sorted(exact):
            means = meanings[name.upper()]
            if len(means) == 1:
                names_of[next(iter(means))].append(name)
        return [
            ALIAS_SEPARATOR.join(
                name for name in names_of[gene] if name not in (gene, self.symbol_of.get(gene))
            )
            for gene in entrez_ids
        ]


def _plain(name: str) -> str:
    """A name without outer blanks; an id without decimals, separators, prefix or version."""
    name = name.strip()
    if _GROUPED.fullmatch(name):
        return name.replace(",", "")
    match = next(filter(None, (form.fullmatch(name) for form in _PLAIN)), None)
    return match[1] if match else name


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = collections.defaultdict(list)
    for name, entrez_id in pairs:
        found[name].append(entrez_id)
    return {name: tuple(sorted(genes, key=entrez_order)) for name, genes in found.items()}


def read_gene_ids(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads a table of current symbols and aliases.

    Known layouts: org.Hs.eg.db as a table (`gene_id symbol aliases`), NCBI `gene_info` (`GeneID
    Symbol Synonyms`), HGNC's complete set (`entrez_id symbol prev_symbol alias_symbol`). If a gene
    and a phenotype-only record share a symbol (such as HBD), the record of unknown type is
    dropped. Ensembl ids are added to the aliases.

    Returns:
      Columns `entrez_id symbol former_symbols aliases`, sorted by Entrez id; the latter two
      separated by `|`.

    Raises:
      InputError: the columns fit no layout, there is no gene, or an id is repeated.
    """
    names = [name for layout in GENE_ID_LAYOUTS for name in vars(layout).values()]
    opened = open_table(path, names)
    header = opened.header
    needed = [
        (x, (x.entrez_id, x.symbol, *filter(None, (x.former,)), x.aliases)) for x in GENE_ID_LAYOUTS
    ]
    fitting = [layout for layout, columns in needed if set(columns) <= set(header)]
    if not fitting:
        expected = " or ".join(" ".join(columns) for _, columns in needed)
        raise InputError(
            f"{path} is not a gene table: it has the columns {', '.join(header)}; expected "
            f"{expected}."
        )
    layout = fitting[0]
    wanted = [column for column in vars(layout).values() if column in header]
    table = read_columns(opened, {column: column for column in wanted})
    table = table.apply(lambda column: column.str.strip('"')).replace("-", "")
    if layout.gene_type in table:
        shared = table[layout.symbol].duplicated(keep=False)
        table = table[~(shared & (table[layout.gene_type] == "unknown"))]
    table = table[table[layout.entrez_id] != ""]
    if not len(table):
        raise InputError(f"{path} has no row with a gene id; expected one row per gene.")
    repeated = table[table[layout.entrez_id].duplicated()]
    if len(repeated):
        raise InputError(
            f"{path}, line {repeated.index[0]}: the id {repeated[layout.entrez_id].iloc[0]} "
            "is already in an earlier row; expected one row per gene."
        )
    nothing = pd.Series("", index=table.index)
    ensembl = table.get(layout.ensembl, nothing).str.findall(_ENSEMBL_ID)
    names = zip(table[layout.aliases], ensembl, strict=True)
    genes = pd.DataFrame(
        {
            "entrez_id": table[layout.entrez_id],
            "symbol": table[layout.symbol],
            "former_symbols": table.get(layout.former, nothing),
            "aliases": [ALIAS_SEPARATOR.join((aliases, *ids)) for aliases, ids in names],
        }
    )
    return genes.sort_values("entrez_id", key=lambda ids: ids.map(entrez_order), ignore_index=True)


def read_full_names(path: str | os.PathLike[str]) -> dict[str, str]:
    """Entrez id -> full name, from a table that `read_gene_ids` reads; empty if it has none.

    Raises:
      InputError: the file cannot be read.
    """
    opened = open_table(path, [name for columns in _FULL_NAMES for name in columns])
    for gene, name in _FULL_NAMES:
        if {gene, name} <= set(opened.header):
            table = read_columns(opened, {gene: "gene", name: "name"})
            names = table["name"].str.strip('"').replace("-", "")
            return {key: text for key, text in zip(table["gene"], names, strict=True) if text}
    return {}
