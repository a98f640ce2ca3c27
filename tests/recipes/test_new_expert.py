"""A new expert is a comparison, an entry and a configuration, and nothing else knows its name."""

import pandas as pd
import pytest

from moa_jax.kernels.references import read_references
from tests.recipes.checkout import Checkout, files_of_recipe

pytestmark = pytest.mark.slow

KERNELS, EXPERTS = "moa_jax/models/kernel_experts.py", "moa_jax/models/experts.py"
COMPARISON = '''
@dataclasses.dataclass(frozen=True)
class LengthComparison(Comparison):
    """Compares how many substructures there are, whichever they are."""

    width: float

    def represent(self, params, inputs, graph):
        return jnp.asarray(inputs.substructures).sum(axis=1, keepdims=True, dtype=jnp.int32)

    def kernel(self, represented, inputs, references):
        apart = jnp.log1p(represented) - jnp.log1p(references).T
        return jnp.exp(-self.width * apart**2)

    @property
    def blank(self):
        return 0.0

    def similarity(self, kernel):
        return kernel


'''
ENTRY = """
    "length_kernel": Expert(
        False,
        True,
        "size",
        comparison=lambda model: LengthComparison(model.kernel_settings["length_kernel_width"]),
        settings=("length_kernel_width",),
    ),
"""
CONFIG = '''"""The shipped model with a third kernel expert, on the size of structures."""

from configs import kernels


def get_config():
    config = kernels.get_config()
    config.model.experts = (*config.model.experts, "length_kernel")
    # exp(-width * difference^2) compares the logarithms of two sizes.
    config.model.length_kernel_width = 4.0
    config.kernels.length = {"ridge": 0.1, "max_references": 100}
    for scales in config.expert_scales.values():
        scales.length_kernel = 2.0
    return config
'''
PROGRAMS = """
from moa_jax import predict, train

run = "--workdir=run"
assert train.run(["--config=configs/length.py", "--config.data={data}", run,
                  "--config.vocabulary=frequent", "--config.min_compounds=3",
                  "--config.num_devices=1", "--config.baselines=('prevalence',)"]) == 0
assert predict.run(["--compoundinfo=mine.csv", "--out=answers", run]) == 0
"""


def test_a_new_expert(tmp_path, prepared_release):
    """It is solved, weighed in every view, named as evidence, stored and predicted with."""
    checkout = Checkout(tmp_path)
    checkout.insert(KERNELS, COMPARISON, before="def _centred_inputs(")
    checkout.insert(EXPERTS, "\n    LengthComparison,", after="import (\n    Comparison,")
    checkout.insert(EXPERTS, ENTRY, after="EXPERTS = {")
    checkout.add("configs/length.py", CONFIG)
    assert checkout.touched == files_of_recipe("A new expert", "length")

    (tmp_path / "mine.csv").write_text("id,smiles\nA1,CC(=O)Oc1ccccc1C(=O)O\nA2,CCO\n")
    checkout.run(PROGRAMS.format(data=prepared_release))
    references = read_references(tmp_path / "run")
    experts = ["signature_kernel", "structure_kernel", "length_kernel"]
    assert references["expert"].drop_duplicates().tolist() == experts
    structures = references[references["expert"] == "structure_kernel"]["smiles"]
    lengths = references[references["expert"] == "length_kernel"]["smiles"]
    assert lengths.tolist() == structures.tolist()[: len(lengths)]
    card = (tmp_path / "run" / "simulated_model_card.md").read_text()
    assert f"{len(lengths)} in length_kernel" in card
    answers = pd.read_csv(tmp_path / "answers" / "answers.csv")
    assert answers["pert_id"].tolist() == ["A1", "A2"]
