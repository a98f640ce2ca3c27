"""A new baseline is an entry among the settings that are tried, and its name in a block."""

import pytest

from moa_jax.files import read_json
from tests.recipes.checkout import Checkout, files_of_recipe

pytestmark = pytest.mark.slow

CANDIDATES = "moa_jax/baselines/candidates.py"
ENTRY = """
    "expression_gaussian_bayes": {
        f"smoothing {amount:g}": _on_expression(
            lambda seed, amount=amount: GaussianNB(var_smoothing=amount)
        )
        for amount in (1.0, 0.1)
    },
"""
CONFIG = '''"""Does Gaussian naive Bayes find the mechanism? Seconds on the simulated release."""

import ml_collections

from configs import benchmark_smoke
from moa_jax.benchmark.blocks import block


def get_config():
    config = benchmark_smoke.get_config()
    config.num_processes = 1
    config.min_compounds = 3
    config.blocks = ml_collections.ConfigDict()
    config.blocks.only = block(("prevalence", "expression_gaussian_bayes"))
    return config
'''
PROGRAM = """
from moa_jax import evaluate

assert evaluate.run(["--config=configs/bayes.py", "--config.data={data}", "--workdir=run"]) == 0
"""


def test_a_new_baseline(tmp_path, prepared_release):
    """It is tuned, run on every fold, scored with intervals, and compared with the others."""
    checkout = Checkout(tmp_path)
    checkout.insert(
        CANDIDATES,
        "from sklearn.naive_bayes import GaussianNB\n\n",
        before="from moa_jax.baselines.classifiers.classifier import",
    )
    checkout.insert(CANDIDATES, ENTRY, after="EXPRESSION: dict[str, Mapping[str, Learner]] = {")
    checkout.add("configs/bayes.py", CONFIG)
    assert checkout.touched == files_of_recipe("A new baseline", "bayes")

    checkout.run(PROGRAM.format(data=prepared_release))
    tables = tmp_path / "run" / "tables" / "compound_seed0"
    metrics = read_json(tables / "simulated_metrics.json")
    own = metrics["expression_gaussian_bayes"]["macro_auprc"]
    assert own["low"] < own["estimate"] < own["high"]
    # It is the best baseline on the validation parts, so others are compared with it.
    assert metrics["prevalence"]["difference_in_macro_auprc"]["high"] < 0
    lines = (tables / "simulated_tables.md").read_text().splitlines()
    (row,) = [line for line in lines if "| comparator  " in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    estimate = f"{own['estimate']:.3f} [{own['low']:.3f}, {own['high']:.3f}]"
    assert cells[:4] == ["expression_gaussian_bayes", "expression", "1", estimate]
