"""Sections of a compound's page: evidence, genes, pathways, network, molecule, signatures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from moa_jax.explanation.attribution.occlusion import MAX_RADIUS
from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.models.experts import EXPERTS, PROTEIN_NETWORK
from moa_jax.report.parts import Estimate, Illustration, Note, Part, Section, Table, Text

# Rows of the tables that a page shows; the files have all.
NUM_EVIDENCE, NUM_NODES, NUM_PIECES, NUM_SETS, NUM_SIGNATURES = 12, 12, 8, 12, 40
_RANKINGS = {"explanation": "this explanation", "absolute z": "|z|"}


def reasons_section(found: CompoundExplanation, pictures: Mapping[str, str]) -> Section:
    """Modalities and training compounds."""
    evidence = found.tables["evidence"]
    parts: list[Part] = [
        Illustration(
            pictures["modalities"],
            f"Contribution of each modality to the score of {found.moa}: exact Shapley values.",
        ),
        _experts_table(found),
    ]
    if len(evidence):
        parts.append(Text(_by_label(evidence, found.moa)))
        top = evidence.head(NUM_EVIDENCE)
        parts.append(_evidence_table(top, f"Training compounds that support {found.moa} most."))
        against = evidence[evidence["from_similarity"] < 0].tail(NUM_EVIDENCE // 3).iloc[::-1]
        if len(against):
            parts.append(_evidence_table(against, "Training compounds that oppose it most."))
    else:
        parts.append(Text("This model does not compare compounds with training compounds."))
    return Section(
        "Evidence",
        "The model compares the compound with training compounds. Contributions are exact: how "
        "much the similarity to each compound adds to the score, by its mechanisms or through the "
        "proteins that it acts on. Similar training compounds share "
        "their weight, so a single one may count against its own mechanism. What a network adds to "
        "the score, if the model has one, is a line among the experts. A compound without "
        "a label may have a target-propagated label, or a pseudo-label from its structure.",
        parts,
    )


def _experts_table(found: CompoundExplanation) -> Table:
    """The parts of the score by expert, and their sum."""
    table = found.tables["experts"]
    rows = [
        (EXPERTS[row.expert].title, Estimate(row.contribution), float(row.contrast))
        for row in table.itertuples()
    ]
    whole = table["contribution"].sum(), table["contrast"].sum(skipna=False)
    rows.append(("together", Estimate(whole[0]), float(whole[1])))
    return Table(
        ("expert", "contribution", "contribution to contrast"),
        rows,
        caption=(
            f"The score of {found.moa} is the sum of what the model's experts say. The contrast is "
            "its difference from the score of the runner-up."
        ),
    )


def _by_label(evidence: pd.DataFrame, moa: str) -> str:
    carries = np.array([moa in moas for moas in evidence["moas"]], bool)
    added = evidence["from_similarity"].to_numpy(float)
    return (
        f"Together, the {evidence['group'][carries].nunique()} training compounds with {moa} add "
        f"{added[carries].sum():.2f}, all others {added[~carries].sum():.2f}."
    )


def _evidence_table(table: pd.DataFrame, caption: str) -> Table:
    rows = [
        (
            row.compound,
            some(row.moas, 3) or "no known mechanism",
            EXPERTS[row.expert].title,
            float(row.similarity),
            Estimate(row.from_similarity),
            float(row.from_proteins),
            float(row.contrast),
        )
        for row in table.itertuples()
    ]
    columns = (
        "compound",
        "mechanisms",
        "kernel",
        "similarity",
        "contribution",
        "through proteins",
        "contribution to contrast",
    )
    if not table["from_proteins"].any():
        rows = [(*row[:-2], row[-1]) for row in rows]
        columns = (*columns[:-2], columns[-1])
    return Table(columns, rows, caption=caption)


def genes_section(found: CompoundExplanation, pictures: Mapping[str, str]) -> Section:
    """Genes and their contributions."""
    score = "the score"
    if (found.tables["experts"]["expert"] == PROTEIN_NETWORK).any():
        score += " without what the protein network adds"
    return Section(
        "Genes",
        "Integrated gradients from a signature in which nothing changed. A contribution is the "
        f"part of {score} that the gene accounts for: the mean over the compound's signatures, "
        "with the range from the lowest to the highest.",
        [
            Illustration(
                pictures["genes"], f"Genes with the largest contributions to {found.moa}."
            ),
            _gene_rows(found.tables["genes"].head(20)),
        ],
    )


def _gene_rows(table: pd.DataFrame) -> Table:
    rows = [
        (row.symbol, Estimate(row.contribution), float(row.mean_z), float(row.contrast))
        for row in table.itertuples()
    ]
    return Table(("gene", "contribution", "mean z-score", "contribution to contrast"), rows)


def contrast_section(found: CompoundExplanation, pictures: Mapping[str, str]) -> Iterator[Section]:
    """Why this mechanism and not the runner-up; nothing if there is none."""
    if found.runner_up is None:
        return
    modalities = found.tables["modalities"]
    shares = ", ".join(f"{row.modality} {_signed(row.contrast)}" for row in modalities.itertuples())
    probs = found.tables["moas"].set_index("moa")["probability"]
    yield Section(
        f"Why not {found.runner_up}?",
        f"{found.runner_up} is the runner-up. Its probability is {probs[found.runner_up]:.2f}, "
        f"compared with {probs[found.moa]:.2f}. The difference of the two scores is explained like "
        f"a single score; contributions to both cancel out. By modality: {shares}.",
        [
            Illustration(
                pictures["contrast"], f"Genes that distinguish {found.moa} from {found.runner_up}."
            )
        ],
    )


def pathways_section(found: CompoundExplanation) -> Section:
    """Gene sets that are enriched in the contributions."""
    table = found.tables["pathways"]
    shown = table[table["is_distinct"].astype(bool)].head(NUM_SETS)
    text = (
        "Do the contributions of a gene set's members rank higher or lower than those of the "
        f"other measured genes? {len(table)} sets of GO, Reactome and Hallmark were tested, "
        "allowing for correlated genes within a set; q is the false discovery rate over all sets."
    )
    if not len(shown):
        best = table.iloc[0] if len(table) else None
        more = "" if best is None else f" The best is {best['name']} (q = {best['q_value']:.2f})."
        return Section(
            "Pathways", text, [Note(f"No set is enriched at a false discovery rate of 5 %.{more}")]
        )
    rows = [
        (
            row.name,
            row.collection,
            int(row.num_genes),
            "for" if row.statistic > 0 else "against",
            float(row.q_value),
            row.telling_genes.replace("|", ", "),
        )
        for row in shown.itertuples(index=False)
    ]
    columns = ("set", "collection", "genes", "direction", "q", "leading genes")
    caption = "Sets that remain enriched without the genes of the sets above them."
    return Section("Pathways", text, [Table(columns, rows, caption=caption)])


def network_section(found: CompoundExplanation, pictures: Mapping[str, str]) -> Section:
    """Node scores, and the distance of the first genes from the known targets."""
    how = (
        "Scores are the contributions of the node activities that the model reads."
        if found.nodes_are_read
        else "This model does not answer from the activity of these nodes: the contributions of "
        "measured genes were propagated over the graph, for orientation only."
    )
    parts: list[Part] = [
        Illustration(pictures["network"], "The proteins with the largest scores in STRING.")
    ]
    proximity = found.tables["proximity"]
    if len(proximity):
        for row in proximity.itertuples():
            near = "nearer" if row.p_value <= 0.05 else "no nearer"
            parts.append(
                Text(
                    f"The {row.num_named} first genes by {_RANKINGS[row.ranking]} are {near} to "
                    f"the known targets than genes of the same degree: {row.distance:.2f} and "
                    f"{row.expected:.2f} steps (p = {row.p_value:.3f})."
                )
            )
    else:
        parts.append(Text("No known target of this compound is in the graph."))
    nodes = found.tables["nodes"]
    terms = nodes[nodes["kind"] == "term"].head(NUM_NODES)
    rows = [(row.id, row.name, Estimate(row.score)) for row in terms.itertuples(index=False)]
    parts.append(
        Table(("term", "name", "score"), rows, caption="GO terms with the highest scores.")
    )
    known = f" Known targets: {some(found.targets, 12)}." if found.targets else ""
    return Section("Network", how + known, parts)


def molecule_section(found: CompoundExplanation, pictures: Mapping[str, str]) -> Section:
    """Atoms and substructures."""
    if found.atom_scores is None:
        return Section("Molecule", "", [Note("The structure of this compound is not known.")])
    table = found.tables["substructures"].head(NUM_PIECES)
    rows = [
        (row.name, row.kind, int(row.num_atoms), Estimate(row.sum), float(row.q_value))
        for row in table.itertuples(index=False)
    ]
    caption = (
        "Substructures with the largest sums. q compares each with random connected parts of the "
        "same size in this molecule."
    )
    return Section(
        "Molecule",
        f"Fall of the score of {found.moa} without the substructures that contain an atom or its "
        f"neighbourhood, mean over radii of 0 to {MAX_RADIUS} bonds.",
        [
            Illustration(pictures["molecule"], f"Structure: {found.smiles}"),
            Table(("substructure", "kind", "atoms", "sum", "q"), rows, caption=caption),
        ],
    )


def signatures_section(found: CompoundExplanation) -> Section:
    """The prediction for each signature by itself."""
    table = found.tables["signatures"]
    rows = [
        (
            str(row.sig_id),
            "" if pd.isna(row.cell_line) else str(row.cell_line),
            float(row.dose_um),
            float(row.time_h),
            float(row.weight),
            row.top_moa,
            Estimate(row.probability),
        )
        for row in table.head(NUM_SIGNATURES).itertuples()
    ]
    columns = ("signature", "cell line", "dose (µM)", "time (h)", "weight")
    columns += ("most probable", found.moa)
    agree = int((table["top_moa"] == found.moa).sum())
    return Section(
        "Signatures",
        f"{agree} of {len(table)} signatures alone rank {found.moa} first.",
        [
            Table(
                columns,
                rows,
                caption="Uncalibrated probabilities, and the weight of each signature in the "
                "answer: strong doses of a series have more weight than weak ones.",
            )
        ],
    )


def some(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _signed(value: float) -> str:
    return "unchanged" if np.isclose(value, 0, atol=0.005) else f"{value:+.2f}"
