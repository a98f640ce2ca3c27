"""The direction of imports, homes of flax, jraph and cmapPy, sizes of files and folders."""

import ast
import collections
import functools
import pathlib

import networkx as nx
import pytest

ROOT = pathlib.Path(__file__).parents[1]
MAX_LINES = 400
# In one folder, beside its `__init__`.
MAX_FILES = 15
HOMELESS_NAMES = ("utils", "util", "helpers", "helper", "common", "misc")

# What every room may use.
GROUND = {"schemas", "files", "progress", "random_streams", "text"}
PUBLIC_FILES = {"lincs", "knowledge", "compounds"}
BELOW = GROUND | PUBLIC_FILES
# Rooms that know models, each of which may import those before it.
ORDER = (
    "kernels",
    "training",
    "calibration",
    "predictions",
    "model_card",
    "baselines",
    "explanation",
    "benchmark",
)
BELOW_MODELS = {"models", "evaluation", "data", ""} | BELOW
PROGRAMS = {"prepare", "train", "evaluate", "explain", "predict"}
# Room -> rooms that it may import beside itself. "" is the package's own version.
MAY_IMPORT = {
    "": set(),
    "schemas": set(),
    "files": {"schemas"},
    "progress": set(),
    "random_streams": set(),
    "text": {"schemas"},
    "command_line": {"schemas"},
    **dict.fromkeys(PUBLIC_FILES, GROUND),
    "data": BELOW | {""},
    "models": {"schemas"},
    "report": GROUND,
    # Metrics and statistics on arrays.
    "evaluation": GROUND,
    **{
        room: {*ORDER[:place], *BELOW_MODELS}
        # The report of an explanation is part of it.
        | ({"report"} if room in ("explanation", "benchmark") else set())
        for place, room in enumerate(ORDER)
    },
    **dict.fromkeys(PROGRAMS, {*ORDER, "report", "command_line"} | BELOW_MODELS),
}
# Package -> where it may be imported: rooms, or single modules.
HOMES = {
    "flax": ("models", "training", "baselines"),
    "jraph": ("models.message_passing",),
    "cmapPy": ("lincs",),
}
OUTSIDE = {"experiments", "launch", "configs", "tests"}


def sources():
    files = sorted((ROOT / "moa_jax").rglob("*.py"))
    return {str(path.relative_to(ROOT)): path.read_text() for path in files}


def module_of(path):
    """`moa_jax/data/splits/manifest.py` -> `data.splits.manifest`; a package's `__init__` is the
    package.
    """
    parts = pathlib.PurePosixPath(path).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1:] == ("__init__",) else parts)


@functools.cache
def import_lines(source):
    kinds = (ast.Import, ast.ImportFrom)
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]


def imports_of(path, source, modules):
    """Full names of the modules that a file imports."""
    found = []
    for node in import_lines(source):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        else:
            # No relative imports, so that what is imported can be read off the line.
            assert not node.level, f"{path} has a relative import"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if module_in(name) in modules else node.module for name in inside]
    return found


def module_in(name):
    """The package's own module of that full name, None where it is from elsewhere."""
    package, _, module = name.partition(".")
    return module if package == "moa_jax" else None


def broken_rules(files):
    modules = {module_of(path) for path in files}
    broken = []
    for path, source in files.items():
        module = module_of(path)
        room = module.split(".")[0]
        if room not in MAY_IMPORT:
            broken.append(f"{path} belongs to no room")
            continue
        if pathlib.PurePosixPath(path).stem in HOMELESS_NAMES:
            broken.append(f"{path} has a name that says nothing")
        if len(source.splitlines()) > MAX_LINES:
            broken.append(f"{path} is longer than {MAX_LINES} lines")
        if room == "evaluation" and takes_examples(source):
            broken.append(f"{path} is about examples, not arrays")
        for name in imports_of(path, source, modules):
            package = name.split(".")[0]
            if package == "moa_jax":
                other = name.partition(".")[2].split(".")[0]
                if other != room and other not in MAY_IMPORT[room]:
                    broken.append(f"{path} imports {name}")
            elif package in OUTSIDE or not at_home(package, module):
                broken.append(f"{path} imports {name}")
    return broken


def takes_examples(source):
    return any(alias.name == "Examples" for node in import_lines(source) for alias in node.names)


def crowded_folders(files):
    """Folders with more modules than one looks through."""
    paths = map(pathlib.PurePosixPath, files)
    sizes = collections.Counter(str(path.parent) for path in paths if path.stem != "__init__")
    return [f"{folder} has {size} files" for folder, size in sizes.items() if size > MAX_FILES]


def at_home(package, module):
    homes = HOMES.get(package)
    return homes is None or any(f"{module}.".startswith(f"{home}.") for home in homes)


def shelf_of(module, folders):
    """The folder of a module; one on top of its room stands for itself."""
    folder = module.rpartition(".")[0]
    return module if module in folders or "." not in folder else folder


def import_cycle(files, *, shelves=False):
    modules = {module_of(path) for path in files}
    folders = {module_of(path) for path in files if path.endswith("__init__.py")}
    graph = nx.DiGraph()
    for path, source in files.items():
        names = map(module_in, imports_of(path, source, modules))
        for name in names:
            if name in modules:
                ends = module_of(path), name
                if shelves:
                    ends = tuple(shelf_of(end, folders) for end in ends)
                graph.add_edge(*ends)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)) if shelves else [])
    try:
        return nx.find_cycle(graph)
    except nx.NetworkXNoCycle:
        return []


def test_the_package_keeps_the_rules():
    files = sources()
    assert len(files) > 50
    assert broken_rules(files) == []
    assert crowded_folders(files) == []


@pytest.mark.parametrize("shelves", [False, True])
def test_no_module_and_no_shelf_imports_itself_in_a_circle(shelves):
    assert import_cycle(sources(), shelves=shelves) == []


@pytest.mark.parametrize(
    ("path", "line", "culprit"),
    [
        ("moa_jax/lincs/files/gctx.py", "from moa_jax.knowledge import graph", "moa_jax.knowledge"),
        (
            "moa_jax/lincs/files/gctx.py",
            "import moa_jax.compounds.tables",
            "moa_jax.compounds.tables",
        ),
        ("moa_jax/compounds/tables.py", "from moa_jax import data", "moa_jax.data"),
        ("moa_jax/knowledge/graph.py", "import flax.linen as nn", "flax.linen"),
        (
            "moa_jax/data/splits/manifest.py",
            "from moa_jax.models.fusion import FusionModel",
            "moa_jax.models",
        ),
        ("moa_jax/data/splits/manifest.py", "from flax import struct", "flax"),
        ("moa_jax/models/fusion.py", "from moa_jax.data import splits", "moa_jax.data"),
        ("moa_jax/models/fusion.py", "from jraph import GraphsTuple", "jraph"),
        ("moa_jax/training/fit.py", "def late():\n    import jraph", "jraph"),
        ("moa_jax/evaluation/metrics.py", "import flax", "flax"),
        ("moa_jax/data/splits/manifest.py", "from cmapPy.pandasGEXpress import parse", "cmapPy"),
        (
            "moa_jax/baselines/classifiers/logistic.py",
            "from moa_jax.train import train",
            "moa_jax.train",
        ),
        ("moa_jax/training/fit.py", "import moa_jax.baselines.registry", "moa_jax.baselines"),
        (
            "moa_jax/baselines/classifiers/logistic.py",
            "import moa_jax.explanation.page",
            "moa_jax.explan",
        ),
        (
            "moa_jax/explanation/attribution/chunks.py",
            "import moa_jax.benchmark.grid",
            "moa_jax.benchmark",
        ),
        ("moa_jax/evaluation/metrics.py", "from moa_jax.data import features", "moa_jax.data"),
        ("moa_jax/predict.py", "from moa_jax import train", "moa_jax.train"),
        ("moa_jax/schemas/splits.py", "from moa_jax.files import write_json", "moa_jax.files"),
        ("moa_jax/train.py", "from experiments.main_result import run", "experiments"),
        ("moa_jax/train.py", "import launch", "launch"),
        ("moa_jax/train.py", "from configs import fusion", "configs"),
    ],
)
def test_a_planted_import_is_found(path, line, culprit):
    files = sources()
    files[path] += f"\n{line}\n"
    (found,) = broken_rules(files)
    assert found.startswith(f"{path} imports {culprit}")


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("moa_jax/data/utils.py", "", "moa_jax/data/utils.py has a name that says nothing"),
        ("moa_jax/attic/old.py", "", "moa_jax/attic/old.py belongs to no room"),
        ("moa_jax/loose.py", "", "moa_jax/loose.py belongs to no room"),
        ("moa_jax/data/long.py", "\n" * 401, "moa_jax/data/long.py is longer than 400 lines"),
    ],
)
def test_a_planted_file_is_found(path, source, rule):
    assert broken_rules({**sources(), path: source}) == [rule]


def test_a_planted_use_of_examples_is_found():
    files = sources()
    files["moa_jax/evaluation/metrics.py"] += "\nfrom moa_jax.schemas import Examples\n"
    rule = "moa_jax/evaluation/metrics.py is about examples, not arrays"
    assert broken_rules(files) == [rule]


def test_a_crowded_folder_is_found():
    names = [f"file_{number}" for number in range(MAX_FILES)]
    files = {f"moa_jax/attic/{name}.py": "" for name in (*names, "__init__")}
    assert crowded_folders(files) == []
    files["moa_jax/attic/one_more.py"] = ""
    assert crowded_folders(files) == [f"moa_jax/attic has {MAX_FILES + 1} files"]


def test_a_planted_circle_is_found():
    files = sources()
    files["moa_jax/data/storage/prepared_folder.py"] += (
        "\nfrom moa_jax.data.preparation.embedded_release import open_dataset\n"
    )
    assert ("data.storage.prepared_folder", "data.preparation.embedded_release") in import_cycle(
        files
    )
