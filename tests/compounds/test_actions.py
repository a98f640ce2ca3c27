"""What the names of mechanisms say about direction."""

import pytest

from moa_jax.compounds.actions import action_of, action_of_all


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("HDAC inhibitor", "inhibits"),
        ("D-Amino Acid Oxidase Inhibitor", "inhibits"),
        ("Adrenergic receptor antagonists", "inhibits"),
        ("selective serotonin reuptake inhibitor (SSRI)", "inhibits"),
        ("calcium channel blocker", "inhibits"),
        ("estrogen receptor degrader", "inhibits"),
        ("cannabinoid receptor inverse agonist", "inhibits"),
        ("inverse partial agonist", "inhibits"),
        ("glutamate receptor negative allosteric modulator", "inhibits"),
        ("lymphocyte function-associated antigen negative modulator", "inhibits"),
        ("NEGATIVE MODULATOR", "inhibits"),
        ("adrenergic receptor agonist", "activates"),
        ("opioid receptor partial agonist", "activates"),
        ("potassium channel opener", "activates"),
        ("guanylate cyclase stimulant", "activates"),
        ("CFTR channel potentiator", "activates"),
        ("GABA receptor positive allosteric modulator", "activates"),
        ("cholinesterase reactivator", "activates"),
        # Both directions.
        ("opioid receptor agonist/antagonist", ""),
        ("agonist and inverse agonist", ""),
        # Neither.
        ("selective estrogen receptor modulator (SERM)", ""),
        ("histamine receptor ligand", ""),
        ("microtubule stabilizing agent", ""),
        ("antidepressant", ""),
        ("inhibition of something", ""),
        ("WNT signaling inhibitor negative control", ""),
        ("", ""),
    ],
)
def test_words_that_state_a_direction(name, action):
    assert action_of(name) == action


def test_all_mechanisms_of_a_compound_must_agree():
    assert action_of_all(("HDAC inhibitor", "calcium channel blocker")) == "inhibits"
    assert action_of_all(("HDAC inhibitor", "adrenergic receptor agonist")) == ""
    assert action_of_all(("HDAC inhibitor", "antidepressant")) == ""
    assert action_of_all(()) == ""
