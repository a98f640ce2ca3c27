"""Every key of every configuration is read by the program that it is for.

The programs run on a tiny release while all reading is recorded, once for each thing that cannot
be on together with another.
"""

import functools
import json
import pathlib

import jax
import pytest

from configs import (
    benchmark_smoke,
    cross_attention,
    fusion,
    kernels,
    network_kernel,
    pretraining,
    smoke,
)
from experiments.ablations import run as ablations
from moa_jax import evaluate, train
from moa_jax.benchmark.blocks import ablation, arm, block
from moa_jax.command_line import load_config
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.preparation.settings import PreparationSettings, SignatureFilters
from moa_jax.data.simulated import SimulationSettings
from moa_jax.knowledge.graph import GraphSettings
from moa_jax.models.fusion import FusionModel
from moa_jax.models.networks import JOINT_FUSIONS
from moa_jax.schemas import InputError
from moa_jax.training.losses.factory import LOSSES
from tests import synthetic, tiny_release
from tests.config_reads import groups, recorded_reads

pytestmark = pytest.mark.slow


ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted(
    path
    for folder in (".", "ablations")
    for path in (ROOT / "configs" / folder).glob("*.py")
    # Settings that configurations with networks share.
    if path.stem != "networks"
)


def tiny(module, prepared, **settings):
    """A configuration for the tiny release, at a size that compiles in seconds."""
    config = module.get_config()
    config.update({"data": str(prepared), "num_devices": 1, "baselines": ()})
    config.update_from_flattened_dict(settings)
    return config


def settle(config, folder):
    """Goes as far as settings can be refused: then the folder turns out to be another run's."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"seed": "another"}))
    with pytest.raises(InputError, match="choose another --workdir"):
        train.train(config, folder)


def read_by_training(prepared, folder):
    train.main(tiny(fusion, prepared), str(folder / "shipped"))
    train.main(tiny(network_kernel, prepared), str(folder / "network_kernel"))
    train.main(tiny(smoke, prepared), str(folder / "smoke"))
    experts = ("signature", "molecule", "joint", "signature_kernel", "structure_kernel")
    networks = {"model.experts": experts, "pretraining.num_steps": 2}
    small = {"batch_size": 32, "num_steps": 4, "eval_every": 2, "log_every": 2}
    sizes = synthetic.tiny_config().model
    networks |= {f"training.{key}": value for key, value in small.items()}
    networks |= {f"model.{key}": sizes[key] for key in sizes if isinstance(sizes[key], int)}
    train.main(tiny(pretraining, prepared, **networks), str(folder / "networks"))
    for name in LOSSES:
        settle(tiny(cross_attention, prepared, **{"training.loss.name": name}), folder / name)
    together = {"training.co_teaching.enabled": True}
    settle(tiny(cross_attention, prepared, **together), folder / "co_teaching")


def read_by_models():
    """Attributes of the model, which takes all settings of `config.model`, kind by kind."""
    batch, graph = synthetic.batch_of(), synthetic.make_graph()
    for kind in JOINT_FUSIONS:
        model = synthetic.make_model(joint_fusion=kind)
        jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), batch, graph)


def read_by_benchmarks(prepared, folder):
    config = benchmark_smoke.get_config()
    config.update({"data": str(prepared), "num_processes": 1, "neural": False})
    config.statistics.num_resamples = 10
    del config.blocks
    config.blocks = {"one": block(("prevalence", "expression_mlp"), test={"gaussian": (1.0,)})}
    evaluate.main(config, str(folder / "benchmark"), predictions="", splits="")
    arms = {"first": arm(method="prevalence"), "second": arm({"scale_prior": 2.0})}
    config = ablation("Does it work?", "configs/kernels.py", arms, num_folds=2)
    config.update({"data": str(prepared)})
    config.split.seeds = (0,)
    ablations.main(config, str(folder / "ablation"))


@pytest.fixture(scope="module")
def reads(prepared_release, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reads")
    with recorded_reads(FusionModel) as reads:
        read_by_training(prepared_release, folder)
        read_by_models()
        read_by_benchmarks(prepared_release, folder)
    return reads


def with_blocks_as_settings(config):
    """The configuration with kinds of conditions, which are keys, as the values that they are."""
    for own in config.get("blocks", {}).values():
        with own.unlocked(), own.ignore_type():
            own.training, own.test = tuple(own.training), tuple(own.test)
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_key_is_read(reads, path):
    assert reads.unread(with_blocks_as_settings(load_config(str(path)))) == []


@pytest.mark.parametrize("key", ["frobnicate", "training.frobnication", "kernels.signature.depth"])
def test_a_planted_key_that_nobody_reads_is_found(reads, key):
    config = kernels.get_config()
    group, _, name = f".{key}".rpartition(".")
    group = group.removeprefix(".")
    known = {path.rstrip("."): own for path, own in groups(config)}
    before = frozenset(known[group])
    with config.unlocked():
        config.update_from_flattened_dict({key: 1})
    # Its neighbours were read of the group as it was.
    reads.single |= {(before | {name}, old) for seen, old in reads.single if seen == before}
    assert reads.unread(config) == [key]


def test_every_setting_of_a_release_is_read(tmp_path):
    settings = (PreparationSettings, SignatureFilters, GraphSettings, SimulationSettings)
    with recorded_reads(*settings) as reads:
        raw = tiny_release.make_release(tmp_path / "raw")
        for level in (3, 5):
            prepare(tiny_release.config_of(raw, level))
    # Asked for where profiles are missing: tests/data/preparation/test_expression_sources.py.
    assert reads.fields - reads.attributes == {"allow_missing_signatures"}
