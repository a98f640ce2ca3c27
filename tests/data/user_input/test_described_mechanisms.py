"""A user's table of mechanisms: genes, actions, and what is refused."""

import pandas as pd
import pytest

from moa_jax.data.user_input.described_mechanisms import read_described_mechanisms
from moa_jax.schemas import InputError

GENES = pd.DataFrame(
    [
        ("5292", "PIM1", "Pim-1 proto-oncogene, serine/threonine kinase", "PIM|P11309"),
        ("11040", "PIM2", "Pim-2 proto-oncogene, serine/threonine kinase", "Q9P1W9"),
        ("153", "ADRB1", "adrenoceptor beta 1", "B1AR|SHARED"),
        ("154", "ADRB2", "adrenoceptor beta 2", "SHARED"),
        ("2908", "NR3C1", "nuclear receptor subfamily 3 group C member 1", "GR|P04150"),
    ],
    columns=["entrez_id", "symbol", "name", "aliases"],
)


def read(tmp_path, text):
    path = tmp_path / "mechanisms.csv"
    path.write_text(text, encoding="utf-8")
    return read_described_mechanisms(path, GENES)


def test_genes_are_found_by_any_name_and_actions_by_words(tmp_path):
    found = read(
        tmp_path,
        "name,genes,action\n"
        'by symbols,"ADRB1|adrb2",inhibits\n'
        'by others,"P04150; 5292",Agonist\n'
        "one alias,GR,\n"
        "beta blocker,B1AR,\n",
    )
    assert found.names == ("by symbols", "by others", "one alias", "beta blocker")
    assert found.genes == (("ADRB1", "ADRB2"), ("NR3C1", "PIM1"), ("NR3C1",), ("ADRB1",))
    assert found.actions == ("inhibits", "activates", "", "inhibits")
    assert found.read_from == ("table",) * 4
    assert found.unknown == ()


def test_names_alone_are_enough(tmp_path):
    found = read(tmp_path, "mechanism\nPIM kinase inhibitor\nglucocorticoid receptor agonist\n")
    assert found.genes == (("PIM1", "PIM2"), ("NR3C1",))
    assert found.actions == ("inhibits", "activates")
    assert found.report()["mechanisms"]["PIM kinase inhibitor"] == {
        "genes": ["PIM1", "PIM2"],
        "action": "inhibits",
        "genes_read_from": "name",
    }


def test_tabs_and_other_names_of_columns_are_read(tmp_path):
    path = tmp_path / "mechanisms.tsv"
    path.write_text("MoA\tTargets\nfirst\tPIM1,PIM2\n", encoding="utf-8")
    assert read_described_mechanisms(path, GENES).genes == (("PIM1", "PIM2"),)


def test_each_gene_that_is_left_out_is_named_with_its_row(tmp_path):
    found = read(tmp_path, "name,genes\nfirst,PIM1|NOSUCH|SHARED\n")
    assert found.genes == (("PIM1",),)
    path = tmp_path / "mechanisms.csv"
    assert found.unknown == (
        f"line 2 of {path}: NOSUCH is no gene of this model's graph",
        f"line 2 of {path}: SHARED means more than one gene",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,genes\nfirst,NOSUCH\n", "line 2 .*'first' by no gene .*NOSUCH is no gene"),
        ("name,genes\nAntioxidant,\n", "line 2 .*'Antioxidant' by no gene .*its name names none"),
        ("name,genes\na,PIM1\na,PIM2\n", "line 3 .* describes 'a' again"),
        ("name,genes\n,PIM1\n", "line 2 .* has no name"),
        (
            "name,genes,action\na,PIM1,likes\n",
            "line 2 .* has the action 'likes'; expected inhibits",
        ),
        ("genes,action\nPIM1,inhibits\n", "has the columns genes, action; expected name"),
        ("name,genes\n", "describes no mechanism"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)
