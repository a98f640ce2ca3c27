"""Negative controls without information on the mechanism, which a useful method must beat.

Shuffled labels, the strength of a signature, the viability of the cells (Szalai 2019), and the
experimental context. The prevalence is in `prevalence`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from moa_jax.baselines.classifiers.classifier import Classifier, ClassifierLearner, FittedClassifier
from moa_jax.baselines.classifiers.late_fusion import LateFusion
from moa_jax.baselines.classifiers.logistic import balanced_logistic
from moa_jax.baselines.interface import Fitted, Learner
from moa_jax.baselines.prevalence import Prevalence
from moa_jax.data.examples.pooling import STRONG_Z
from moa_jax.schemas import Examples, KnowledgeGraph

# Landmarks among the S and G2/M genes of Tirosh 2016 (Science 352:189, table S5): high in
# dividing cells.
PROLIFERATION_GENES = (
    *("PCNA", "RFC2", "RPA2", "GMNN", "CCNE2", "UBR7", "CDC45", "USP1"),
    *("CDK1", "NUSAP1", "UBE2C", "BIRC5", "TOP2A", "SMC4", "CCNB2", "AURKB", "CDC20"),
    *("KIF2C", "NCAPD2", "AURKA", "PSRC1", "LBR", "CENPE"),
)
# Landmarks that dying or stressed cells raise, from the hallmark sets apoptosis, p53 pathway and
# unfolded protein response (Liberzon 2015) and the heat shock response (Richter 2010).
STRESS_GENES = (
    *("CDKN1A", "GADD45A", "GADD45B", "SESN1", "DDB2", "BAX", "FAS", "PMAIP1", "BID"),
    *("CASP3", "CASP7", "IER3", "JUN", "DDIT4", "TRIB3", "CHAC1", "HERPUD1", "XBP1"),
    *("EDEM1", "HMOX1", "SQSTM1", "HSPA1A", "DNAJB1", "HSPB1", "BAG3"),
)


def permute_labels(examples: Examples, seed: int) -> Examples:
    """The same examples with the labels permuted among compounds.

    All examples of a compound get one set of labels, the union over its donor's examples, so that
    the number of compounds per MoA is unchanged.
    """
    names, unit = np.unique(np.asarray(examples.groups, str), return_inverse=True)
    labels = np.zeros((len(names), len(examples.moas)), np.float32)
    np.maximum.at(labels, unit, examples.labels)
    donor = np.random.default_rng(seed).permutation(len(names))
    return dataclasses.replace(examples, labels=labels[donor][unit])


@dataclasses.dataclass(frozen=True)
class ShuffledLabels:
    """The product of logistic regressions, trained on the labels of other compounds."""

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> Fitted:
        """Fits to permuted labels."""
        return LateFusion().fit(permute_labels(examples, seed), graph, seed=seed)


@dataclasses.dataclass(frozen=True)
class SignatureSummary:
    """A few summary statistics of each signature; NaN where unknown.

    Attributes:
      summarise: examples -> statistics.
    """

    summarise: Callable[[Examples], Float[np.ndarray, "example feature"]]

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example has a signature and at least one statistic is known."""
        known = np.isfinite(self.summarise(examples)).any(axis=1)
        return examples.has_expression & known

    def fit_transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """The statistics; nothing is fitted."""
        return self.transform(examples)

    def transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """The statistics."""
        return self.summarise(examples)


def signature_strength(examples: Examples) -> Float[np.ndarray, "example 4"]:
    """TAS, cc_q75, log of 1 + the L2 norm and of 1 + the number of genes with |z| >= 2."""
    size = np.abs(np.where(examples.gene_mask, examples.expression, 0.0))
    quality = examples.table[["tas", "cc_q75"]].to_numpy(float)
    norm = np.log1p(np.linalg.norm(size, axis=1))
    num_strong = np.log1p((size >= STRONG_Z).sum(axis=1))
    return np.column_stack([quality, norm, num_strong])


def mean_expression(
    examples: Examples, gene_sets: Sequence[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, "example gene_set"]:
    """Mean over the measured genes of each set; NaN where none was measured."""
    measured = [rows[examples.gene_mask[rows]] for rows in gene_sets]
    means = [
        examples.expression[:, rows].mean(axis=1)
        if len(rows)
        else np.full(examples.num_examples, np.nan)
        for rows in measured
    ]
    return np.column_stack(means).astype(float)


class Context:
    """Cell line, log10 of dose and log10 of time of a signature; no expression is read."""

    def __init__(self) -> None:
        self._cell_lines: list[str] = []

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example has a signature with a known cell line, dose or time."""
        context = examples.table[["cell_line", "dose_um", "time_h"]]
        return examples.has_expression & context.notna().any(axis=1).to_numpy()

    def fit_transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Fits the vocabulary of cell lines."""
        self._cell_lines = sorted(examples.table["cell_line"].dropna().unique())
        return self.transform(examples)

    def transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """One column per training cell line, all 0 for any other, then dose and time."""
        cell_line = examples.table["cell_line"].to_numpy(object)
        one_hot = cell_line[:, None] == np.array(self._cell_lines, object)
        amounts = examples.table[["dose_um", "time_h"]].to_numpy(float)
        logs = np.log10(amounts, out=np.full(amounts.shape, np.nan), where=amounts > 0)
        return np.column_stack([one_hot.astype(float), logs])


def _imputer() -> SimpleImputer:
    """Median imputation, with indicator columns."""
    return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)


def _linear(inverse_penalty: float) -> Callable[[int], Classifier]:
    return lambda seed: make_pipeline(
        _imputer(),
        StandardScaler(),
        balanced_logistic(inverse_penalty),
    )


def _forest(min_samples_leaf: int) -> Callable[[int], Classifier]:
    return lambda seed: make_pipeline(
        _imputer(),
        RandomForestClassifier(
            100, min_samples_leaf=min_samples_leaf, class_weight="balanced", random_state=seed
        ),
    )


# Classifiers for few features, linear and nonlinear, each strongly and weakly regularised.
SMALL_CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "logistic, C=0.1": _linear(0.1),
    "logistic, C=10": _linear(10.0),
    "forest, leaves of 20": _forest(20),
    "forest, leaves of 5": _forest(5),
}


@dataclasses.dataclass(frozen=True)
class Viability:
    """Mean expression of proliferation and stress genes.

    Cytotoxic compounds have similar signatures whatever their mechanism (Szalai 2019, Nucleic
    Acids Research 47:10010), so a method may do well only by recognising dying cells.

    Attributes:
      make_classifier: seed -> classifier of two features.
    """

    make_classifier: Callable[[int], Classifier]

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedClassifier:
        """Fits to the mean expression of the two gene sets, by their symbols in `graph`."""
        symbols = graph.genes["symbol"].iloc[: len(examples.gene_mask)]
        sets = [
            np.flatnonzero(symbols.isin(genes)) for genes in (PROLIFERATION_GENES, STRESS_GENES)
        ]
        learner = ClassifierLearner(
            self.make_classifier, lambda: SignatureSummary(lambda some: mean_expression(some, sets))
        )
        return learner.fit(examples, graph, seed=seed)


CONTROLS: dict[str, Mapping[str, Learner]] = {
    "prevalence": {"as known": Prevalence()},
    "shuffled_labels": {"product of logistics": ShuffledLabels()},
    "signature_strength": {
        setting: ClassifierLearner(make, lambda: SignatureSummary(signature_strength))
        for setting, make in SMALL_CLASSIFIERS.items()
    },
    "viability": {setting: Viability(make) for setting, make in SMALL_CLASSIFIERS.items()},
    "context_only": {
        setting: ClassifierLearner(make, Context) for setting, make in SMALL_CLASSIFIERS.items()
    },
}
