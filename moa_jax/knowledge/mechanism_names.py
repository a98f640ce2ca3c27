"""Genes that the name of a mechanism names: `HDAC inhibitor`, `dopamine receptor agonist`.

Symbols, families of symbols (HDAC1 to HDAC11 for HDAC), other names and full names of genes are
recognised. Precision comes first: a name is read only if all of its words are accounted for, so
`protein kinase inhibitor`, `Bacterial DNA gyrase inhibitor` and `Antioxidant` name no gene.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping

import pandas as pd

from moa_jax.knowledge.gene_identifiers import ALIAS_SEPARATOR
from moa_jax.schemas import GENE_TEXT_COLUMNS, require_columns

# What mechanisms do to proteins, and words without a meaning of their own.
_ACTION = re.compile(
    r"\b(?:ant)?agonists?\b|\b\w+(?:ators?|itors?|ulants?|ligands?|openers?|enhancers?|inducers?)\b"
    r"|\b(?:blocker|degrader|disruptor|suppressor|mimetic)s?\b"
    r"|\b(?:inverse|partial|full|positive|negative|allosteric|selective|non-selective|dual|pan)\b",
    re.IGNORECASE,
)
# A token that names a gene may stand beside these.
_CLASSES = frozenset(
    ["kinase", "receptor", "protein", "tyrosine", "serine", "threonine", "family", "enzyme"]
)
# What gene names have beside the words of a family.
_EXTRAS = frozenset(
    [
        "subunit",
        "type",
        "class",
        "member",
        "family",
        "subfamily",
        "isoform",
        "group",
        "gated",
        "voltage",
        "inwardly",
        "rectifying",
        "ionotropic",
        "metabotropic",
        "nmda",
        "ampa",
        "kainate",
        "muscarinic",
        "nicotinic",
        "auxiliary",
        "catalytic",
    ]
)
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu pi rho sigma tau"
_DESIGNATOR = re.compile(
    rf"(?:{'|'.join(_GREEK.split())})?(?:[a-z]{{0,2}}\d+[a-z]{{0,2}}\d?|[a-z]|[ivx]{{1,4}})?"
)
# Words that alone do not tell genes apart.
_VAGUE = _CLASSES | _EXTRAS | {"channel", "factor", "growth", "dna", "rna", "cell", "acid", "and"}
# What follows the stem of a family in a symbol: HDAC1, PDGFRA, PKCalpha, VEGFR2.
_MEMBER = re.compile(rf"-?(?:\d{{1,2}}[A-Z]?|[A-H]|{'|'.join(_GREEK.split())})", re.IGNORECASE)
# Shorter stems of symbols and of other names mean too many things.
_MIN_STEM, _MIN_OTHER = 3, 4
# Genes of shorter stems are one family if their full names agree, too.
_SURE_STEM = 5
# Larger families say too little.
_MAX_GENES = 40
_WORD = re.compile(r"[a-z0-9]+")
_PARENTHESES = re.compile(r"\([^)]*\)")
# The field's names of proteins, and what the genes are called.
_CALLED = {
    "acetylcholine receptor": "cholinergic receptor",
    "adrenergic receptor": "adrenoceptor",
    "beta adrenergic receptor": "adrenoceptor beta",
    "alpha adrenergic receptor": "adrenoceptor alpha",
    "chk": "checkpoint kinase",
    "cyclooxygenase": "prostaglandin endoperoxide synthase",
    "dopamine reuptake": "solute carrier family 6 member 3",
    "gaba receptor": "gamma aminobutyric acid receptor",
    "glucocorticoid receptor": "nuclear receptor subfamily 3 group c member 1",
    "mek": "mitogen activated protein kinase kinase",
    "matrix metalloprotease": "matrix metallopeptidase",
    "mineralocorticoid receptor": "nuclear receptor subfamily 3 group c member 2",
    "nicotinic receptor": "cholinergic receptor nicotinic",
    "norepinephrine reuptake": "solute carrier family 6 member 2",
    "orexin receptor": "hypocretin receptor",
    "pkc": "protein kinase c",
    "p glycoprotein": "atp binding cassette subfamily b member 1",
    "serotonin receptor": "5 hydroxytryptamine receptor",
    "serotonin reuptake": "solute carrier family 6 member 4",
    "sigma receptor": "sigma non opioid intracellular receptor",
    "topoisomerase": "dna topoisomerase",
}


@dataclasses.dataclass(frozen=True)
class GeneTexts:
    """Symbols, other names and full names of genes, to read the names of mechanisms.

    Attributes:
      table: `GENE_TEXT_COLUMNS`, one row per gene; aliases are separated by `|`, and `name` (the
        full name) and aliases may be empty.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        require_columns(self.table, GENE_TEXT_COLUMNS, "the table of gene names")

    def named_by(self, mechanism: str) -> tuple[str, ...]:
        """Symbols of the genes that the name of a mechanism names, sorted; empty if none."""
        text = _ACTION.sub(" ", mechanism)
        inside = re.findall(r"\(([^)]*)\)", text)
        phrase = name_words(text)
        for words in (phrase, *map(_words, inside)):
            found = self._by_full_name(words) or self._by_symbol(words)
            if 0 < len(found) <= _MAX_GENES:
                return tuple(sorted(found))
        return ()

    def _by_symbol(self, words: tuple[str, ...]) -> set[str]:
        """Genes with this symbol, else of this family of symbols, else with this other name."""
        tokens = [word for word in words if word not in _CLASSES]
        # `5-HT2A` is two words here, and `GSK-3` is a family.
        token = "".join(tokens).upper()
        is_number = len(tokens) == 2 and tokens[1].isdigit()
        if len(tokens) != 1 and not is_number:
            genes = self._aliases.get(token, frozenset())
            return set(genes) if len(genes) == 1 else set()
        kind = {"kinase", "receptor"} & set(words)
        for names, shortest in ((self._symbols, _MIN_STEM), (self._aliases, _MIN_OTHER)):
            exact = {name for name in (token,) if names is self._symbols or len(name) >= shortest}
            members = [
                name
                for name in names
                if len(token) >= shortest
                and name.startswith(token)
                and _MEMBER.fullmatch(name[len(token) :])
            ]
            for found in (exact, members) if names is self._symbols else (members, exact):
                meant = [names[name] for name in found if name in names]
                genes = {gene for one in meant if len(one) == 1 for gene in one}
                genes = {gene for gene in genes if kind <= set(self._full_names.get(gene, kind))}
                if len(token) < _SURE_STEM:
                    genes = self._of_one_kind(genes)
                if genes and (found is exact or len(genes) > 1):
                    return genes
        return set()

    def _of_one_kind(self, symbols: set[str]) -> set[str]:
        """The most genes that have one full name but for numbers and letters."""
        kinds = collections.defaultdict(set)
        for symbol in symbols:
            kinds[_without_designators(self._full_names.get(symbol, ()))].add(symbol)
        return max((*kinds.values(), set()), key=len)

    def _by_full_name(self, words: tuple[str, ...]) -> set[str]:
        """Genes whose full name has all the words, and besides only numbers and the like."""
        called = _CALLED.get(" ".join(words))
        wanted = collections.Counter(_words(called) if called else words)
        if not called and all(word in _VAGUE or _is_designator(word) for word in wanted):
            return set()
        return {
            symbol
            for symbol, name in self._full_names.items()
            if wanted <= (counts := collections.Counter(name))
            and all(word in _EXTRAS or _is_designator(word) for word in counts - wanted)
        }

    @functools.cached_property
    def _symbols(self) -> Mapping[str, frozenset[str]]:
        return {symbol.upper(): frozenset({symbol}) for symbol in self.table["symbol"]}

    @functools.cached_property
    def _aliases(self) -> Mapping[str, frozenset[str]]:
        """Other name in upper case, without hyphens -> symbols; not what is a symbol itself."""
        found = collections.defaultdict(set)
        for symbol, aliases in zip(self.table["symbol"], self.table["aliases"], strict=True):
            for alias in filter(None, aliases.split(ALIAS_SEPARATOR)):
                found[alias.upper().replace("-", "")].add(symbol)
        return {
            name: frozenset(genes) for name, genes in found.items() if name not in self._symbols
        }

    @functools.cached_property
    def _full_names(self) -> Mapping[str, tuple[str, ...]]:
        names = zip(self.table["symbol"], self.table["name"], strict=True)
        return {symbol: name_words(name) for symbol, name in names if name}


def name_words(name: str) -> tuple[str, ...]:
    """Words of a name, without what is in parentheses; see `_words`."""
    return _words(_PARENTHESES.sub(" ", name))


def _words(text: str) -> tuple[str, ...]:
    """Words in lower case, without a plural's or possessive's s."""
    found = _WORD.findall(text.casefold().replace("'s", ""))
    return tuple(
        word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word
        for word in found
    )


def _is_designator(word: str) -> bool:
    return _DESIGNATOR.fullmatch(word) is not None


def _without_designators(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in words if not _is_designator(word))
