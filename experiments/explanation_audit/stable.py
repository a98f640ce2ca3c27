"""Agreement of explanations between models, replicates and cell lines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.explanation_audit.faithful import integrated
from experiments.explanation_audit.folds import ScoredSignatures, compound_means
from moa_jax.evaluation.bootstrap import interval, resample_counts
from moa_jax.explanation.audit.stability import Agreement, agreement_of_pairs

TOP = 50


def pairs_within(scored: ScoredSignatures, kind: str) -> tuple[list[tuple[int, int]], list[str]]:
    """Pairs of signatures of one compound: of one cell line, or the first of each of two."""
    table = scored.examples.table
    lines = table["cell_line"].astype(str).to_numpy()
    rows_of: dict[str, dict[str, list[int]]] = {}
    for row, (group, line) in enumerate(zip(scored.examples.groups, lines, strict=True)):
        rows_of.setdefault(group, {}).setdefault(line, []).append(row)
    pairs, groups = [], []
    for group, of_lines in sorted(rows_of.items()):
        sets = list(of_lines.values())
        if kind == "cell lines":
            sets = [[rows[0] for rows in sets]]
        own = [pair for rows in sets for pair in itertools.combinations(rows, 2)]
        pairs += own
        groups += [group] * len(own)
    return pairs, groups


def agreement_row(
    what: str, of: str, agreement: Agreement, groups: Sequence[str]
) -> dict[str, Any]:
    """Means over compounds with 95 % intervals."""
    row: dict[str, Any] = {"between": what, "of": of, "pairs": len(groups)}
    row["compounds"] = len(set(groups))
    for name in ("jaccard", "spearman"):
        values = compound_means(getattr(agreement, name), groups)
        counts = resample_counts(len(values), num_resamples=2000, seed=0)
        low, high = interval((counts @ values / len(values))[1:])
        row[f"top-{TOP} Jaccard" if name == "jaccard" else "Spearman"] = (
            f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"
        )
    return row


def within_compounds(
    folds: Sequence[ScoredSignatures], values: Sequence[Float[np.ndarray, "example 1 gene"]]
) -> list[dict[str, Any]]:
    """Replicates and cell lines, for the explanation and for |z|."""
    rows = []
    for kind in ("replicates in a cell line", "cell lines"):
        parts: dict[str, list[Agreement]] = {"explanation": [], "signed z": [], "absolute z": []}
        groups: list[str] = []
        for scored, own in zip(folds, values, strict=True):
            pairs, of_fold = pairs_within(scored, kind)
            if not pairs:
                continue
            groups += of_fold
            first, second = np.array(pairs).T
            change = scored.examples.expression
            for name, compared, by_size in (
                ("explanation", own[:, 0], False),
                ("signed z", change, False),
                ("absolute z", change, True),
            ):
                parts[name].append(
                    agreement_of_pairs(compared[first], compared[second], k=TOP, by_size=by_size)
                )
        if groups:
            rows += [agreement_row(kind, name, _joined(own), groups) for name, own in parts.items()]
    return rows


def between_folds(folds: Sequence[ScoredSignatures], count: int, seed: int) -> list[dict[str, Any]]:
    """The same signatures explained with the models of all folds.

    One row for pairs of models of which one was trained on the compound, and one for pairs of which
    both were.
    """
    parts: dict[str, list[tuple[Agreement, Sequence[str]]]] = {}
    for place, fold in enumerate(folds):
        scored = fold.some_of_each(count, seed)
        found = [integrated(scored.with_model(other), num_steps=16).values[:, 0] for other in folds]
        for one, other in itertools.combinations(range(len(folds)), 2):
            kind = (
                "models of two folds, one of them trained on the compound"
                if place in (one, other)
                else "models of two folds, both trained on the compound"
            )
            agreement = agreement_of_pairs(found[one], found[other], k=TOP)
            parts.setdefault(kind, []).append((agreement, scored.examples.groups))
    return [_row_of_parts(kind, own) for kind, own in sorted(parts.items())]


def between_splits(
    folds: Sequence[ScoredSignatures], others: Sequence[ScoredSignatures], count: int, seed: int
) -> list[dict[str, Any]]:
    """The same signatures explained with models of two split seeds, neither trained on them."""
    parts = []
    for other, fold in itertools.product(others, folds):
        chosen = other.some_of_each(count, seed)
        common = set(fold.examples.groups)
        rows = np.array(
            [row for row, group in enumerate(chosen.examples.groups) if group in common], int
        )
        if len(rows):
            scored = chosen.take(rows)
            found = [
                integrated(one, num_steps=16).values[:, 0]
                for one in (scored, scored.with_model(fold))
            ]
            parts.append((agreement_of_pairs(*found, k=TOP), scored.examples.groups))
    if not parts:
        return []
    return [_row_of_parts("models of two split seeds, neither trained on the compound", parts)]


def _row_of_parts(what: str, parts: Sequence[tuple[Agreement, Sequence[str]]]) -> dict[str, Any]:
    groups = [group for _, of_part in parts for group in of_part]
    return agreement_row(what, "explanation", _joined([own for own, _ in parts]), groups)


def _joined(parts: Sequence[Agreement]) -> Agreement:
    return Agreement(
        np.concatenate([part.jaccard for part in parts]),
        np.concatenate([part.spearman for part in parts]),
    )
