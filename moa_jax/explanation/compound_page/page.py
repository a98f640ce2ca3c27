"""The page of one compound: its answer and confidence, the explanation, and its audit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from moa_jax.calibration.broader_classes import MIN_BROADER_PROBABILITY
from moa_jax.calibration.calibrator import ERROR_RATE, MIN_ACCURACY, NONE_OF_THESE
from moa_jax.evaluation.label_audit import DOUBTED
from moa_jax.explanation.audit.checks import RULES, overall
from moa_jax.explanation.audit.deletion import Curves
from moa_jax.explanation.compound_page.described_section import described_section
from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.explanation.compound_page.protein_section import proteins_section
from moa_jax.explanation.compound_page.sections import (
    contrast_section,
    genes_section,
    molecule_section,
    network_section,
    pathways_section,
    reasons_section,
    signatures_section,
    some,
)
from moa_jax.report.parts import (
    Estimate,
    LineChart,
    Link,
    Links,
    Note,
    Page,
    Part,
    Section,
    Series,
    Table,
    Verdict,
    Verdicts,
)

# Mechanisms that a page shows; the tables have all.
NUM_MOAS = 8
_LIGHT_WORDS = {"green": "reliable", "amber": "partly reliable", "red": "not reliable"}
_RANKINGS = {"ours": "this explanation", "absolute_z": "largest |z| first"}


def compound_page(
    found: CompoundExplanation, pictures: Mapping[str, str], facts: Mapping[str, str], home: str
) -> Page:
    """The page.

    Args:
      found: the explanation.
      pictures: name of a picture (`figures.pictures_of`) -> its SVG.
      facts: facts about the model.
      home: path of the index from the page's folder.
    """
    return Page(
        title=found.name,
        subtitle=headline(found),
        facts={**_facts(found), **facts},
        sections=[
            _answer(found, home),
            *described_section(found),
            _audit(found),
            reasons_section(found, pictures),
            *proteins_section(found),
            *_gene_sections(found, pictures),
            molecule_section(found, pictures),
            *([signatures_section(found)] if found.has_signatures else []),
            Section(
                "How to read this",
                "Everything here describes the model, not biology: a gene that the model uses is "
                "not necessarily a cause. The checks test whether the explanation is faithful to "
                "the model, not whether the model is right.\n\n" + "\n\n".join(RULES),
            ),
        ],
    )


def _gene_sections(found: CompoundExplanation, pictures: Mapping[str, str]) -> Iterator[Section]:
    """Sections about expression; none for an answer from the structure alone."""
    if not found.has_signatures:
        return
    yield genes_section(found, pictures)
    yield from contrast_section(found, pictures)
    yield pathways_section(found)
    yield network_section(found, pictures)


def headline(found: CompoundExplanation) -> str:
    """The answer in one sentence, and whether the compound is in the training data."""
    if found.is_answered:
        alone = "" if found.has_signatures else " from the structure alone"
        answer = f"Answer{alone}: {found.moa}, with confidence {found.confidence:.2f}."
    elif math.isnan(found.confidence):
        answer = f"Cannot tell: {found.reasons}."
    else:
        answer = (
            f"{_no_answer(found)}. The most probable mechanism is {found.moa}, with confidence "
            f"{found.confidence:.2f}."
        )
    if found.broader:
        answer += (
            f" The broader mechanism {found.broader} has a probability of "
            f"{found.broader_probability:.2f}."
        )
    return f"{answer} {found.known_sentence}"


def _no_answer(found: CompoundExplanation) -> str:
    return "None of these" if found.answer == NONE_OF_THESE else "Cannot tell"


def _facts(found: CompoundExplanation) -> dict[str, str]:
    table = found.tables["signatures"]
    ids = sorted(set(map(str, table["pert_id"].dropna()))) or [found.group]
    lines = sorted(set(map(str, table["cell_line"].dropna())))
    facts = {
        "compound id": some(ids, 4),
        "signatures": f"{len(table)} in {some(lines, 6) or 'unknown cell lines'}",
        "answered from": found.answered_from.replace("+", " and ") or "nothing",
    }
    if not found.has_signatures:
        facts["signatures"] = "none used"
    labels = found.tables["moas"].query("is_label")["moa"]
    if len(labels):
        facts["known label, not shown to the model"] = some(sorted(labels), 4)
    return facts


def _answer(found: CompoundExplanation, home: str) -> Section:
    parts: list[Part] = [Links([Link("All compounds", home)])]
    if not found.is_answered:
        parts.append(
            Note(
                f"{_no_answer(found)}: {found.reasons}. The explanation below is for the most "
                "probable mechanism, which may well be wrong.",
                kind="warning",
            )
        )
    if found.notes:
        parts.append(Note(f"Note: {found.notes}."))
    parts += [*_label_notes(found), _moa_table(found)]
    if math.isnan(found.confidence):
        return Section("Answer", "No mechanism can be ruled out, and none is likely.", parts)
    in_set = list(found.tables["moas"].query("in_set")["moa"])
    size = (
        "The label set is empty: no mechanism fits as well as the true one usually does."
        if not in_set
        else f"{len(in_set)} mechanisms cannot be ruled out: {some(in_set, 8)}."
    )
    none = (
        f"With a probability of {found.none_of_these:.2f}, the mechanism is not among those that "
        "the model was trained on."
    )
    text = f"{size} {none} {_threshold(found)}"
    if found.broader:
        text += (
            " The broader mechanism in the title is the narrowest class of mechanisms that "
            f"contains {found.moa} and has a probability of {MIN_BROADER_PROBABILITY:g} or more."
        )
    return Section("Answer", text, parts)


def _threshold(found: CompoundExplanation) -> str:
    """The confidence threshold, and the accuracy and coverage above it."""
    calibrator = found.calibrator
    if math.isinf(calibrator.threshold):
        return (
            f"On {calibrator.num_compounds} held-out compounds no confidence threshold gave "
            f"{MIN_ACCURACY:.0%} accuracy, so this model gives no answers."
        )
    return (
        f"Answers are given at a confidence of {calibrator.threshold:.2f} or more: on "
        f"{calibrator.num_compounds} held-out compounds, the accuracy is {calibrator.accuracy:.0%} "
        f"at a coverage of {calibrator.coverage:.0%}."
    )


def _moa_table(found: CompoundExplanation) -> Table:
    """The most probable mechanisms, with the labels if there are any."""
    moas = found.tables["moas"]
    shown = moas.head(NUM_MOAS)
    rows = [
        (
            row.moa,
            Estimate(row.probability),
            row.basis or "no training compound",
            row.p_value,
            bool(row.in_set),
            bool(row.is_label),
        )
        for row in shown.itertuples()
    ]
    columns = ("mechanism", "probability", "basis", "p-value", "in the label set", "known label")
    width = len(columns) if moas["is_label"].any() else len(columns) - 1
    return Table(
        columns[:width],
        [row[:width] for row in rows],
        caption=(
            f"The {len(shown)} most probable of {len(moas)} mechanisms. Probabilities are "
            "calibrated on held-out compounds. The basis is how many training compounds have the "
            "mechanism. The label set contains the mechanisms that cannot "
            f"be ruled out; it misses a true one for {ERROR_RATE:.0%} of held-out compounds."
        ),
    )


def _label_notes(found: CompoundExplanation) -> Iterator[Note]:
    """Labels that both the model and the evidence contradict."""
    table = found.tables["labels"]
    for row in table[table["evidence_agrees"].astype(bool)].itertuples():
        if row.kind == DOUBTED:
            doubt = (
                f"The label {row.moa} may be wrong: the model gives it a probability of "
                f"{row.prob:.2f} and prefers {row.instead}."
            )
        else:
            doubt = (
                f"A label may be missing: the model gives {row.moa} a probability of "
                f"{row.prob:.2f}, but the compound is not labelled with it."
            )
        carry = "carries" if row.num_carrying == 1 else "carry"
        instead = f", {row.num_carrying_answer} {row.instead}" if row.kind == DOUBTED else ""
        yield Note(
            f"{doubt} Of the {row.num_asked} most similar training compounds, {row.num_carrying} "
            f"{carry} {row.moa}{instead}. An expert should check; the model may also be wrong.",
            kind="warning",
        )


def _audit(found: CompoundExplanation) -> Section:
    light = overall(found.checks)
    worst = _LIGHT_WORDS.get(light, "not known")
    verdicts = [Verdict(check.light, check.name, check.word, check.text) for check in found.checks]
    text = (
        "Is the explanation by genes reliable? "
        f"Overall: {light} ({worst}), the worst of the checks that could be run."
    )
    not_run = [check.name for check in found.checks if check.light == "grey"]
    if not_run:
        text += f" Not known: {' '.join(not_run)}"
    charts = [_deletion_chart(name, dict(of_one)) for name, of_one in sorted(found.curves.items())]
    return Section("Audit", text, [Verdicts(verdicts), *charts])


def _deletion_chart(replacement: str, curves: Mapping[str, Curves]) -> LineChart:
    random = curves["random"].deletion.mean(axis=0)
    series = [
        Series(label, curves[name].fractions, curves[name].deletion[:, 0].mean(axis=0))
        for name, label in _RANKINGS.items()
    ]
    series.append(
        Series(
            "random orders",
            curves["random"].fractions,
            random.mean(axis=0),
            low=random.min(axis=0),
            high=random.max(axis=0),
        )
    )
    return LineChart(
        series,
        "share of genes removed",
        "score (logit)",
        caption=f"Score while genes are replaced by {replacement}; a faster fall is better. The "
        "band shows the range over the random orders.",
        x_range=(0, 1),
    )
