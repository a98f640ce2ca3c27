"""One truth written in the many ways that people's programs write tables and matrices."""

import codecs
import csv
import dataclasses
import gzip
import io

import h5py
import numpy as np
import pandas as pd
from hypothesis import strategies as st

from moa_jax.lincs.files.gctx_writer import write_gctx

CONTAINERS = ("gctx", "h5ad", "gct 1.2", "gct 1.3", "table")
# What the rows or columns of genes are called, and what may stand beside it.
NAMINGS = (
    "entrez",
    "float entrez",
    "symbol",
    "ensembl",
    "numbers beside symbols",
    "numbers beside entrez",
    "probes beside symbols",
    "symbols beside entrez",
)
# Column of the genes' names beside the ids.
GENE_COLUMNS = ("Gene", "gene_symbol", "pr_gene_symbol", "Symbol", "feature name")


@dataclasses.dataclass(frozen=True)
class Text:
    """How a text file is stored."""

    encoding: str = "utf-8"
    has_mark: bool = False
    line_end: str = "\n"
    is_gzipped: bool = False


@dataclasses.dataclass(frozen=True)
class Cells:
    """How the cells of a table stand between each other."""

    separator: str = "\t"
    decimal: str = "."
    quotes: str = "minimal"
    padding: str = ""
    trailing: int = 0
    comments: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Matrix:
    """How a matrix is laid out.

    Attributes:
      container: one of `CONTAINERS`.
      naming: one of `NAMINGS`.
      gene_column: header of the names beside the ids.
      first_number: of the rows, where they are numbered.
      genes_in_columns: of a table, with the ids alone.
      order: of the genes.
    """

    container: str = "table"
    naming: str = "entrez"
    gene_column: str = "Gene"
    first_number: int = 0
    genes_in_columns: bool = False
    order: tuple[int, ...] = ()
    text: Text = Text()
    cells: Cells = Cells()


def encode(text, how=Text()):
    """The bytes of a text file, whose lines end with a line feed in `text`."""
    content = text.replace("\n", how.line_end).encode(how.encoding)
    if how.has_mark:
        marks = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE}
        content = marks.get(how.encoding, codecs.BOM_UTF16_BE) + content
    return gzip.compress(content) if how.is_gzipped else content


def format_rows(rows, how=Cells()):
    """Rows of texts and numbers as the text of a table."""
    quoting = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "texts": csv.QUOTE_NONNUMERIC}
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=how.separator, quoting=quoting[how.quotes], lineterminator="\n"
    )
    for row in rows:
        writer.writerow([_cell(cell, how) for cell in row] + [""] * how.trailing)
    return "".join(f"{comment}\n" for comment in how.comments) + out.getvalue()


def _cell(cell, how):
    if isinstance(cell, float):
        return "NA" if np.isnan(cell) else repr(cell).replace(".", how.decimal)
    return f"{how.padding}{cell}{how.padding}"


def gene_names(genes, layout):
    """Row ids of the genes, and the columns of text beside them."""
    entrez, symbols = list(genes["entrez_id"]), list(genes["symbol"])
    numbers = [
        str(number) for number in range(layout.first_number, layout.first_number + len(genes))
    ]
    probes = [f"{200000 + 7 * row}_at" for row in range(len(genes))]
    versioned = [f"{gene}.{row}" for row, gene in enumerate(genes["ensembl"], start=1)]
    return {
        "entrez": (entrez, {}),
        "float entrez": ([f"{gene}.0" for gene in entrez], {}),
        "symbol": (symbols, {}),
        "ensembl": (versioned, {}),
        "numbers beside symbols": (numbers, {layout.gene_column: symbols}),
        "numbers beside entrez": (numbers, {"gene_id": entrez}),
        "probes beside symbols": (probes, {layout.gene_column: symbols}),
        "symbols beside entrez": (entrez, {layout.gene_column: symbols}),
    }[layout.naming]


def write_matrix(folder, genes, profile_ids, values, layout):
    """Writes values [profile, gene] and returns the file.

    Args:
      folder: where to.
      genes: columns `entrez_id`, `symbol` and `ensembl`, by the columns of `values`.
      profile_ids: of the rows of `values`.
      values: what was measured; NaN where missing.
      layout: a `Matrix`.
    """
    order = list(layout.order) or list(range(len(genes)))
    genes, values = genes.iloc[order], np.asarray(values, np.float32)[:, order]
    ids, columns = gene_names(genes, layout)
    if layout.container in ("gctx", "h5ad"):
        path = folder / f"m.{layout.container}"
        gene_table = pd.DataFrame(columns, index=ids)
        profiles = pd.DataFrame(index=list(profile_ids))
        write = write_gctx if layout.container == "gctx" else write_h5ad
        write(path, profile_table=profiles, gene_table=gene_table, blocks=[values])
        if layout.text.is_gzipped:
            path.write_bytes(gzip.compress(path.read_bytes()))
        return path
    rows = _rows(ids, columns, profile_ids, values, layout)
    path = folder / "m.txt"
    path.write_bytes(encode(format_rows(rows, layout.cells), layout.text))
    return path


def _rows(ids, columns, profile_ids, values, layout):
    numbers = [[float(str(value)) for value in gene] for gene in values.T]
    if layout.container == "table" and layout.genes_in_columns:
        return [
            ["sig_id", *ids],
            *(
                [name, *row]
                for name, row in zip(profile_ids, zip(*numbers, strict=True), strict=True)
            ),
        ]
    beside = list(zip(*columns.values(), strict=True)) or [()] * len(ids)
    names, above = list(columns), []
    if layout.container == "gct 1.2":
        above, names = [["#1.2"], [len(ids), len(profile_ids)]], ["Description"]
        beside = [cells or ("na",) for cells in beside]
    elif layout.container == "gct 1.3":
        above = [["#1.3"], [len(ids), len(profile_ids), len(names), 0]]
    first = "" if "numbers" in layout.naming and layout.container == "table" else "id"
    body = zip(ids, beside, numbers, strict=True)
    return [
        *above,
        [first, *names, *profile_ids],
        *([name, *cells, *row] for name, cells, row in body),
    ]


def write_h5ad(path, *, profile_table, gene_table, blocks):
    """An h5ad file as anndata lays it out, in the manner of `write_gctx`."""
    with h5py.File(path, "w") as file:
        file["X"] = np.concatenate(blocks)
        for name, table in (("obs", profile_table), ("var", gene_table)):
            group = file.create_group(name)
            group.attrs["_index"] = "_index"
            write_texts(group, "_index", table.index)
            for column in table.columns:
                write_texts(group, column, table[column])
    return path


def write_texts(group, name, texts):
    group.create_dataset(name, data=np.array(list(texts), object), dtype=h5py.string_dtype())


def texts():
    """How a text file may be stored."""
    return st.builds(
        Text,
        encoding=st.sampled_from(["utf-8", "utf-8", "utf-16-le", "utf-16-be"]),
        has_mark=st.booleans(),
        line_end=st.sampled_from(["\n", "\r\n", "\r"]),
        is_gzipped=st.booleans(),
    )


def cells():
    """How the cells of a table may stand between each other; decimal commas where they can be."""
    plain = {
        "quotes": st.sampled_from(["minimal", "all", "texts"]),
        "padding": st.sampled_from(["", "", " ", "  "]),
        "trailing": st.integers(0, 2),
        "comments": st.sampled_from([(), (), ("# made by hand", "#"), ("! a, b, c",)]),
    }
    return st.one_of(
        st.builds(Cells, separator=st.sampled_from(["\t", ",", ";"]), **plain),
        st.builds(Cells, separator=st.sampled_from(["\t", ";"]), decimal=st.just(","), **plain),
        # Commas between columns and in numbers, which quotes tell apart.
        st.builds(Cells, separator=st.just(","), decimal=st.just(","), **plain),
    )


def matrices(num_genes):
    """How a matrix may be laid out."""
    return st.builds(
        Matrix,
        container=st.sampled_from(CONTAINERS),
        naming=st.sampled_from(NAMINGS),
        gene_column=st.sampled_from(GENE_COLUMNS),
        first_number=st.integers(0, 1),
        genes_in_columns=st.booleans(),
        order=st.permutations(range(num_genes)).map(tuple),
        text=texts(),
        cells=cells(),
    ).map(_possible)


def _possible(layout):
    """GCT files have no comments, and a header of ids alone has nothing beside them."""
    if layout.container.startswith("gct"):
        separator = layout.cells.separator if layout.cells.decimal == "." else "\t"
        how = dataclasses.replace(layout.cells, comments=(), separator=separator)
        layout = dataclasses.replace(layout, cells=how)
    if layout.genes_in_columns and "beside" in layout.naming:
        return dataclasses.replace(layout, genes_in_columns=False)
    return layout
