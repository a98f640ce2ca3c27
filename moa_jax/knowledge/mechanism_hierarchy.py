"""Broader classes of mechanisms: a PI3K inhibitor is a kinase inhibitor.

Names say part of it: a name whose last words are another name is narrower than that
(`beta adrenergic receptor antagonist`), a partial agonist is an agonist, and whatever a compound
does to a receptor, it is a ligand of that receptor. The table `mechanism_classes.tsv` lists what
names do not say, families and other names of the same thing, each with its source.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from moa_jax.knowledge.mechanism_names import name_words

_TABLE = "mechanism_classes.tsv"
# Words before the last one that say how, not in which direction, a compound acts.
_QUALIFIERS = frozenset(["partial", "full", "allosteric", "positive", "negative"])
_QUALIFIED = frozenset(["agonist", "modulator"])
# What binds to a receptor.
_RECEPTOR_LIGANDS = frozenset(["agonist", "antagonist", "modulator", "potentiator"])
# A word that reverses the meaning of what follows.
_NEGATION = "non"

# A name as words.
_Words = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class MechanismClasses:
    """Classes that contain at least two mechanisms of a vocabulary, the narrowest first.

    Attributes:
      names: name of each class, which may be a mechanism of the vocabulary itself.
      members: whether the class contains the mechanism.
    """

    names: tuple[str, ...]
    members: Bool[np.ndarray, "class moa"]


def mechanism_classes(moas: Sequence[str]) -> MechanismClasses:
    """The classes of the mechanisms of a vocabulary, in any order and spelling."""
    listed = _listed_classes()
    # Of several spellings the first of the vocabulary is shown.
    names = [name for narrower in listed.values() for name in narrower.values()]
    names += [*listed, *reversed(moas)]
    known = {_ligand(name_words(name)): _ligand_name(name) for name in names}
    known |= {name_words(name): name for name in names}
    known.pop((), None)
    parents = {words: set(_said_by_the_name(words, known)) for words in known}
    for broader, narrower in listed.items():
        for words in narrower:
            parents[words].add(name_words(broader))
    contained: dict[_Words, set[int]] = {}
    for column, moa in enumerate(moas):
        for words in _all_above(name_words(moa), parents):
            contained.setdefault(words, set()).add(column)
    own = {name_words(moa) for moa in moas}

    def preference(words: _Words) -> tuple[bool, int, str]:
        return words not in own, -len(_all_above(words, parents)), known[words]

    # Of classes with the same mechanisms one is listed, best one of the vocabulary or a narrow one.
    distinct: dict[frozenset[int], _Words] = {}
    for words in sorted(contained, key=preference):
        if len(contained[words]) > 1:
            distinct.setdefault(frozenset(contained[words]), words)
    order = sorted(distinct, key=lambda columns: (len(columns), known[distinct[columns]]))
    members = np.zeros((len(order), len(moas)), bool)
    for row, columns in enumerate(order):
        members[row, list(columns)] = True
    return MechanismClasses(tuple(known[distinct[columns]] for columns in order), members)


@functools.cache
def _listed_classes() -> Mapping[str, Mapping[_Words, str]]:
    """Broader name -> the narrower ones, as words and as they are written."""
    text = importlib.resources.files(__package__).joinpath(_TABLE).read_text(encoding="utf-8")
    return {
        row["broader"]: {name_words(name): name for name in row["narrower"].split("|")}
        for row in csv.DictReader(text.splitlines(), delimiter="\t")
    }


def _said_by_the_name(words: _Words, known: Mapping[_Words, str]) -> Iterator[_Words]:
    """The known names that are broader by their words alone."""
    for start in range(1, len(words)):
        if words[start - 1] != _NEGATION and words[start:] in known:
            yield words[start:]
    if words[-1] in _QUALIFIED:
        end = len(words) - 1
        while end and words[end - 1] in _QUALIFIERS:
            end -= 1
            if (*words[:end], words[-1]) in known:
                yield (*words[:end], words[-1])
    if _ligand(words):
        yield _ligand(words)


def _ligand(words: _Words) -> _Words:
    """`x receptor ligand` for an agonist or the like of the receptor x; empty for others."""
    if "receptor" not in words[1:-1] or words[-1] not in _RECEPTOR_LIGANDS:
        return ()
    return (*words[: words.index("receptor", 1) + 1], "ligand")


def _ligand_name(name: str) -> str:
    place = name.casefold().find("receptor")
    return f"{name[:place]}receptor ligand"


def _all_above(words: _Words, parents: Mapping[_Words, set[_Words]]) -> set[_Words]:
    """A name and all that are broader; nothing for a name without words."""
    found, left = set(), [words]
    while left:
        if (here := left.pop()) in parents and here not in found:
            found.add(here)
            left += parents[here]
    return found
