"""Harmonised spelling of mechanisms of action.

Only differences in case and blanks are removed (`HDAC inhibitor`, `hdac inhibitor`). Synonyms
(`EGFR inhibitor`, `epidermal growth factor receptor inhibitor`) stay different: merging them is
left to the curators of the labels.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence


def normalise_moa(name: str) -> str:
    """`name` without outer blanks and with single blanks inside."""
    return " ".join(name.split())


def dominant_spellings(moas: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The most frequent spelling by case-folded name (the first in character order if equal).

    Args:
      moas: MoAs of each compound.
    """
    counts = collections.Counter(normalise_moa(name) for names in moas for name in names)
    spellings: dict[str, str] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        spellings.setdefault(name.casefold(), name)
    return spellings


def harmonise_moas(
    moas: Sequence[tuple[str, ...]], spellings: Mapping[str, str] | None = None
) -> list[tuple[str, ...]]:
    """Gives every MoA one spelling.

    Args:
      moas: MoAs of each compound.
      spellings: preferred spellings by case-folded name, such as another table's
        `dominant_spellings`; other names take the dominant spelling of `moas`.

    Returns:
      Sorted MoAs of each compound, each once.
    """
    spelled = dominant_spellings(moas) | dict(spellings or {})
    return [
        tuple(sorted({spelled[normalise_moa(name).casefold()] for name in names})) for names in moas
    ]
