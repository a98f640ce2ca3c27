"""Broader classes of mechanisms: by their names, and by the table."""

import itertools

import networkx as nx
import numpy as np

from moa_jax.knowledge import mechanism_hierarchy
from moa_jax.knowledge.mechanism_hierarchy import mechanism_classes
from moa_jax.knowledge.mechanism_names import name_words


def classes_of(*moas):
    """Name of a class -> its mechanisms."""
    found = mechanism_classes(moas)
    return {
        name: {moas[place] for place in np.flatnonzero(own)}
        for name, own in zip(found.names, found.members, strict=True)
    }


def test_a_name_that_ends_with_another_is_narrower():
    beta, alpha = "beta adrenergic receptor antagonist", "Alpha adrenergic receptor antagonists"
    broad, agonist = "Adrenergic receptor antagonist", "beta adrenergic receptor agonist"
    found = classes_of(beta, agonist, alpha, broad)
    assert found[broad] == {beta, alpha, broad}
    # An agonist and an antagonist have in common that they are ligands.
    assert found["beta adrenergic receptor ligand"] == {beta, agonist}
    assert found["Adrenergic receptor ligand"] == {beta, alpha, broad, agonist}


def test_a_negation_and_words_within_words_are_no_class():
    nucleoside = "Nucleoside reverse transcriptase inhibitor"
    other = "Non-nucleoside reverse transcriptase inhibitor"
    found = classes_of(nucleoside, other)
    assert found == {"reverse transcriptase inhibitor": {nucleoside, other}}
    assert classes_of("Lysophospholipase inhibitor", "Lipase inhibitor") == {}


def test_a_partial_agonist_is_an_agonist_and_an_inverse_one_is_not():
    full, partial = "GABA receptor agonist", "GABA receptor partial agonist"
    inverse = "GABA receptor inverse agonist"
    found = classes_of(full, partial, inverse)
    assert found == {full: {full, partial}, "GABA receptor ligand": {full, partial, inverse}}
    one, positive = (
        "Glutamate receptor modulator",
        "glutamate receptor positive allosteric modulator",
    )
    assert classes_of(one, positive) == {one: {one, positive}}


def test_families_of_the_table_are_nested():
    moas = ("EGFR inhibitor", "Src inhibitor", "MTOR inhibitor", "PI3K inhibitor", "HDAC inhibitor")
    egfr, src, mtor, pi3k, _ = moas
    # Classes with one of these mechanisms are not listed, the narrowest are first.
    assert list(classes_of(*moas).items()) == [
        ("PI3/PI4-kinase family inhibitor", {mtor, pi3k}),
        ("tyrosine kinase inhibitor", {egfr, src}),
        ("protein kinase inhibitor", {egfr, src, mtor}),
        ("kinase inhibitor", {egfr, src, mtor, pi3k}),
    ]


def test_other_spellings_and_names_are_one_class_named_as_in_the_vocabulary():
    glycoprotein = ("P-glycoprotein inhibitor", "P glycoprotein inhibitor")
    assert classes_of(*glycoprotein) == {glycoprotein[0]: set(glycoprotein)}
    uptake = (
        "SERT inhibitor",
        "Serotonin reuptake inhibitor",
        "Selective SEROTONIN reuptake inhibitors (SSRI)",
    )
    assert classes_of(*uptake) == {uptake[1]: set(uptake)}


def test_classes_do_not_depend_on_the_order_and_may_be_none():
    moas = ["EGFR inhibitor", "JAK inhibitor", "KIT inhibitor", "MEK inhibitor", "βγδ"]
    one, other = mechanism_classes(moas), mechanism_classes(moas[::-1])
    assert one.names == other.names
    np.testing.assert_array_equal(one.members, other.members[:, ::-1])
    none = mechanism_classes(["moa 0", "moa 1"])
    assert (none.names, none.members.shape) == ((), (0, 2))


def test_the_table_has_no_circle_and_lists_each_pair_once():
    listed = mechanism_hierarchy._listed_classes()
    assert len(listed) > 100
    pairs = [(name_words(broad), own) for broad, narrow in listed.items() for own in narrow]
    assert all(itertools.chain.from_iterable(pairs))
    assert nx.is_directed_acyclic_graph(nx.DiGraph(pairs))
    text = (
        mechanism_hierarchy.importlib.resources.files("moa_jax.knowledge") / "mechanism_classes.tsv"
    ).read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    assert rows[0] == ["broader", "narrower", "source"]
    assert all(len(row) == 3 and all(row) for row in rows)
    assert sum(len(row[1].split("|")) for row in rows[1:]) == len(pairs) == len(set(pairs))
