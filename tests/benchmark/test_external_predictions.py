import dataclasses

import numpy as np
import pandas as pd
import pytest

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.external_predictions import (
    external_results,
    read_manifests,
    read_predictions,
)
from moa_jax.data.splits.manifest import write_split
from moa_jax.data.splits.rules import make_split
from moa_jax.predictions.result_tables import write_csv
from moa_jax.schemas import InputError
from tests.small_sets import planted_examples

EXAMPLES = planted_examples()
FOLDS = 3


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    for fold in range(FOLDS):
        split = make_split("compound", EXAMPLES, fold=fold, num_folds=FOLDS)
        write_split(folder / f"fold{fold}.json", split)
    return folder


def table(key, keys):
    rng = np.random.default_rng(0)
    values = rng.random((len(keys), len(EXAMPLES.moas)))
    frame = pd.DataFrame(values, columns=list(EXAMPLES.moas))
    frame.insert(0, key, list(keys))
    return frame


@pytest.mark.parametrize("key", ["sig_id", "pert_id", "compound_group"])
def test_predictions_are_pooled_per_compound(tmp_path, manifests, key):
    column = pd.Series(EXAMPLES.groups) if key == "compound_group" else EXAMPLES.table[key]
    frame = table(key, column.drop_duplicates())
    # The order of rows and columns must not matter.
    frame.sample(frac=1, random_state=0).iloc[:, ::-1].to_csv(tmp_path / "mine.csv", index=False)
    predictions = read_predictions(tmp_path / "mine.csv", EXAMPLES.moas)
    results = external_results(predictions, read_manifests(manifests, EXAMPLES), EXAMPLES)
    (pooled,) = results.probs(Line("mine"))
    by_key = frame.set_index(key)
    answers = by_key.loc[list(column)].groupby(np.array(EXAMPLES.groups)).mean()
    np.testing.assert_allclose(pooled, answers.loc[list(results.compounds)].to_numpy())
    assert results.compounds == tuple(sorted(set(EXAMPLES.groups)))
    # Three MoAs, ten compounds each: no training part tells much else than thirds.
    (prior,) = results.probs(Line("prevalence"))
    np.testing.assert_allclose(prior, 1 / 3, atol=0.05)


def test_names_that_were_kept_from_running_as_formulas_are_found(tmp_path):
    names = [f"=cmd|{row}" if row % 2 else f"-{row}" for row in range(4)]
    moas = ("@moa", "plain")
    values = np.random.default_rng(0).random((4, 2))
    frame = pd.DataFrame({"sig_id": names, **dict(zip(moas, values.T, strict=True))})
    write_csv(tmp_path / "mine.csv", frame)
    found = read_predictions(tmp_path / "mine.csv", moas)
    assert found.probs.index.tolist() == names
    np.testing.assert_allclose(found.probs, values, rtol=1e-8)


def edited(tmp_path, change):
    frame = table("sig_id", EXAMPLES.table["sig_id"]).astype(object)
    change(frame).to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="sig_id"), "has no column sig_id, pert_id or"),
        (lambda frame: frame.drop(columns="MoA 1"), "lacks the columns of 1 of 3 MoAs.*'MoA 1'"),
        (lambda frame: pd.concat([frame, frame[:1]]), "empty or repeated sig_id: SIG0"),
        (lambda frame: frame.assign(**{"MoA 2": 1.5}), "the row SIG0 has 1.5 for 'MoA 2'"),
        (lambda frame: frame.assign(**{"MoA 2": "high"}), "has high for 'MoA 2', expected a"),
    ],
)
def test_a_bad_file_is_named(tmp_path, change, message):
    path = edited(tmp_path, change)
    with pytest.raises(InputError, match=message):
        read_predictions(path, EXAMPLES.moas)


def test_a_missing_row_is_named(tmp_path, manifests):
    path = edited(tmp_path, lambda frame: frame[1:])
    predictions = read_predictions(path, EXAMPLES.moas)
    with pytest.raises(InputError, match=r"no row for 1 values of sig_id.*such as SIG0"):
        external_results(predictions, read_manifests(manifests, EXAMPLES), EXAMPLES)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.csv"):
        read_predictions(tmp_path / "none.csv", EXAMPLES.moas)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="has no split manifest"):
        read_manifests(tmp_path, EXAMPLES)


def test_overlapping_manifests_are_refused(tmp_path):
    split = make_split("compound", EXAMPLES, fold=0, num_folds=FOLDS)
    for name in ("a.json", "b.json"):
        write_split(tmp_path / name, split)
    with pytest.raises(InputError, match="in the test part of two manifests"):
        read_manifests(tmp_path, EXAMPLES)


def test_a_leaking_manifest_is_refused(tmp_path):
    split = make_split("compound", EXAMPLES, fold=0, num_folds=FOLDS)
    pert_ids = EXAMPLES.table["pert_id"]
    last = pert_ids.iloc[-1]
    other = next(name for name in split.parts if split.parts[name] != split.parts[last])
    # Another compound of another part gets the structure of the last one.
    smiles = [
        EXAMPLES.smiles[-1] if pert_id == other else own
        for pert_id, own in zip(pert_ids, EXAMPLES.smiles, strict=True)
    ]
    write_split(tmp_path / "leak.json", split)
    with pytest.raises(InputError, match=f"leaks: InChIKey block .*{other}"):
        read_manifests(tmp_path / "leak.json", dataclasses.replace(EXAMPLES, smiles=tuple(smiles)))
