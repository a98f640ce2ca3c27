"""Hand-drawn STRING, OBO and GAF files in the real formats.

Five genes and a sixth two links away (scores on the links):

    LA --900-- LB --650-- NY --750-- TT        FF hangs on NY with 999
    LA --800-- NX

and six terms; C is a cellular component, the others are biological processes:

    E is_a D;  D is_a B, part_of C;  B is_a A;  C part_of A;  A is_a R
"""

import gzip
import pathlib

import pandas as pd

R, A, B, C, D, E = (f"GO:{number:07d}" for number in range(1, 7))

# Entrez ids are not in the order of the symbols, and are not sorted as text (10 < 2).
GENE_IDS = {"LA": "10", "LB": "2", "NX": "5", "NY": "3", "FF": "4", "TT": "7"}
GENES = pd.DataFrame(
    {
        "entrez_id": list(GENE_IDS.values()),
        "symbol": list(GENE_IDS),
        "aliases": ["", "OLDB|SHARED", "SHARED", "", "", "OLDT"],
    }
)
LANDMARKS = pd.DataFrame({"entrez_id": ["10", "2"], "symbol": ["LA", "LB"]})
LINKS = (
    ("LA", "LB", 900),
    ("LA", "NX", 800),
    ("TT", "NY", 750),
    ("NY", "FF", 999),
    ("LB", "NY", 650),
)


def protein(symbol):
    return f"9606.ENSP{int(GENE_IDS[symbol]):011d}"


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def write_info(path, symbols=tuple(GENE_IDS)):
    rows = [f'{protein(s)}\t{s}\t100\t"{s}" protein; it is drawn\n' for s in symbols]
    header = "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n"
    return write(path, header + "".join(rows))


def write_links(path, links=LINKS, header="protein1 protein2 combined_score"):
    rows = [
        f"{protein(first)} {protein(second)} {score}\n"
        for one, two, score in links
        for first, second in ((one, two), (two, one))
    ]
    return write(path, header + "\n" + "".join(rows))


def stanza(go_id, *lines, name="drawn", namespace="biological_process"):
    head = [f"[Term]\nid: {go_id}", f"name: {name}", f"namespace: {namespace}"]
    return "\n".join([*head, *lines]) + "\n\n"


OBO_HEADER = "format-version: 1.2\ndata-version: drawn\nontology: go\n\n"
OBO = (
    OBO_HEADER
    + stanza(E, f"is_a: {D} ! drawn", 'def: "With \\"quotes\\"." []')
    + stanza(
        D,
        "alt_id: GO:0000099",
        f"is_a: {B} ! drawn",
        f"relationship: part_of {C} ! drawn",
        f"relationship: regulates {R} ! not followed",
    )
    + stanza(C, f"relationship: part_of {A}", namespace="cellular_component")
    + stanza(B, f"is_a: {A}")
    + stanza(A, f"is_a: {R}")
    + stanza(R, name="root")
    + stanza("GO:0000007", "is_obsolete: true", f"replaced_by: {B}")
    + stanza("GO:0000008", "is_obsolete: true", f"consider: {B}")
    + "[Typedef]\nid: part_of\nname: part of\nis_transitive: true\n"
)


def gaf_row(
    symbol, go_id, evidence="IDA", *, qualifier="involved_in", taxon="9606", gene=None, reference=0
):
    gene = GENE_IDS.get(symbol, "0") if gene is None else gene
    fields = ["NCBIGene", gene, symbol, qualifier, go_id, f"PMID:{reference}", evidence, ""]
    fields += ["P", "a name!", "", "protein", f"taxon:{taxon}", "20220912", "NCBI", "", ""]
    return "\t".join(fields) + "\n"


GAF_HEADER = "!gaf-version: 2.2\n!drawn\n"
GAF = (
    GAF_HEADER
    + gaf_row("LA", E)
    + gaf_row("LA", A, "TAS")
    + gaf_row("LB", D, "IEA")
    + gaf_row("LB", "GO:0000099", "IDA")
    + gaf_row("TT", C, "IMP")
    + gaf_row("NX", "GO:0000007", "IBA")
)
