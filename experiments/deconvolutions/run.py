"""Agreement of predictions between peak deconvolutions of the same wells.

    python -m experiments.deconvolutions.run --data=data/lincs2020 --plate=FOLDER

Methods on expression are trained on all labelled signatures of a prepared folder and predict the
wells of one plate that was deconvolved by three algorithms. FOLDER has the three files
`<plate>_DE_<algorithm>.gct`.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import pandas as pd

from experiments.deconvolutions.deconvolutions import (
    REFERENCE,
    compare_deconvolutions,
    deconvolution_files,
    exchange_rate,
    match_scale,
    read_deconvolutions,
)
from moa_jax.baselines.registry import make_method
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.pooling import signature_strength
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.predictions.result_tables import markdown_table

METHODS = (
    "cosine_knn",
    "lda_similarity",
    "expression_logistic",
    "expression_rbf_svm",
    "expression_random_forest",
)
COLUMNS = ["top1_agreement", "top1_agreement_by_chance", "jensen_shannon", "spearman"]


def main() -> None:
    """Trains, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder to train on")
    parser.add_argument("--plate", required=True, help="folder of the three deconvolutions")
    settings = parser.parse_args()
    dataset = read_prepared(settings.data)
    train, genes = build_examples(dataset), dataset.signatures.genes
    files = deconvolution_files(pathlib.Path(settings.plate))
    raw = read_deconvolutions(files, genes, train)
    for name in files:
        if name != REFERENCE:
            found = exchange_rate(raw[REFERENCE], raw[name], genes)
            print(
                f"{name}: bead pairs in another order {found.order_flips:.4f} (by chance "
                f"{found.order_flips_by_chance:.4f}), in opposite directions "
                f"{found.opposite_jumps:.4f} (by chance {found.opposite_jumps_by_chance:.4f})"
            )
    wells = {name: match_scale(examples, train)[0] for name, examples in raw.items()}
    strength = signature_strength(wells[REFERENCE])
    weak, strong = np.quantile(strength, [0.5, 0.75])
    strata = {
        "all wells": np.arange(len(strength)),
        "strongest quarter": np.flatnonzero(strength >= strong),
        "weaker half": np.flatnonzero(strength < weak),
    }
    rows = []
    nothing = train.take(np.array([], dtype=np.int64))
    for name in METHODS:
        fitted = make_method(name).fit(train, nothing, dataset.graph, seed=0)
        for stratum, chosen in strata.items():
            some = {key: examples.take(chosen) for key, examples in wells.items()}
            table = compare_deconvolutions(fitted, some)
            rows += _rows(name, stratum, table)
    print(markdown_table(rows))


def _rows(method: str, stratum: str, table: pd.DataFrame) -> list[dict[str, object]]:
    others = table[table["deconvolution"] != REFERENCE]
    return [
        {"method": method, "wells": stratum, "deconvolution": row["deconvolution"]}
        | {column: float(row[column]) for column in COLUMNS}
        for _, row in others.iterrows()
    ]


if __name__ == "__main__":
    main()
