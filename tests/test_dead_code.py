"""No definition and no optional parameter of the package without a caller outside the tests."""

import pathlib
import re

import pytest

from tests.dead_code import Code

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = ("moa_jax", "configs", "experiments", "launch")
# Names that something outside calls.
ALLOWED_NAMES = {
    # flax calls it when a module is first used.
    "setup",
    # cmapPy reads it where numpy 2 has renamed it.
    "string_",
}
ALLOWED_PARAMETERS = {
    # The command line; tests pass their own.
    "argv",
}


def sources():
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


def template_words():
    """What the page templates read of the parts of a page."""
    templates = (ROOT / "moa_jax" / "report" / "templates").iterdir()
    return {word for path in templates for word in re.findall("[a-z_]+", path.read_text())}


@pytest.fixture(scope="module")
def code():
    return Code(sources(), template_words())


def test_every_definition_has_a_caller(code):
    dead = [f"{found.kind} {found.name}" for found in code.dead(ALLOWED_NAMES)]
    assert dead == []


def test_every_optional_parameter_is_set_by_a_caller(code):
    assert code.unset_parameters(ALLOWED_PARAMETERS) == []


LIBRARY = """
import dataclasses

USED = 1
UNUSED = 2

@dataclasses.dataclass
class Point:
    x: float
    y: float

    @property
    def size(self):
        return self.x * USED

    @property
    def weight(self):
        return 1

    def moved(self, by=0, turned=0):
        return self

class Circle:
    radius: float

def area(point, scale=1, unit=""):
    return _scaled(point.size, scale, unit)

def _scaled(value, scale, unit=""):
    return value

def scorecard(point):
    return _scaled(point.weight, 1)

def recursive(depth):
    return recursive(depth - 1)

def shadowed():
    return 0

def handed_on(value, factor=1):
    return value
"""
CALLER = """
from moa_jax import shapes
from moa_jax.shapes import Point, area as area_of, handed_on

def run(shadowed):
    print(shadowed, list(map(handed_on, [1])))
    return area_of(Point(1, 2).moved(3), 2)
"""


def test_planted_dead_code_is_found():
    code = Code({"moa_jax/shapes.py": LIBRARY, "experiments/run.py": CALLER})
    assert {(found.kind, found.name.removeprefix("moa_jax.shapes.")) for found in code.dead()} == {
        ("constant", "UNUSED"),
        ("field", "Point.y"),
        ("property", "Point.weight"),
        ("class", "Circle"),
        ("function", "scorecard"),
        ("function", "recursive"),
        ("function", "shadowed"),
    }


def test_a_planted_parameter_that_nobody_sets_is_found():
    code = Code({"moa_jax/shapes.py": LIBRARY, "experiments/run.py": CALLER})
    assert set(code.unset_parameters()) == {
        ("moa_jax.shapes.area", "unit"),
        # `area` hands on its own, which nobody sets.
        ("moa_jax.shapes._scaled", "unit"),
        ("moa_jax.shapes.Point.moved", "turned"),
    }


@pytest.mark.parametrize(
    ("caller", "found"),
    [
        ("import moa_jax.store as store\nstore.read(1)", set()),
        ("from moa_jax import store\nKINDS = {'a': store}\nKINDS['a'].read(1)", set()),
        ("import functools\nfrom moa_jax.store import read\nfunctools.partial(read, 1)", set()),
        ("from moa_jax.store import read", {"moa_jax.store.read"}),
        ("read = 1\nprint(read)", {"moa_jax.store.read"}),
    ],
)
def test_how_a_function_is_reached(caller, found):
    code = Code({"moa_jax/store.py": "def read(path):\n    pass", "launch/run.py": caller})
    assert {definition.name for definition in code.dead()} == found
