"""The Gene Ontology (OBO) and the genes annotated with it (GAF)."""

from __future__ import annotations

import collections
import dataclasses
import functools
import io
import os
import re
from collections.abc import Mapping

import networkx as nx
import obonet
import pandas as pd

from moa_jax.schemas import TERM_COLUMNS, InputError
from moa_jax.text.files import open_text

IS_A = "is_a"
PART_OF = "part_of"

# The true-path rule holds along these two relations: a gene annotated with a term is annotated
# with every ancestor over is_a and part_of. It does not hold along `regulates`.
RELATIONS = (IS_A, PART_OF)

# OBO clauses with ids or single words, and the signs that end them.
_ID_TAGS = ("id", "alt_id", "is_a", "relationship", "replaced_by")
_WORD_TAGS = ("is_obsolete", "namespace", "default-namespace")
_AFTER_IDS = re.compile(r"(?<!\\)[!{]")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": " ", "W": " ", "t": " "}

# NCBI taxonomy id.
HUMAN = "9606"
# A species may be written `taxon:9606`, `NCBITaxon:9606` or by its number alone.
_TAXON = re.compile(r"(?:ncbi)?(?:taxon|taxid|_)*\s*:?\s*(\d+)", re.IGNORECASE)

# GAF 2.0, 2.1 and 2.2: 17 fields, of which the last two are optional.
GAF_NUM_FIELDS = (15, 16, 17)
ANNOTATION_COLUMNS = ("gene", "symbol", "go_id", "evidence_code")
NO_DATA = "ND"

Pairs = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Ontology:
    """The current terms and their hierarchy.

    Attributes:
      terms: `TERM_COLUMNS`, sorted by go_id, without obsolete terms.
      is_a: (child, parent), sorted.
      part_of: (child, parent), sorted.
      alternatives: alternative id -> id of the current term it was merged into.
      obsolete: id of an obsolete term -> its replacement, or None.
    """

    terms: pd.DataFrame
    is_a: Pairs
    part_of: Pairs
    alternatives: Mapping[str, str]
    obsolete: Mapping[str, str | None]

    @functools.cached_property
    def parents(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Term -> its (relation, parent), is_a before part_of; () for roots."""
        found: dict[str, list[tuple[str, str]]] = {term: [] for term in self.terms["go_id"]}
        for relation, pairs in ((IS_A, self.is_a), (PART_OF, self.part_of)):
            for child, parent in pairs:
                found[child].append((relation, parent))
        return {term: tuple(parents) for term, parents in found.items()}

    def find(self, go_id: str) -> tuple[str | None, str]:
        """Follows alternative ids and replacements to a current term.

        Returns:
          (the current term, "") or (None, why there is none).
        """
        seen: set[str] = set()
        while go_id not in self.parents:
            if go_id in seen or (go_id in self.obsolete and self.obsolete[go_id] is None):
                return None, "an obsolete term without a replacement"
            seen.add(go_id)
            following = self.alternatives.get(go_id) or self.obsolete.get(go_id)
            if following is None:
                return None, "a term that the ontology does not have"
            go_id = following
        return go_id, ""


@dataclasses.dataclass(frozen=True)
class Annotations:
    """The usable annotations of genes with terms.

    Attributes:
      table: columns `gene` (the database's object id), `symbol`, `go_id` (current terms),
        `evidence_code`; distinct rows, sorted.
      dropped: number of rows left out, by reason.
    """

    table: pd.DataFrame
    dropped: Mapping[str, int]


def read_obo(path: str | os.PathLike[str]) -> Ontology:
    """Reads an ontology in OBO format, plain or gzip.

    Raises:
      InputError: the file is not an OBO file; a term has no name or namespace; is_a and part_of
        form a cycle, point to a missing term, or involve an obsolete one.
    """
    with open_text(path) as text:
        try:
            graph = obonet.read_obo(
                io.StringIO("".join(map(_tidy_clause, text))), ignore_obsolete=False
            )
        except UnicodeDecodeError:
            raise
        except (ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} is not an OBO file: {reason}.") from None
    if not graph:
        raise InputError(f"{path} is not an OBO file: it has no [Term].")
    is_obsolete = {term: data.get("is_obsolete") == "true" for term, data in graph.nodes(data=True)}
    pairs = {
        relation: tuple(sorted((c, p) for c, p, key in graph.edges(keys=True) if key == relation))
        for relation in RELATIONS
    }
    _require_usable_edges(graph, pairs, is_obsolete, path)
    obsolete: dict[str, str | None] = {}
    alternatives: dict[str, str] = {}
    rows = []
    default_namespace = (graph.graph.get("default-namespace") or [None])[0]
    for term, data in sorted(graph.nodes(data=True)):
        if is_obsolete[term]:
            obsolete[term] = next(iter(data.get("replaced_by", ())), None)
        elif data:
            namespace = data.get("namespace", default_namespace)
            if not (data.get("name") and namespace):
                raise InputError(f"{path}: the term {term} lacks a name or a namespace.")
            rows.append((term, _unescaped(data["name"]), namespace))
            alternatives.update(dict.fromkeys(data.get("alt_id", ()), term))
    terms = pd.DataFrame(rows, columns=list(TERM_COLUMNS))
    return Ontology(terms, pairs[IS_A], pairs[PART_OF], alternatives, obsolete)


def _tidy_clause(line: str) -> str:
    """Normalises a line of an OBO file for obonet.

    Removes comments (`! ...`) and qualifiers (`{...}`), which may follow an id without a blank,
    and superfluous blanks.
    """
    line = line.strip()
    tag, colon, value = line.partition(":")
    if colon and tag.strip() in (*_ID_TAGS, *_WORD_TAGS):
        value = _AFTER_IDS.split(value, maxsplit=1)[0]
        line = f"{tag.strip()}: {' '.join(value.split())}"
    return f"{line}\n"


def _unescaped(text: str) -> str:
    r"""A text without OBO's escapes (`\,` for a comma, `\W` for a blank)."""
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)


def _require_usable_edges(
    graph: nx.MultiDiGraph,
    pairs: Mapping[str, Pairs],
    is_obsolete: Mapping[str, bool],
    path: str | os.PathLike[str],
) -> None:
    for relation in RELATIONS:
        for child, parent in pairs[relation]:
            # obonet adds an empty node for an id without a definition.
            if not graph.nodes[parent]:
                raise InputError(
                    f"{path}: the term {child} is {relation} {parent}, "
                    "but no term of that id is in the file."
                )
            if is_obsolete[parent] or is_obsolete[child]:
                culprit = parent if is_obsolete[parent] else child
                raise InputError(
                    f"{path}: the term {child} is {relation} {parent}, but {culprit} is obsolete."
                )
    order = nx.DiGraph([*pairs[IS_A], *pairs[PART_OF]])
    if not nx.is_directed_acyclic_graph(order):
        cycle = [child for child, _ in nx.find_cycle(order)]
        raise InputError(
            f"{path}: is_a and part_of form a cycle over the terms "
            f"{' -> '.join([*cycle, cycle[0]])}; expected a directed acyclic graph."
        )


def levels(ontology: Ontology) -> dict[str, int]:
    """Topological level of each term over is_a and part_of, parents before children.

    Roots have level 0; the level is the length of the longest path to a root.
    """
    order: nx.DiGraph = nx.DiGraph()
    order.add_nodes_from(ontology.terms["go_id"])
    order.add_edges_from((parent, child) for child, parent in (*ontology.is_a, *ontology.part_of))
    generations = enumerate(nx.topological_generations(order))
    return {term: level for level, terms in generations for term in sorted(terms)}


def ancestors(ontology: Ontology) -> dict[str, frozenset[str]]:
    """Every term above each term over is_a and part_of, without the term itself."""
    above: dict[str, frozenset[str]] = {}
    for term in levels(ontology):
        parents = [parent for _, parent in ontology.parents[term]]
        above[term] = frozenset(parents).union(*(above[parent] for parent in parents))
    return above


def read_gaf(path: str | os.PathLike[str], *, ontology: Ontology) -> Annotations:
    """Reads human gene annotations in GAF 2.0, 2.1 or 2.2, plain or gzip.

    Alternative ids become the current term's id, obsolete terms their replacement. Left out and
    counted: other species, NOT annotations, evidence ND (no data), terms that are missing in the
    ontology or obsolete without replacement, and repetitions of a gene, term and evidence code
    with other references.

    Args:
      path: the annotations.
      ontology: the ontology of the same date.

    Raises:
      InputError: another version of GAF; a row with a wrong number of fields; no human row.
    """
    dropped: collections.Counter[str] = collections.Counter()
    other_taxa: collections.Counter[str] = collections.Counter()
    found: dict[str, tuple[str | None, str]] = {}
    rows = set()
    with open_text(path) as text:
        for line, raw in enumerate(text, start=1):
            if raw.lstrip().startswith("!") or not raw.strip():
                _require_gaf_2(raw, path)
                continue
            fields = [field.strip() for field in raw.strip("\r\n").split("\t")]
            if len(fields) not in GAF_NUM_FIELDS:
                raise InputError(
                    f"{path}, line {line}: the row has {len(fields)} fields separated by tabs; "
                    f"GAF 2 has {GAF_NUM_FIELDS[0]} to {GAF_NUM_FIELDS[-1]}."
                )
            gene, symbol, qualifier, go_id, evidence = *fields[1:5], fields[6]
            # If an organism acts on another, there are two taxa; the first is the gene's own.
            own_taxon = _own_taxon(fields[12])
            if own_taxon != HUMAN:
                other_taxa[own_taxon] += 1
                continue
            if go_id not in found:
                found[go_id] = ontology.find(go_id)
            term, problem = found[go_id]
            if "NOT" in (part.strip().upper() for part in qualifier.split("|")):
                dropped["annotation qualified NOT"] += 1
            elif evidence == NO_DATA:
                dropped[f"annotation with evidence {NO_DATA}"] += 1
            elif term is None:
                dropped[f"annotation with {problem}"] += 1
            elif (gene, symbol, term, evidence) in rows:
                dropped["annotation repeated with another reference"] += 1
            else:
                rows.add((gene, symbol, term, evidence))
    if not rows and not dropped:
        commonest = other_taxa.most_common(1)
        species = f"all are of species {commonest[0][0]}" if commonest else "there are none"
        raise InputError(f"{path} has no annotation of species {HUMAN}; {species}.")
    if other_taxa:
        dropped["annotation of another species"] = other_taxa.total()
    table = pd.DataFrame(sorted(rows), columns=list(ANNOTATION_COLUMNS), dtype=str)
    return Annotations(table, dict(dropped))


def _own_taxon(text: str) -> str:
    """Number of the species in a field such as `taxon:9606|taxon:1280`; else the text."""
    first = text.partition("|")[0].strip()
    match = _TAXON.fullmatch(first)
    return match[1] if match else first


def _require_gaf_2(comment: str, path: str | os.PathLike[str]) -> None:
    key, _, version = comment.strip().removeprefix("!").partition(":")
    if key.strip().casefold() == "gaf-version" and not version.strip().startswith("2"):
        raise InputError(f"{path} is GAF version {version.strip()}; expected version 2.")
