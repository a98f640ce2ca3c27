"""The page of case studies: text, tables and figures."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.case_studies.cases import ERROR_RATE, Case
from moa_jax.explanation.attribution.modality_shares import MODALITIES
from moa_jax.explanation.compound_page.figures import network_picture
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.report.bars import bars
from moa_jax.report.molecule_drawing import molecule_png
from moa_jax.report.shapes import to_svg
from moa_jax.schemas import KnowledgeGraph

NUM_DRAWN = 15
# First genes of the explanation.
NUM_NAMED = 50
WEAKEST = "The mechanisms with the lowest average precision of all, by view:"
CONTROL_NAMES = {"absolute_z": "|z|", "random": "random order"}
REPLACED = {"no change": "no change", "cell line's mean": "the cell line's mean"}


def file_stem(moa: str) -> str:
    """Name of an MoA in file names."""
    return moa.lower().replace(" ", "_")


def draw_case(case: Case, graph: KnowledgeGraph, folder: pathlib.Path) -> None:
    """Writes the figures of a case."""
    top = case.genes.head(NUM_DRAWN)
    names = [
        f"{symbol} {'up' if z > 0 else 'down'} {abs(z):.1f}"
        for symbol, z in zip(top["feature"], top["mean_z"], strict=True)
    ]
    picture = bars(
        names,
        top["mean"].to_numpy(float),
        low=top["low"].to_numpy(float),
        high=top["high"].to_numpy(float),
        axis_name="contribution to the score (logit), mean over compounds, 95 % interval",
        title=f"genes behind {case.moa}",
    )
    network = network_picture(
        graph, case.node_scores, case.targets, title=f"proteins behind {case.moa}"
    )
    stem = file_stem(case.moa)
    for name, drawn in (("genes", picture), ("network", network)):
        (folder / f"{stem}_{name}.svg").write_text(to_svg(drawn), encoding="utf-8")
    drawing = molecule_png(case.smiles, case.atom_scores, scale=1)
    (folder / f"{stem}_atoms.png").write_bytes(drawing)


def overview(cases: Sequence[Case], in_open: pd.Series) -> list[dict[str, Any]]:
    """One row per case.

    Args:
      cases: the cases.
      in_open: mechanism -> average precision among all mechanisms and compounds.
    """
    rows = []
    for case in cases:
        found = case.compounds
        rows.append(
            {
                "mechanism": case.moa,
                "held-out compounds": len(found),
                "average precision": case.average_precision["fusion"],
                "in the open vocabulary": float(in_open[case.moa]),
                "by expression alone": case.average_precision["expression"],
                "by structure alone": case.average_precision["structure"],
                "named first": f"{int((found['rank'] == 1).sum())} of {len(found)}",
                "in the conformal set": f"{int(found['in_set'].sum())} of {len(found)}",
                "its mean size": float(found["set_size"].mean()),
                "beats size of change": _verdict(case, "absolute_z"),
                "beats random order": _verdict(case, "random"),
            }
        )
    return rows


def _verdict(case: Case, control: str) -> str:
    """Whether the explanation beats a control with both replacements."""
    own = case.deletion[case.deletion["control"] == control]
    if (own["low"] > 0).all():
        return "yes"
    if (own["high"] < 0).any():
        return "no, worse"
    return "no" if (own["estimate"] <= 0).any() else "not shown"


def expected_rows(case: Case, expected: pd.DataFrame) -> list[dict[str, Any]]:
    """Genes that are known to change, with their z-score and contribution."""
    genes = case.genes.reset_index(drop=True)
    place = {symbol: row for row, symbol in enumerate(genes["feature"])}
    rows = []
    for known in expected[expected["moa"] == case.moa].itertuples():
        if known.symbol not in place:
            rows.append(
                {"gene": known.symbol, "expected": known.direction, "found": "not measured"}
            )
            continue
        row = place[known.symbol]
        z, mean = float(genes["mean_z"][row]), float(genes["mean"][row])
        as_expected = (z > 0) == (known.direction == "up")
        rows.append(
            {
                "gene": known.symbol,
                "expected": known.direction,
                "mean z": f"{z:+.2f}",
                "moved so": "yes" if as_expected else "no",
                "contribution": f"{mean:+.3f}",
                "rank by size": f"{row + 1} of {len(genes)}",
                "used": "yes" if as_expected and mean > 0 and row < NUM_NAMED else "no",
                "why": known.because,
                "source": known.source,
            }
        )
    return rows


def section(case: Case, expected: pd.DataFrame, reading: str) -> str:
    """The text of one case."""
    stem = file_stem(case.moa)
    lines = [f"## {case.moa}", "", reading, "", *_answers(case), ""]
    lines += ["**What it used.** " + _used(case), ""]
    lines += [
        f"| genes | proteins of STRING | atoms of {case.example} |",
        "| --- | --- | --- |",
        f"| ![genes](figures/{stem}_genes.svg) | ![network](figures/{stem}_network.svg) "
        f"| ![atoms](figures/{stem}_atoms.png) |",
        "",
    ]
    rows = expected_rows(case, expected)
    if rows:
        lines += ["**Known pharmacology.**", "", markdown_table(rows), ""]
    else:
        lines += [
            "**Known pharmacology.** We know of no measured gene whose change marks this class in "
            "unstimulated cancer cell lines.",
            "",
        ]
    return "\n".join([*lines, "**Audit.** " + _audit(case), ""])


def _answers(case: Case) -> list[str]:
    found = case.compounds
    listed = [
        f"{row.compound} ({row.rank})"
        for row in found.sort_values("rank", kind="stable").itertuples()
    ]
    wrong = found.loc[~found["is_right"], "first_answer"].value_counts()
    instead = ", ".join(f"{name} ({count})" for name, count in wrong.head(3).items())
    return [
        f"**Answers.** Average precision {case.average_precision['fusion']:.2f} over all held-out "
        f"compounds; {case.average_precision['expression']:.2f} by expression alone and "
        f"{case.average_precision['structure']:.2f} by structure alone. "
        f"Of {len(found)} compounds with this mechanism {int((found['rank'] == 1).sum())} have it "
        f"as top prediction; the conformal set (error rate {ERROR_RATE:.0%}) contains it for "
        f"{int(found['in_set'].sum())}, mean set size {found['set_size'].mean():.1f}. "
        f"Rank of the mechanism: {', '.join(listed)}."
        + (f" Wrong top predictions: {instead}." if instead else "")
    ]


def _used(case: Case) -> str:
    shares = ", ".join(
        f"{name} {value:+.2f}" for name, value in zip(MODALITIES, case.shares, strict=True)
    )
    text = (
        f"Modalities (Shapley values of the logit, mean over compounds): {shares}. "
        f"Genes: see the picture, {case.num_signatures} signatures; the number is the mean z-score."
    )
    named = "; ".join(
        f"{row.set_name} (p {row.p_value:.1g}, q {row.q_value:.1g})"
        for row in case.pathways.rename(columns={"name": "set_name"}).itertuples()
    )
    enriched = int((case.pathways["q_value"] < 0.05).sum())
    text += (
        f" Gene sets: {'some are' if enriched else 'none is'} enriched at a false discovery rate "
        f"of 5 %; the first are {named}."
    )
    pieces = case.pieces[case.pieces["sum"] > 0].drop_duplicates("atoms").head(3)
    named = ", ".join(f"{row.kind} `{row.name_of}`" for row in _named(pieces))
    text += f" Substructures of {case.example} that contribute most: {named or 'none'}."
    evidence = "; ".join(
        f"{row.compound} ({row.moas}; by {row.expert.removesuffix('_kernel')}, {row.times} times)"
        for row in case.evidence.head(5).itertuples()
    )
    return f"{text} Training compounds behind the predictions: {evidence}."


def _named(pieces: pd.DataFrame) -> Any:
    return pieces.rename(columns={"name": "name_of"}).itertuples()


def _audit(case: Case) -> str:
    rows = [
        {
            "genes replaced by": REPLACED[row.replacement],
            "against": CONTROL_NAMES[row.control],
            "area under the deletion curve is smaller by": f"{row.estimate:.2f}",
            "95 % interval": f"{row.low:.2f} to {row.high:.2f}",
        }
        for row in case.deletion.itertuples()
    ]
    few = " With so few compounds the intervals are rough." if len(case.compounds) < 8 else ""
    return f"Median completeness gap {case.gap:.0e}.{few}\n\n{markdown_table(rows)}"


def weakest(average_precisions: pd.DataFrame, count: int = 8) -> list[dict[str, Any]]:
    """The mechanisms with the lowest average precision."""
    order = average_precisions["fusion"].sort_values(kind="stable").index[:count]
    return [{"mechanism": moa, **average_precisions.loc[moa].to_dict()} for moa in order]


def write_page(
    path: pathlib.Path,
    cases: Sequence[Case],
    expected: pd.DataFrame,
    readings: dict[str, str],
    *,
    introduction: str,
    average_precisions: pd.DataFrame,
    in_open: pd.Series,
) -> None:
    """Writes the whole page."""
    rows = overview(cases, in_open)
    found = [row for case in cases for row in expected_rows(case, expected)]
    measured = [row for row in found if "used" in row]
    moved = sum(row["moved so"] == "yes" for row in measured)
    used = sum(row["used"] == "yes" for row in measured)
    summary = (
        f"Of {len(measured)} genes that the literature expects to move, {moved} move in the "
        f"expected direction in the mean over the held-out compounds, and {used} are also among "
        f"the first {NUM_NAMED} genes of the explanation with a contribution for the mechanism."
    )
    worst = markdown_table(weakest(average_precisions))
    text = [introduction, "", markdown_table(rows), "", summary, "", WEAKEST, "", worst, ""]
    text += [section(case, expected, readings.get(case.moa, "")) for case in cases]
    path.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")


def gene_tables(cases: Sequence[Case]) -> pd.DataFrame:
    """The first genes of every case."""
    parts = [case.genes.head(NUM_NAMED).assign(moa=case.moa) for case in cases]
    table = pd.concat(parts, ignore_index=True)
    return table[["moa", *(name for name in table if name != "moa")]].replace({np.nan: None})
