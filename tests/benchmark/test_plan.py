import ml_collections
import pytest

from configs import benchmark, benchmark_smoke, main_result
from moa_jax.benchmark.blocks import block
from moa_jax.benchmark.plan import Cell, SplitKey, plan
from moa_jax.schemas import InputError


def config_of(*, neural=True, seeds=(0,), **blocks):
    config = ml_collections.ConfigDict()
    config.neural = neural
    config.split = ml_collections.ConfigDict({"num_folds": 2, "seeds": seeds})
    config.blocks = ml_collections.ConfigDict(blocks)
    return config


def test_a_block_is_the_product_of_what_it_lists():
    cells = plan(
        config_of(
            only=block(
                ("prevalence", "cosine_knn"),
                splits=("compound", "scaffold"),
                seeds=(0, 3),
                training={"uniform_labels": (0.2, 0.4)},
            )
        )
    )
    assert len(cells) == 2 * 2 * 2 * 2 * 2
    assert len({cell.path for cell in cells}) == len(cells)
    first = cells[0]
    assert first.split == SplitKey("compound", 0, 0)
    assert first.path.as_posix() == "compound_seed0/fold0/uniform_labels_0.2/prevalence_seed0.npz"


def test_seeds_of_the_split_are_repeats():
    cells = plan(config_of(seeds=(0, 1), only=block(("prevalence",))))
    assert [cell.split.name for cell in cells] == ["compound_seed0"] * 2 + ["compound_seed1"] * 2


def test_a_cell_of_two_blocks_is_run_once_with_the_tests_of_both():
    cells = plan(
        config_of(
            first=block(("cosine_knn",), test={"gaussian": (1.0,)}),
            second=block(("cosine_knn",), test={"gaussian": (1.0, 2.0)}),
        )
    )
    assert len(cells) == 2
    assert [test.name for test in cells[0].tests] == ["clean", "gaussian_1", "gaussian_2"]


def test_views_of_the_fusion_model_share_one_model():
    cells = plan(config_of(only=block(("fusion", "fusion_expression", "cosine_knn"))))
    fold = [cell for cell in cells if cell.split.fold == 0]
    assert fold[0].model == fold[1].model != fold[2].model


def test_structure_only_compounds_are_another_cell():
    cells = plan(
        config_of(
            first=block(("morgan_logistic",)),
            second=block(("morgan_logistic",), structure_only_compounds=True),
        )
    )
    assert len({cell.path for cell in cells}) == 4
    assert len({cell.model for cell in cells}) == 4


def test_without_networks_the_plain_methods_stay():
    cells = plan(config_of(neural=False, only=block(("fusion", "cosine_knn"))))
    assert {cell.method for cell in cells} == {"cosine_knn"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": ("horoscope",)}, "config.blocks.only.methods: there is no 'horoscope'"),
        ({"splits": ("coin",)}, "config.blocks.only.splits: there is no 'coin'"),
        ({"splits": ("phase",)}, "phase needs a prepared folder as test_data"),
        ({"test_data": "data/other"}, "no other rule takes one"),
        ({"training": {"gossip": (1.0,)}}, "there is no training perturbation 'gossip'"),
        ({"test": {"gaussian": (-1.0,)}}, "gaussian has the level -1"),
    ],
)
def test_what_does_not_exist_is_named(changed, message):
    arguments = {"methods": ("cosine_knn",), **changed}
    with pytest.raises(InputError, match=message):
        plan(config_of(only=block(arguments.pop("methods"), **arguments)))


def test_an_empty_benchmark_is_refused():
    with pytest.raises(InputError, match="the benchmark is empty"):
        plan(config_of())


@pytest.mark.parametrize("module", [benchmark, benchmark_smoke, main_result])
def test_configurations_can_be_planned(module):
    cells = plan(module.get_config())
    assert all(isinstance(cell, Cell) for cell in cells)
    assert len({cell.path for cell in cells}) == len(cells)


def test_the_benchmark_asks_for_what_every_table_must_hold():
    cells = plan(benchmark.get_config())
    methods = {cell.method for cell in cells}
    assert {"prevalence", "shuffled_labels", "signature_strength", "viability"} <= methods
    trainings = {cell.training.kind for cell in cells}
    assert {"rewired_string", "shuffled_annotations", "without_structure"} <= trainings
    tests = {test.kind for cell in cells for test in cell.tests}
    assert {"structure_absent", "structure_shuffled", "peak_swap"} <= tests
    seeds = {cell.seed for cell in cells if cell.method == "expression_random_forest"}
    assert len(seeds) == 5
