import dataclasses

import pandas as pd

from moa_jax.data.gene_set_table import read_gene_sets
from moa_jax.schemas import GENE_SET_COLUMNS, Split
from moa_jax.training.run_folder import start_run
from tests.synthetic import make_dataset, make_raw_examples, tiny_config


def test_a_run_keeps_the_gene_sets_of_its_data(tmp_path):
    sets = pd.DataFrame([("hallmark", "H", "H", ("100", "102"))], columns=list(GENE_SET_COLUMNS))
    split = Split(rule="compound", seed=0, fold=0, num_folds=2, parts={"BRD-000": "train"})
    dataset = make_dataset(make_raw_examples(4))
    start_run(tmp_path / "without", tiny_config(), split, dataset)
    assert len(read_gene_sets(tmp_path / "without")) == 0
    start_run(tmp_path / "with", tiny_config(), split, dataclasses.replace(dataset, gene_sets=sets))
    pd.testing.assert_frame_equal(read_gene_sets(tmp_path / "with"), sets)
