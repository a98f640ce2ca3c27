"""Writes the text files of a release in the formats of LINCS 2020, STRING 12 and Gene Ontology."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import pathlib
from collections.abc import Iterable, Iterator
from typing import TextIO

import numpy as np
import pandas as pd
from jaxtyping import Int
from rdkit import Chem

from moa_jax.data.simulated.biology import Biology
from moa_jax.data.simulated.drugs import Drug
from moa_jax.data.simulated.ontology import ROOTS, Ontology
from moa_jax.data.simulated.records import MISSING, VEHICLE_ID, PublishedDrug
from moa_jax.data.simulated.settings import SimulationSettings

STRING_LINKS = "9606.protein.links.v12.0.txt.gz"
STRING_INFO = "9606.protein.info.v12.0.txt.gz"
GENE_INFO = "Homo_sapiens.gene_info.gz"
_COMPOUND_COLUMNS = (
    *("pert_id", "cmap_name", "target", "moa"),
    *("canonical_smiles", "inchi_key", "compound_aliases"),
)
_FLAGS = {True: "true", False: "false"}
_DATE = "20260101"
# The first ten bead colours are calibration sets.
_FIRST_BEAD = 11
_ASPECTS = {
    "biological_process": ("P", "involved_in"),
    "molecular_function": ("F", "enables"),
    "cellular_component": ("C", "located_in"),
}
_README = """\
SIMULATED DATA. Nothing in this folder was measured.

A simulated LINCS release in the formats of the public files, with planted mechanisms. {real}
Results on these files mean nothing about the drugs; never put them in a table with real ones.

level3.gctx level4.gctx level5.gctx    expression, robust z per plate, MODZ signatures
instinfo.txt siginfo.txt geneinfo.txt cellinfo.txt compoundinfo.txt    LINCS 2020 column names
Homo_sapiens.gene_info.gz              NCBI Gene: symbols, Entrez ids, aliases
structure_only_compounds.txt           drugs of the same mechanisms that were not tested
barcode_to_gene_map.txt                CMap's map of bead colours to pairs of genes
9606.protein.links/info.v12.0.txt.gz   STRING;  go-basic.obo goa_human.gaf.gz   Gene Ontology
truth/                                 planted effects and deliberate errors
"""
# Mechanism of the settings -> description of what is real.
_REAL = {
    "shared_targets": """\
Drug names,
structures, targets, mechanisms and the targets' Entrez ids are real; every expression value,
cell line, well, interaction and annotation is simulated, and so are all genes named SIMG*.""",
    "network": """\
Drug names,
structures and Entrez ids of genes not named SIMG* are real; everything else is simulated. The
mechanism of each drug is random, and so are its targets: genes of the mechanism's module.""",
}


def write_tsv(path: pathlib.Path, table: pd.DataFrame) -> None:
    """Writes a table as `TsvFile` does."""
    with TsvFile(path) as file:
        file.append(table)


class TsvFile:
    """A tab-separated file to which tables are appended; the first one gives the header.

    Booleans are `true` and `false`, floats have six digits, missing values are -666.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._file = open(path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 closed on exit
        self._has_header = False

    def __enter__(self) -> TsvFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, table: pd.DataFrame) -> None:
        """Appends rows; every table has the columns of the first."""
        flags = table.select_dtypes(bool).columns
        table = table.assign(**{name: table[name].map(_FLAGS) for name in flags})
        table.to_csv(
            self._file,
            sep="\t",
            header=not self._has_header,
            index=False,
            na_rep=MISSING,
            float_format="%.6g",
            lineterminator="\n",
        )
        self._has_header = True


@contextlib.contextmanager
def open_gzip(path: pathlib.Path) -> Iterator[TextIO]:
    """A gzipped text file without name and time, so that equal texts give equal bytes."""
    with (
        open(path, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as file,
    ):
        yield file


def write_readme(folder: pathlib.Path, settings: SimulationSettings) -> None:
    """`README.txt`, which marks the folder as simulated."""
    text = _README.format(real=_REAL[settings.mechanism])
    (folder / "README.txt").write_text(text, encoding="utf-8")


def write_geneinfo(folder: pathlib.Path, biology: Biology) -> None:
    """`geneinfo.txt`: the genes of the matrices, landmarks and inferred."""
    genes = biology.genes.iloc[biology.matrix_rows]
    table = pd.DataFrame(
        {
            "gene_id": genes["gene_id"],
            "gene_symbol": genes["gene_symbol"],
            "ensembl_id": [f"ENSG9{row:010d}" for row in genes.index],
            "gene_title": "simulated " + genes["gene_symbol"],
            "gene_type": "protein-coding",
            "src": "NCBI",
            "feature_space": genes["role"],
        }
    )
    write_tsv(folder / "geneinfo.txt", table)


def write_gene_info(folder: pathlib.Path, biology: Biology) -> None:
    """NCBI's `gene_info`: symbol, Entrez id and aliases of every gene of the network."""
    with open_gzip(folder / GENE_INFO) as file:
        names = ["#tax_id", "GeneID", "Symbol", "LocusTag", "Synonyms", "dbXrefs", "chromosome"]
        names += ["map_location", "description", "type_of_gene"]
        file.write("\t".join(names) + "\n")
        for gene in biology.genes.itertuples(index=False):
            alias = gene.gene_symbol.replace("SIMG", "SIMOLD") if gene.is_synthetic else "-"
            fields = ["9606", gene.gene_id, gene.gene_symbol, "-", alias, "-", "-", "-"]
            fields += [f"simulated {gene.gene_symbol}", "protein-coding"]
            file.write("\t".join(fields) + "\n")


def write_bead_map(
    folder: pathlib.Path, biology: Biology, bead_pairs: Int[np.ndarray, "pair 2"]
) -> None:
    """`barcode_to_gene_map.txt`: the two genes of each bead colour, numbered from 11 as CMap's."""
    gene_ids = biology.genes["gene_id"].to_numpy()[biology.matrix_rows]
    table = pd.DataFrame(
        {
            "barcode_id": np.repeat(np.arange(len(bead_pairs)) + _FIRST_BEAD, 2),
            "gene_id": gene_ids[bead_pairs.ravel()],
            "high_prop": np.tile([1, 0], len(bead_pairs)),
        }
    )
    write_tsv(folder / "barcode_to_gene_map.txt", table)


def write_cellinfo(folder: pathlib.Path, settings: SimulationSettings) -> None:
    """`cellinfo.txt`: one row per cell line."""
    table = pd.DataFrame(
        {
            "cell_iname": settings.cell_lines,
            "cellosaurus_id": MISSING,
            "donor_age": MISSING,
            "donor_sex": MISSING,
            "cell_type": "tumor",
            "cell_lineage": "simulated",
            "primary_disease": "simulated",
            "subtype": MISSING,
            "growth_pattern": "adherent",
            "ccle_name": [f"{name}_SIMULATED" for name in settings.cell_lines],
            "cell_alias": "",
        }
    )
    write_tsv(folder / "cellinfo.txt", table)


def write_compoundinfo(folder: pathlib.Path, published: tuple[PublishedDrug, ...]) -> None:
    """`compoundinfo.txt`: one row per drug, target and mechanism, and one for the vehicle."""
    vehicle = (VEHICLE_ID, VEHICLE_ID, "", "", "CS(C)=O", _inchi_key("CS(C)=O"), "")
    rows = [vehicle, *_compound_rows(published)]
    write_tsv(folder / "compoundinfo.txt", pd.DataFrame(rows, columns=_COMPOUND_COLUMNS))


def write_structure_only_compounds(folder: pathlib.Path, drugs: tuple[Drug, ...]) -> None:
    """`structure_only_compounds.txt`: drugs that were not tested, without errors."""
    rows = _compound_rows(
        PublishedDrug(drug, drug.moas, drug.targets, drug.smiles) for drug in drugs
    )
    table = pd.DataFrame(rows, columns=_COMPOUND_COLUMNS)
    write_tsv(folder / "structure_only_compounds.txt", table)


def _compound_rows(published: Iterable[PublishedDrug]) -> Iterator[tuple[str, ...]]:
    for one in published:
        inchi_key = _inchi_key(one.smiles)
        for target, moa in itertools.product(one.targets or ("",), one.moas or ("",)):
            name = one.drug.name
            yield (one.drug.pert_id, name, target, moa, one.smiles, inchi_key, "")


def _inchi_key(smiles: str) -> str:
    return Chem.MolToInchiKey(Chem.MolFromSmiles(smiles)) if smiles else ""


def write_string(folder: pathlib.Path, biology: Biology) -> None:
    """STRING's links (space separated, both directions) and protein info."""
    protein = biology.genes["protein_id"].to_numpy()
    edges = biology.edges[biology.edges["is_published"]]
    ends = zip(edges["gene_a"], edges["gene_b"], edges["score"], strict=True)
    links = [(protein[a], protein[b], score) for a, b, score in ends]
    links += [(b, a, score) for a, b, score in links]
    with open_gzip(folder / STRING_LINKS) as file:
        file.write("protein1 protein2 combined_score\n")
        file.writelines(f"{a} {b} {score}\n" for a, b, score in sorted(links))
    with open_gzip(folder / STRING_INFO) as file:
        file.write("#string_protein_id\tpreferred_name\tprotein_size\tannotation\n")
        for name, symbol in zip(protein, biology.genes["gene_symbol"], strict=True):
            file.write(f"{name}\t{symbol}\t300\tsimulated protein {symbol}\n")


def write_obo(folder: pathlib.Path, ontology: Ontology) -> None:
    """`go-basic.obo`, with an obsolete term and an alternative id."""
    lines = [
        "format-version: 1.2",
        "data-version: releases/simulated",
        "ontology: go",
        "default-namespace: gene_ontology",
        "remark: SIMULATED",
    ]
    names = dict(zip(ontology.terms["go_id"], ontology.terms["name"], strict=True))
    for place, term in enumerate(ontology.terms.itertuples(index=False)):
        lines += ["", "[Term]", f"id: {term.go_id}", f"name: {term.name}"]
        lines += [f"namespace: {term.namespace}"]
        if place == len(ROOTS):
            lines += ["alt_id: GO:9899999"]
        lines += [f'def: "Simulated term." [SIM:{place}]']
        lines += [f"is_a: {parent} ! {names[parent]}" for parent in term.is_a]
        lines += [f"relationship: part_of {parent} ! {names[parent]}" for parent in term.part_of]
    lines += ["", "[Term]", "id: GO:9899998", "name: obsolete simulated process"]
    lines += ["namespace: biological_process", 'def: "OBSOLETE. Simulated." []']
    lines += ["is_obsolete: true", "", "[Typedef]", "id: part_of", "name: part of"]
    lines += ["namespace: external", "xref: BFO:0000050", "is_transitive: true", ""]
    (folder / "go-basic.obo").write_text("\n".join(lines), encoding="utf-8")


def write_gaf(folder: pathlib.Path, biology: Biology, ontology: Ontology) -> None:
    """`goa_human.gaf.gz`, GAF 2.2 with 17 columns."""
    aspect = {
        go_id: _ASPECTS[namespace]
        for go_id, namespace in zip(
            ontology.terms["go_id"], ontology.terms["namespace"], strict=True
        )
    }
    genes = biology.genes
    with open_gzip(folder / "goa_human.gaf.gz") as file:
        file.write("!gaf-version: 2.2\n!SIMULATED: no annotation here is real\n")
        published = ontology.annotations[ontology.annotations["is_published"]]
        for row in published.itertuples(index=False):
            symbol, accession = genes.at[row.gene, "gene_symbol"], genes.at[row.gene, "accession"]
            letter, qualifier = aspect[row.go_id]
            fields = ["UniProtKB", accession, symbol, qualifier, row.go_id, "GO_REF:0000000"]
            fields += [row.evidence_code, "", letter, f"simulated {symbol}", "", "protein"]
            fields += ["taxon:9606", _DATE, "SIMULATED", "", ""]
            file.write("\t".join(fields) + "\n")
