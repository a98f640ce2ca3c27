"""Models of the compound split's folds, and the signatures of their test compounds."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import jax
import ml_collections
import numpy as np
from jaxtyping import Float, Int

from moa_jax.calibration.calibration_store import read_held_out
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.explanation.attribution.baseline_signatures import (
    cell_line_means,
    cell_line_offsets,
    no_change,
    reference_draws,
)
from moa_jax.explanation.attribution.target import AttributionTarget, Directions, moa_directions
from moa_jax.model_card.card import CARD_FILE
from moa_jax.progress import say
from moa_jax.schemas import Examples, InputError, KnowledgeGraph
from moa_jax.train import train
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.runs.run_folder import FinishedRun, open_run

# Baselines of expected gradients for each signature.
NUM_BASELINES = 16


@dataclasses.dataclass(frozen=True)
class ScoredSignatures:
    """Signatures, a model, and the score of each signature that is explained.

    Attributes:
      predictor: the model.
      graph: the knowledge graph that it was trained with.
      examples: the signatures.
      moas: column of the MoA whose logit is explained.
      expert: the expert whose part of the logit is explained; empty for the whole logit.
      centred: whether the mean logit of all MoAs, which no probability depends on, is subtracted.
    """

    predictor: Predictor
    graph: KnowledgeGraph
    examples: Examples
    moas: Int[np.ndarray, " example"]
    expert: str = ""
    centred: bool = False

    @functools.cached_property
    def encoded(self) -> EncodedExamples:
        """The signatures as the model reads them."""
        return self.predictor.encode(self.examples)

    @property
    def attribution_target(self) -> AttributionTarget:
        """Logits, or an expert's part of them, by genes."""
        task, without = self.predictor.task, ()
        if self.expert:
            without = tuple(name for name in task.model.experts if name != self.expert)
        return AttributionTarget(task, without=without)

    @property
    def directions(self) -> Directions:
        """One score per signature."""
        count = len(self.predictor.features.moas)
        directions = moa_directions(self.moas[:, None], count)
        return directions - np.float32(1 / count) if self.centred else directions

    @property
    def zero(self) -> Float[np.ndarray, "example 1 gene"]:
        """Signatures in which nothing changed."""
        return no_change(self.encoded, self.predictor.features)

    def draws(self, seed: int) -> Float[np.ndarray, "example baseline gene"]:
        """References of the signature kernel."""
        return reference_draws(self.encoded, self.predictor, num_baselines=NUM_BASELINES, seed=seed)

    def replacements(self) -> dict[str, Float[np.ndarray, "example gene"]]:
        """Values that genes are replaced by."""
        offsets = cell_line_offsets(self.predictor)
        return {
            "no change": self.zero[:, 0],
            "cell line's mean": cell_line_means(self.encoded, offsets)[:, 0],
        }

    def take(self, rows: Int[np.ndarray, " row"]) -> ScoredSignatures:
        """Some of the signatures."""
        return dataclasses.replace(self, examples=self.examples.take(rows), moas=self.moas[rows])

    def with_model(self, other: ScoredSignatures) -> ScoredSignatures:
        """The same signatures and scores under the model of another fold."""
        return dataclasses.replace(self, predictor=other.predictor)

    def of_compounds(self, count: int, seed: int) -> ScoredSignatures:
        """All signatures of at most `count` compounds, drawn at random."""
        names = np.unique(np.asarray(self.examples.groups, str))
        chosen = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
        rows = [row for row, group in enumerate(self.examples.groups) if group in chosen]
        return self.take(np.array(rows, int))

    def some_of_each(self, count: int, seed: int) -> ScoredSignatures:
        """At most `count` signatures of each compound, drawn at random."""
        rng = np.random.default_rng(seed)
        groups = np.asarray(self.examples.groups, str)
        rows = [
            rng.permutation(np.flatnonzero(groups == group))[:count] for group in np.unique(groups)
        ]
        return self.take(np.sort(np.concatenate(rows)))


def trained_run(
    config: ml_collections.ConfigDict, runs: pathlib.Path, *, fold: int, seed: int
) -> pathlib.Path:
    """Folder of the run of one fold and split seed, which is trained if it does not exist."""
    config = ml_collections.ConfigDict(config.to_dict())
    config.split.fold, config.split.seed, config.num_devices = fold, seed, 1
    config.baselines = ()
    folder = runs / f"split{seed}_fold{fold}"
    # The last file that is written.
    if not (folder / CARD_FILE).is_file():
        train(config, folder)
        # A fold's compiled programs serve no other; those of several fill the memory maps.
        jax.clear_caches()
    return folder


def fold_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Folders of the runs that `trained_run` put into a folder.

    Raises:
      InputError: there is none.
    """
    found = sorted(folder.glob("split*_fold*"))
    if not found:
        raise InputError(f"{folder} has no folder of a fold (split*_fold*).")
    return found


def signatures_of_run(folder: pathlib.Path) -> ScoredSignatures:
    """A run's test signatures with the most probable MoA of each compound."""
    run = open_run(folder, num_devices=1)
    examples = read_held_out(folder, run.predictor.features.moas)
    say(f"{folder.name}: {examples.num_examples} test signatures")
    return with_answers(run, examples)


def with_answers(run: FinishedRun, examples: Examples) -> ScoredSignatures:
    """Signatures with the most probable MoA of each compound."""
    probs = run.predictor.predict(examples)["fusion"].astype(np.float64)
    pooled, _, groups = pool_by_compound(probs, examples.labels, examples.groups)
    place = np.searchsorted(np.array(groups), np.array(examples.groups))
    return ScoredSignatures(run.predictor, run.graph, examples, pooled.argmax(axis=1)[place])


def compound_means(
    values: Float[np.ndarray, "example *feature"], groups: Sequence[str]
) -> Float[np.ndarray, "compound *feature"]:
    """Means over the signatures of each compound, in the sorted order of the compounds."""
    names, unit = np.unique(np.asarray(groups, str), return_inverse=True)
    total = np.zeros((len(names), *values.shape[1:]))
    np.add.at(total, unit, values)
    return total / np.bincount(unit).reshape(-1, *[1] * (values.ndim - 1))


def first_rows(groups: Sequence[str]) -> Int[np.ndarray, " compound"]:
    """A signature of each compound, in the sorted order of the compounds."""
    return np.unique(np.asarray(groups, str), return_index=True)[1]
