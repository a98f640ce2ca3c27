"""A new split rule is a function, the identity that it keeps apart, and a row of the documents."""

import collections
import json

import pytest

from tests.data.splits.split_sets import MOLECULES
from tests.recipes.checkout import Checkout, files_of_recipe

pytestmark = pytest.mark.slow

SPLITS = "moa_jax/data/splits"
RULE = '''
def _elements(request: SplitRequest) -> SplitParts:
    """Compounds of the same elements stay together."""
    units = joined_units(request.rows, (*COMPOUND_IDENTITIES, "elements"))
    return SplitParts(hold_out_units(request, units), "pert_id")


'''
IDENTITY = """
def _elements(rows: IdentityRows) -> Values:
    return _one(["".join(sorted(set("CNOFS") & set(text.upper()))) for text in rows.smiles])


"""
SCRIPT = """
import json

from moa_jax.data.splits.leaks import check_no_leaks
from moa_jax.data.splits.rules import make_split
from moa_jax.schemas import InputError
from tests.data.splits.split_sets import keys_in, moved, screen_examples

examples = screen_examples(lines=("LINE0",))
split = make_split("elements", examples, fold=0, num_folds=2)
counted = check_no_leaks(split, examples)
tested = keys_in(split, "test")
try:
    check_no_leaks(moved(split, tested[:1], "train"), examples)
    message = ""
except InputError as error:
    message = str(error)
print(
    json.dumps({"counted": counted, "parts": split.parts, "moved": tested[0], "said": message})
)
"""


def elements_of(pert_id):
    return "".join(sorted(set("CNOFS") & set(MOLECULES[int(pert_id[1:])].upper())))


def test_a_new_split_rule(tmp_path):
    """It splits, keeps its identity apart, and a planted leak is refused by name."""
    checkout = Checkout(tmp_path)
    rules, identities = f"{SPLITS}/rules.py", f"{SPLITS}/identities.py"
    checkout.insert(
        rules, "elements                  compounds of the same elements\n", before="plate       "
    )
    checkout.insert(rules, RULE.lstrip(), before="_RULES: dict[")
    checkout.insert(rules, '    "elements": _elements,\n', before="    EVERYTHING: _everything,")
    checkout.insert(identities, IDENTITY.lstrip(), before="IDENTITIES: dict[")
    checkout.insert(
        identities, '    "elements": _elements,\n', before='    "scaffold": _scaffolds,'
    )
    promise = '    "elements": (*_NEW_COMPOUNDS, "elements"),\n'
    checkout.insert(f"{SPLITS}/leaks.py", promise, before='    "phase": _NEW_COMPOUNDS,')
    row = "| `elements` | compounds of the same elements |\n"
    checkout.insert("docs/configuration.md", row, before="| `everything` |")
    assert checkout.touched == files_of_recipe("A new split rule", "")

    found = json.loads(checkout.run(SCRIPT))
    parts_of = collections.defaultdict(set)
    for pert_id, part in found["parts"].items():
        parts_of[elements_of(pert_id)].add(part)
    assert all(len(parts) == 1 for parts in parts_of.values())
    assert set.union(*parts_of.values()) == {"train", "validation", "test"}
    assert "elements" not in found["counted"]
    assert found["counted"]["scaffold"] > 1
    assert found["said"].startswith("the elements split (fold 0 of 2) leaks: elements ")
    assert f"elements {elements_of(found['moved'])} crosses" in found["said"]
