"""The card's section on targets."""

from __future__ import annotations

import pandas as pd

from moa_jax.evaluation.target_metrics import MIN_COMPOUNDS
from moa_jax.predictions.result_tables import file_name, markdown_table
from moa_jax.predictions.target_results import FREQUENCY, PER_TARGET_FILE, TargetResults

# Proteins named as those that are ranked best and worst.
_NUM_NAMED = 5
_ROUNDED = ("low", "high", "stated", "observed")


def target_sections(targets: TargetResults | None) -> list[str]:
    """The section, in a list; empty for a model that predicts no targets."""
    if targets is None:
        return []
    parts = [
        "## Targets of the test part",
        f"{len(targets.groups)} compounds with a known target, ranked among the "
        f"{len(targets.ranked):,} proteins with a known ligand in the training or test part: mean "
        "average precision of a compound's targets, by the training compounds of its rarest one. "
        f"`{FREQUENCY}` ranks proteins by their number of training compounds.",
        _table(targets.precision().rename(columns={"rarest_target": "rarest target"})),
        _per_protein(targets),
        "Stated probability and observed share of known targets among pairs of a compound and a "
        "protein. Unknown targets count as none, so the true share is higher. Proteins with a "
        "ligand in training:",
        _reliability(targets, with_ligands=True),
        "Proteins without, by the graph alone:",
        _reliability(targets, with_ligands=False),
    ]
    return ["\n\n".join(part for part in parts if part)]


def _per_protein(targets: TargetResults) -> str:
    """One sentence on the proteins with enough test compounds; empty without any."""
    table = targets.per_protein()
    own = table[table["view"] == "fusion"].sort_values("auprc", ascending=False, kind="stable")
    if own.empty:
        return ""
    named = [f"{row.symbol} {row.auprc:.2f}" for row in own.itertuples()]
    worst = named[max(len(named) - _NUM_NAMED, _NUM_NAMED) :]
    ends = f"best {', '.join(named[:_NUM_NAMED])}" + "; worst " * bool(worst) + ", ".join(worst)
    return (
        f"Mean average precision over the {len(own)} proteins with {MIN_COMPOUNDS} test compounds "
        f"or more: {own['auprc'].mean():.3f} (at random {own['prevalence'].mean():.3f}); {ends} "
        f"(`{file_name(PER_TARGET_FILE, targets.release)}`)."
    )


def _reliability(targets: TargetResults, *, with_ligands: bool) -> str:
    """The bins, with two significant digits, because most probabilities are small."""
    table = targets.reliability(with_ligands=with_ligands)
    return _table(table.assign(**{name: table[name].map("{:.2g}".format) for name in _ROUNDED}))


def _table(table: pd.DataFrame) -> str:
    return markdown_table(table.to_dict(orient="records"))
