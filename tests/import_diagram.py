"""Who imports whom, as Mermaid diagrams of the rooms and of their shelves.

    python -m tests.import_diagram

writes them into docs/architecture.md, between its two marks. Arrows that follow from others are
left out, and so are those to the rooms that every room may use.
"""

import networkx as nx

from tests.test_architecture import GROUND, ROOT, imports_of, module_in, module_of, sources

DOCUMENT = ROOT / "docs" / "architecture.md"
START, END = "<!-- import diagram -->\n", "<!-- end of the import diagram -->\n"


def module_edges(files):
    """Pairs of modules of the package, the first of which imports the second."""
    modules = {module_of(path) for path in files}
    return {
        (module_of(path), name)
        for path, source in files.items()
        for name in map(module_in, imports_of(path, source, modules))
        if name in modules
    }


def graph_of(edges, place):
    """The least graph of places, in which each reaches those that its modules import."""
    pairs = {(place(first), place(second)) for first, second in edges}
    graph = nx.DiGraph(pair for pair in pairs if None not in pair and pair[0] != pair[1])
    return nx.transitive_reduction(graph)


def room_of(module):
    room = module.split(".")[0]
    return None if room in (*GROUND, "") else room


def shelf_in(room, folders):
    """Module -> its folder in a room, None where it lies in none."""

    def place(module):
        parts = module.split(".")
        folder = ".".join(parts[:2])
        return folder if parts[0] == room and folder in folders else None

    return place


def diagrams(files):
    """The two diagrams as they stand in the document."""
    edges = module_edges(files)
    folders = {module_of(path) for path in files if path.endswith("__init__.py")}
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"  {first} --> {second}" for first, second in sorted(graph_of(edges, room_of).edges)]
    lines += ["```", "", "```mermaid", "flowchart LR"]
    for room in sorted({folder.split(".")[0] for folder in folders if "." in folder}):
        shelves = sorted(folder for folder in folders if folder.startswith(f"{room}."))
        lines.append(f"  subgraph {room}")
        lines += [f"    {_node(shelf)}[{shelf.partition('.')[2]}]" for shelf in shelves]
        lines.append("  end")
        graph = graph_of(edges, shelf_in(room, folders))
        lines += [f"  {_node(first)} --> {_node(second)}" for first, second in sorted(graph.edges)]
    return "\n".join([*lines, "```"]) + "\n"


def _node(shelf):
    return shelf.replace(".", "_")


def with_diagrams(text, files):
    """A document with the present diagrams between its marks."""
    before, _, rest = text.partition(START)
    _, mark, after = rest.partition(END)
    assert mark, f"the document needs {START.strip()} and {END.strip()}"
    return before + START + diagrams(files) + END + after


if __name__ == "__main__":
    DOCUMENT.write_text(with_diagrams(DOCUMENT.read_text(), sources()))
