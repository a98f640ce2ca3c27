"""Gene symbols converted to dates by a spreadsheet: `1-Mar` was MARCH1, or MARC1.

Excel and others turn symbols such as MARCH1, SEPT2 and DEC1 into dates, saved as `1-Mar`, `Mar-01`,
`2-Sep` or `2023-03-01` (Ziemann 2016, Genome Biology 17:177).
"""

from __future__ import annotations

import re

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "|".join((*_MONTHS, "sept", "march", "april", "june", "july"))
_DATES = (
    re.compile(rf"(?P<day>[0-9]{{1,2}})[-/. ](?P<month>{_MONTH})(?:[-/. ][0-9]{{2,4}})?"),
    re.compile(rf"(?P<month>{_MONTH})[-/. ](?P<day>[0-9]{{1,2}})(?:[-/. ][0-9]{{4}})?"),
    re.compile(r"[0-9]{4}-(?P<number>[0-9]{2})-(?P<day>[0-9]{2})(?:[ t]00:00(?::00(?:\.0+)?)?)?"),
)
# Other stems of these symbols, previous and current.
_SPELLINGS = {
    "mar": ("MARCH", "MARCHF", "MARC", "MTARC"),
    "sep": ("SEPT", "SEPTIN"),
    "dec": ("DELEC",),
}
# Dates of two genes: MARCH1 and MARC1, MARCH2 and MARC2.
_TWO_GENES = {("mar", 1), ("mar", 2)}


def read_date(name: str) -> tuple[str, int] | None:
    """Month (three letters) and day of a name that is a date; None for other names."""
    text = name.strip().lower()
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        parts = match.groupdict()
        day = int(parts["day"])
        if "number" in parts:
            number = int(parts["number"])
            month = _MONTHS[number - 1] if 1 <= number <= len(_MONTHS) else ""
        else:
            month = parts["month"][:3]
        return (month, day) if month and 1 <= day <= 31 else None
    return None


def gene_of_date(name: str, identifiers: GeneIdentifiers) -> str | None:
    """Entrez id of the one gene whose symbol may have become this date; None if not unique.

    Args:
      name: a gene's name as a file has it.
      identifiers: names of genes.
    """
    date = read_date(name)
    if date is None or date in _TWO_GENES:
        return None
    month, day = date
    names = [f"{stem}{day}" for stem in (month.upper(), *_SPELLINGS.get(month, ()))]
    found = [identifiers.resolve(symbol) for symbol in names]
    genes = {gene for resolution in found for gene in resolution.candidates}
    return genes.pop() if len(genes) == 1 else None
