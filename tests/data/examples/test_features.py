"""Encoding: what is unknown is masked, and what was fitted survives a round trip."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from moa_jax.compounds.fingerprints import morgan_fingerprints
from moa_jax.data.examples.features import FeatureSpec, encode, fit_features
from moa_jax.schemas import InputError
from tests.synthetic import make_gene_table, make_raw_examples


@pytest.fixture(scope="module")
def spec():
    return fit_features(make_raw_examples(), make_gene_table())


def test_genes_are_standardised_as_by_scikit_learn(spec):
    train, new = make_raw_examples(), make_raw_examples(6, seed=3)
    expected = StandardScaler().fit(train.expression).transform(new.expression)
    np.testing.assert_allclose(encode(new, spec).expression, expected, rtol=1e-4, atol=1e-5)


def test_a_gene_that_never_changes_is_only_centred():
    train = make_raw_examples()
    train.expression[:, 2] = 7.0
    spec = fit_features(train, make_gene_table())
    np.testing.assert_array_equal(encode(train, spec).expression[:, 2], 0.0)


def test_absent_expression_does_not_count_in_the_statistics():
    train = make_raw_examples()
    mask = np.arange(train.num_examples) < 10
    absent = dataclasses.replace(train, has_expression=mask)
    absent.expression[~mask] = 1e6
    spec = fit_features(absent, make_gene_table())
    np.testing.assert_allclose(spec.mean, absent.expression[mask].mean(0), rtol=1e-5)
    encoded = encode(absent, spec)
    np.testing.assert_array_equal(encoded.expression[~mask], 0.0)


def test_unknown_context_is_masked(spec):
    examples = make_raw_examples(4)
    table = examples.table.assign(
        cell_line=["A375", "never seen", None, "MCF7"],
        dose_um=[10.0, np.nan, 0.0, 0.1],
        time_h=[24.0, 1.0, np.nan, 6.0],
    )
    encoded = encode(dataclasses.replace(examples, table=table), spec)
    assert [spec.cell_lines[row] for row in encoded.cell_line] == [
        "A375",
        "unknown",
        "unknown",
        "MCF7",
    ]
    np.testing.assert_array_equal(encoded.dose_mask, [True, False, False, True])
    np.testing.assert_allclose(encoded.log_dose[encoded.dose_mask], [1.0, -1.0])
    np.testing.assert_array_equal(encoded.time_mask, [True, True, False, True])
    np.testing.assert_allclose(encoded.log_time[encoded.time_mask], np.log10([24, 1, 6]), rtol=1e-6)


def test_structures_are_stored_once_and_found_again(spec):
    examples = make_raw_examples(12)
    examples = dataclasses.replace(examples, smiles=(None, *examples.smiles[1:]))
    encoded = encode(examples, spec)
    assert not encoded.has_structure[0]
    assert encoded.has_structure[1:].all()
    assert encoded.molecules[encoded.structure[0]] is None
    np.testing.assert_array_equal(
        encoded.fingerprints[encoded.structure], morgan_fingerprints(examples.smiles)
    )


def test_the_specification_survives_json(spec):
    again = FeatureSpec.from_json(json.loads(json.dumps(spec.to_json())))
    for field in dataclasses.fields(FeatureSpec):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(spec, field.name))


def test_other_molecular_features_are_refused(spec):
    values = spec.to_json()
    values["atom_features"] = values["atom_features"][:-1]
    with pytest.raises(InputError, match="42 atom_features that differ from the 43"):
        FeatureSpec.from_json(values)


def test_without_expression_genes_are_left_as_they_are():
    train = make_raw_examples(4)
    nothing = dataclasses.replace(train, has_expression=np.zeros(4, bool))
    spec = fit_features(nothing, make_gene_table())
    np.testing.assert_array_equal(spec.mean, 0.0)
    np.testing.assert_array_equal(spec.scale, 1.0)
