from moa_jax.compounds.moa_labels import dominant_spellings, harmonise_moas, normalise_moa


def test_blanks():
    assert normalise_moa("  NMDA receptor\t antagonist ") == "NMDA receptor antagonist"


def test_the_frequent_spelling_wins():
    moas = [("HDAC inhibitor",), ("hdac inhibitor",), ("HDAC inhibitor ", "Akt inhibitor"), ()]
    assert harmonise_moas(moas) == [
        ("HDAC inhibitor",),
        ("HDAC inhibitor",),
        ("Akt inhibitor", "HDAC inhibitor"),
        (),
    ]


def test_ties_take_the_first_in_character_order():
    moas = [("src inhibitor",), ("SRC inhibitor",), ("Src inhibitor",)]
    assert dominant_spellings(moas) == {"src inhibitor": "SRC inhibitor"}
    assert harmonise_moas(moas) == harmonise_moas(moas[::-1]) == [("SRC inhibitor",)] * 3


def test_spellings_of_one_compound_become_one_label():
    moas = [("AKT inhibitor", "Akt inhibitor"), ("Akt inhibitor",)]
    assert harmonise_moas(moas) == [("Akt inhibitor",)] * 2


def test_another_tables_spelling_is_used_where_it_has_the_name():
    ours = dominant_spellings([("Dopamine receptor antagonist",)])
    hub = [("dopamine receptor antagonist", "calcium channel blocker")]
    assert harmonise_moas(hub, ours) == [
        ("Dopamine receptor antagonist", "calcium channel blocker")
    ]


def test_names_with_one_meaning_stay_apart():
    moas = [("EGFR inhibitor",), ("epidermal growth factor receptor inhibitor",)]
    assert harmonise_moas(moas) == moas
