"""Names of mechanisms of action, spelled one way.

Sources agree on the words and differ in case and blanks: `HDAC inhibitor`, `hdac inhibitor`,
`HDAC inhibitor `. Only such differences are removed here. Names that mean the same in other words
(`EGFR inhibitor`, `epidermal growth factor receptor inhibitor`) stay apart: merging them is a
judgement of pharmacology that belongs to whoever curates the labels.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence


def normalise_moa(name: str) -> str:
    """`name` without blanks at its ends and with single blanks inside."""
    return " ".join(name.split())


def dominant_spellings(moas: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The spelling that most compounds use, by case-folded name.

    Args:
      moas: MoAs of each compound.

    Returns:
      Case-folded name -> spelling; of equally frequent ones the first in character order.
    """
    counts = collections.Counter(normalise_moa(name) for names in moas for name in names)
    spellings: dict[str, str] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        spellings.setdefault(name.casefold(), name)
    return spellings


def harmonise_moas(
    moas: Sequence[tuple[str, ...]], spellings: Mapping[str, str] | None = None
) -> list[tuple[str, ...]]:
    """Spells every MoA one way, compound by compound.

    Args:
      moas: MoAs of each compound.
      spellings: the spellings to use, by case-folded name, such as another table's
        `dominant_spellings`; names that it lacks take the dominant spelling of `moas`.

    Returns:
      Sorted MoAs of each compound, each once.
    """
    spelled = dominant_spellings(moas) | dict(spellings or {})
    return [
        tuple(sorted({spelled[normalise_moa(name).casefold()] for name in names})) for names in moas
    ]
