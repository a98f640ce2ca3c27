"""The data of a benchmark: its release, its splits, and the examples of a cell."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterable

import ml_collections

from moa_jax.benchmark.plan import PHASE, SplitKey
from moa_jax.data.examples.build import structure_only_compounds
from moa_jax.data.examples.release_alignment import align_examples
from moa_jax.data.preparation.embedded_release import open_dataset
from moa_jax.data.splits.leaks import check_no_leaks, without_leaks
from moa_jax.data.splits.manifest import read_split, write_split
from moa_jax.data.splits.partition import both_releases, examples_of, partition_examples
from moa_jax.data.splits.rules import make_split, phase_split
from moa_jax.data.splits.unlabelled import training_sources, unlabelled_examples
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared
from moa_jax.progress import say, track
from moa_jax.schemas import Examples, InputError, Split


@dataclasses.dataclass(frozen=True)
class Parts:
    """The examples of one partition of the data."""

    train: Examples
    validation: Examples
    test: Examples


class BenchmarkData:
    """The data of a benchmark; every process has its own.

    Attributes:
      dataset: the prepared release.
      examples: its labelled signatures.
    """

    def __init__(self, config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
        """Opens the data.

        Args:
          config: see `configs/benchmark.py`.
          workdir: folder of the benchmark; manifests of the splits are kept there.

        Raises:
          InputError: the data cannot be used.
        """
        self._config = config
        self._workdir = workdir
        self.dataset: PreparedDataset = open_dataset(config.data)
        self.examples = examples_of(config, self.dataset)

    @functools.cached_property
    def _structures_only(self) -> Examples:
        return structure_only_compounds(self.dataset, self.examples)

    @functools.lru_cache(maxsize=2)  # noqa: B019 (one object per process, alive until its end)
    def _unlabelled(self, sources: frozenset[str]) -> Examples:
        return unlabelled_examples(self.dataset, self.examples, sources)

    @functools.lru_cache(maxsize=4)  # noqa: B019 (one object per process, alive until its end)
    def tested(self, test_data: str) -> Examples:
        """Examples from which test parts are taken: those of the release, or of another one."""
        if not test_data:
            return self.examples
        genes = self.dataset.signatures.genes
        return align_examples(read_prepared(test_data), self.examples, genes)

    def manifest_path(self, key: SplitKey) -> pathlib.Path:
        """Path of the manifest of a split."""
        return self._workdir / "splits" / key.name / f"fold{key.fold}.json"

    def make_splits(self, keys: Iterable[SplitKey]) -> None:
        """Splits the data, checks for leaks and writes the manifests.

        Raises:
          InputError: a rule does not fit the data, a split leaks, or the folder has the manifest of
            a different split.
        """
        for key in track(list(dict.fromkeys(keys)), "splits"):
            split = self._make(key)
            allowed = check_no_leaks(split, self._all_examples(key))
            path = self.manifest_path(key)
            if path.exists() and read_split(path) != split:
                raise InputError(
                    f"{path} is a different split of the data; choose another --workdir."
                )
            write_split(path, split)
            if allowed and key.fold == 0:
                counts = ", ".join(f"{count} {kind}" for kind, count in allowed.items())
                say(f"{key.name}: in more than one part, which this rule allows: {counts}")

    def _test_release(self, key: SplitKey) -> Examples | None:
        return self.tested(key.test_data) if key.test_data else None

    def _all_examples(self, key: SplitKey) -> Examples:
        """All examples of a split, to check for leaks."""
        return both_releases(self.examples, self._test_release(key))

    def _make(self, key: SplitKey) -> Split:
        settings = {
            "seed": key.seed,
            "validation_fraction": self._config.split.validation_fraction,
        }
        if key.rule == PHASE:
            return phase_split(self.examples, self.tested(key.test_data), **settings)
        return make_split(
            key.rule,
            self.examples,
            fold=key.fold,
            num_folds=self._config.split.num_folds,
            **settings,
        )

    def unlabelled(
        self, key: SplitKey, model: ml_collections.ConfigDict, *, structure_only_compounds: bool
    ) -> Examples | None:
        """Unlabelled signatures and structures that do not leak into the test part.

        None if the model trains on labelled ones alone.

        Args:
          key: the split.
          model: configuration of the model.
          structure_only_compounds: use structure-only compounds.
        """
        if not (structure_only_compounds or model.ligands):
            return None
        split = read_split(self.manifest_path(key))
        sources = training_sources(model, structure_only=structure_only_compounds)
        return without_leaks(split, self._all_examples(key), self._unlabelled(sources))

    def parts(self, key: SplitKey, *, structure_only_compounds: bool) -> Parts:
        """The partition of a split, by its manifest.

        Args:
          key: the split.
          structure_only_compounds: add structure-only compounds that do not leak to the training
            part.
        """
        return Parts(
            **partition_examples(
                read_split(self.manifest_path(key)),
                self.examples,
                structures=self._structures_only if structure_only_compounds else None,
                test_release=self._test_release(key),
            )
        )
