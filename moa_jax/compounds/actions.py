"""What a compound does to its targets, inhibits or activates, as its mechanisms' names say.

Only words that state a direction count. `modulator`, `ligand`, `stabilizer` or `substrate` state
none, and names of uses (`antidepressant`) say nothing about a protein.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable

from moa_jax.schemas import ACTIVATES, INHIBITS

_WORDS = {
    **dict.fromkeys(
        (
            "antagonist",
            "blocker",
            "degrader",
            "destabilizer",
            "disruptor",
            "downregulator",
            "inactivator",
            "inhibitor",
            "suppressant",
            "suppressor",
        ),
        INHIBITS,
    ),
    **dict.fromkeys(
        (
            "activator",
            "agonist",
            "enhancer",
            "inducer",
            "mimetic",
            "opener",
            "potentiator",
            "reactivator",
            "sensitizer",
            "stimulant",
            "stimulator",
        ),
        ACTIVATES,
    ),
}
# Words that turn a modulator or an agonist into one of a direction.
_PHRASES = (
    (re.compile(r"\binverse (?:\w+ )?agonists?\b"), INHIBITS),
    (re.compile(r"\bnegative (?:allosteric )?modulators?\b"), INHIBITS),
    (re.compile(r"\bpositive (?:allosteric )?modulators?\b"), ACTIVATES),
)
# A substance that lacks the action it is named after.
_NO_ACTION = re.compile(r"\b(?:negative |inactive )?control\b")
_WORD = re.compile(r"[^\W\d_]+")


def action_of(moa: str) -> str:
    """`inhibits` or `activates`, as a mechanism's name says; empty if it says neither or both.

    Case and plural do not count: `Adrenergic receptor antagonists` inhibit.
    """
    text = moa.casefold()
    if _NO_ACTION.search(text):
        return ""
    found = set()
    for phrase, action in _PHRASES:
        text, number = phrase.subn(" ", text)
        found |= {action} if number else set()
    words = _WORD.findall(text)
    found |= {_WORDS[word] for word in (each.removesuffix("s") for each in words) if word in _WORDS}
    return one_action(found)


def action_of_all(moas: Iterable[str]) -> str:
    """The action that all mechanisms of a compound state; empty if one states none or another."""
    return one_action({action_of(moa) for moa in moas})


def joined_actions(
    targets: Iterable[Iterable[str]], actions: Iterable[Iterable[str]]
) -> dict[str, str]:
    """Target -> action, sorted by target, of what several sources say about one compound.

    Args:
      targets: targets that each source names.
      actions: what is done to each of these; empty if unknown.

    Returns:
      The action that all that state one agree on; empty if there is none.
    """
    stated: dict[str, set[str]] = collections.defaultdict(set)
    for names, done in zip(targets, actions, strict=True):
        for target, action in zip(names, done, strict=True):
            stated[target] |= {action} - {""}
    return {target: one_action(stated[target]) for target in sorted(stated)}


def one_action(actions: Iterable[str]) -> str:
    """The action if there is exactly one; empty if there are several or none."""
    distinct = set(actions)
    return distinct.pop() if len(distinct) == 1 else ""
