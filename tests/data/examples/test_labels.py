import numpy as np

from moa_jax.data.examples.labels import label_matrix

MOAS = ("AKT inhibitor", "Akt inhibitor", "b")


def test_names_become_columns():
    names = [("AKT inhibitor", "b"), ("Akt inhibitor",), ("akt inhibitor", "B"), ("c",), ()]
    exact = [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(label_matrix(names, MOAS), exact)
    # A spelling of the vocabulary means itself; others the first that differs in case.
    any_case = [[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(label_matrix(names, MOAS, any_case=True), any_case)
