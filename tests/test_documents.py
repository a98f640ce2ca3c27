"""What the documents name is there: files, links, modules, options, config keys, identifiers."""

import ast
import functools
import importlib.util
import itertools
import pathlib
import re

import pytest

from moa_jax.command_line import load_config
from moa_jax.data.splits.rules import EVERYTHING, SPLIT_RULES

ROOT = pathlib.Path(__file__).parents[1]
# The tests come last.
ROOMS = ("moa_jax", "configs", "experiments", "launch", "tests")
# What is history, in CHANGELOG.md, may name what was.
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "CITATION.cff", "docs/*.md", "tests/*.md", "launch/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
) + sorted(path.relative_to(ROOT) for path in ROOT.glob("experiments/*/*.md"))
# What stands for a name of the reader's.
PLACEHOLDERS = re.compile(r"NAME|FOLDER|<\w+>|\.\.\.")


def read(document):
    return (ROOT / document).read_text()


def braces(path):
    """`a/{b,c}.py` -> `a/b.py` and `a/c.py`."""
    found = re.fullmatch(r"(.*)\{(.*)\}(.*)", path)
    if not found:
        return [path]
    start, inner, end = found.groups()
    return [f"{start}{piece}{end}" for piece in inner.split(",")]


def spans(text):
    """What stands between backticks, and the lines of code blocks."""
    blocks = re.findall(r"^ {4}.*$", text, re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)) + blocks


def missing_files(text):
    """Paths of the repository, and relative links, that do not exist."""
    rooms = "|".join((*ROOMS, "docs", r"\.ci", r"\.github"))
    paths = re.findall(rf"(?<![\w./-])(?:{rooms})/[\w./{{}},*-]*[\w}}*/]", text)
    every = itertools.chain.from_iterable(map(braces, paths))
    return [path for path in every if not PLACEHOLDERS.search(path) and not any(ROOT.glob(path))]


def missing_links(document, text):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"`[^`\n]*`", "", text))
    here = (ROOT / document).parent
    return [target for target in targets if "://" not in target and not (here / target).exists()]


def missing_modules(text):
    """Programs that cannot be started."""
    names = re.findall(r"python -m ((?:moa_jax|experiments|launch)[\w.]*\w)", text)
    return [name for name in names if importlib.util.find_spec(name) is None]


def unknown_options(text):
    """Options of the experiments' and launch's programs that their sources do not name."""
    joined = re.sub(r"\\\n\s*", " ", text)
    unknown = []
    for name, rest in re.findall(r"python -m ((?:experiments|launch)\.[\w.]+)([^\n`#|>]*)", joined):
        source = pathlib.Path(importlib.util.find_spec(name).origin).read_text()
        # An option of the programs that a script hands on, or its own.
        own = [option for option in re.findall(r"--([a-z][\w-]*)", rest) if option != "config"]
        words = set(re.findall(r"[\w-]+", source))
        unknown += [
            f"{name} --{option}"
            for option in own
            if not {option, option.replace("-", "_"), f"--{option}"} & words
        ]
    return unknown


@functools.cache
def config_keys():
    """Every key of every configuration, with dots, and every section."""
    keys = set()

    def add(values, prefix):
        for key, value in values.items():
            keys.add(f"{prefix}{key}")
            if isinstance(value, dict):
                add(value, f"{prefix}{key}.")

    for path in (ROOT / "configs").rglob("*.py"):
        if "def get_config" in path.read_text():
            add(load_config(str(path)).to_dict(), "")
    return keys


def unknown_keys(text):
    found = set(re.findall(r"(?<![\w.])(?:--)?config\.([a-z][\w.]*\w)", text))
    return sorted(key for key in found if key not in config_keys() and key != "json")


@functools.cache
def words_of_code(*rooms):
    """Names and words of texts in the code, without docstrings and comments; names of files."""
    words = set()
    for path in itertools.chain(*((ROOT / room).rglob("*") for room in rooms)):
        words |= {path.name, path.stem}
        if path.suffix != ".py":
            continue
        tree = ast.parse(path.read_text())
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words |= set() if id(node) in said else set(re.findall(r"\w+", node.value))
            for field in ("name", "id", "attr", "arg", "asname"):
                if isinstance(name := getattr(node, field, None), str):
                    words |= set(name.split("."))
    for path in (ROOT / "moa_jax" / "report" / "templates").iterdir():
        words |= set(re.findall(r"\w+", path.read_text()))
    return words | {"Makefile", *re.findall(r"[\w-]+", read("Makefile"))}


def unknown_names(text, *others):
    """Identifiers between backticks, or with an underscore, that the code does not have."""
    found = [span for span in spans(text) if re.fullmatch(r"[A-Za-z_][\w.]*", span)]
    found += re.findall(r"(?<![\w./*-])[a-z]+_[a-z_]+\b(?![./*])", re.sub(r"`[^`]*`", "", text))
    return sorted(
        {
            name
            for name in found
            if not set(name.removesuffix(".py").split(".")) <= words_of_code(*ROOMS[:-1], *others)
            and not PLACEHOLDERS.search(name)
        }
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_what_a_document_names_exists(document):
    text = read(document)
    assert missing_files(text) == []
    assert missing_links(document, text) == []
    assert missing_modules(text) == []
    assert unknown_options(text) == []
    assert unknown_keys(text) == []


@pytest.mark.parametrize(
    ("document", "others"),
    [
        ("docs/glossary.md", ()),
        ("docs/architecture.md", ()),
        ("docs/configuration.md", ()),
        ("CONTRIBUTING.md", ("tests",)),
        ("tests/README.md", ("tests",)),
    ],
)
def test_identifiers_exist(document, others):
    assert unknown_names(read(document), *others) == []


def test_the_modules_of_the_guide_to_the_tests_exist():
    named = re.findall(r"`([\w/]+\.(?:py|json))`", read("tests/README.md"))
    assert len(named) > 15
    assert [
        name for name in named if not any((ROOT / at / name).exists() for at in (".", "tests"))
    ] == []


def test_every_split_rule_has_a_row():
    table = read("docs/configuration.md").partition("## Split rules")[2].partition("##")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == {*SPLIT_RULES, EVERYTHING}


@pytest.mark.parametrize(
    ("find", "planted", "found"),
    [
        (missing_files, "see `moa_jax/{train,trains}.py` and configs/*.py", ["moa_jax/trains.py"]),
        (missing_modules, "python -m moa_jax.train, python -m moa_jax.learn", ["moa_jax.learn"]),
        (unknown_keys, "`config.split.rule`, --config.split.rules=x", ["split.rules"]),
        (
            unknown_names,
            "`fit_fusion` and `fit_fussion`, has_modality, hears_it",
            ["fit_fussion", "hears_it"],
        ),
    ],
)
def test_what_is_planted_is_found(find, planted, found):
    assert find(planted) == found
