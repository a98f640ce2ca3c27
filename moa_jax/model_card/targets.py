"""The card's section on targets."""

from __future__ import annotations

import pandas as pd

from moa_jax.evaluation.target_metrics import MIN_COMPOUNDS
from moa_jax.predictions.result_tables import file_name, markdown_table
from moa_jax.predictions.target_results import PER_TARGET_FILE, TargetResults

# Proteins named as those that are ranked best and worst.
_NUM_NAMED = 5


def target_sections(targets: TargetResults | None) -> list[str]:
    """The section, in a list; empty for a model that predicts no targets."""
    if targets is None:
        return []
    parts = [
        f"## Targets of the test part\n\n{len(targets.groups)} compounds with a known target, ranked "
        f"among {len(targets.symbols):,} proteins with a known ligand in the training or test part: "
        "mean average precision of a compound's targets, by the training compounds of its rarest "
        "target. `frequency` ranks proteins by their number of training compounds.",
        _table(targets.precision().rename(columns={"rarest_target": "rarest target"})),
        _per_protein(targets),
        "Stated probability and observed share of known targets, by pairs of compound and protein. "
        "Unknown targets count as none, so that the true share is higher. Proteins with a ligand in "
        "training:",
        _table(targets.reliability(with_ligands=True)),
    ]
    if not (targets.num_ligands > 0).all():
        parts += [
            "Proteins without, by the graph alone, of those that a test compound acts on:",
            _table(targets.reliability(with_ligands=False)),
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
    return (
        f"Mean average precision over the {len(own)} proteins with {MIN_COMPOUNDS} test compounds or "
        f"more: {own['auprc'].mean():.3f} (at random {own['prevalence'].mean():.3f}); best "
        f"{', '.join(named[:_NUM_NAMED])}{'; worst ' if worst else ''}{', '.join(worst)} "
        f"(`{file_name(PER_TARGET_FILE, targets.release)}`)."
    )


def _table(table: pd.DataFrame) -> str:
    return markdown_table(table.to_dict(orient="records"))
