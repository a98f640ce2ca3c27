"""A made-up screen for the tests of splits: compounds x cell lines x doses x times, on plates."""

import dataclasses
import itertools

import numpy as np

from tests.small_sets import examples

RINGS = (
    *("c1ccccc1", "c1ccncc1", "c1ccc2ccccc2c1", "c1ccoc1", "C1CCCCC1"),
    *("c1ccsc1", "C1CCNCC1", "c1cnc[nH]1", "c1ccc2[nH]ccc2c1", "C1CCOC1"),
)
TAILS = ("OCCC", "NCCC", "CCCCC", "FCCC")
# Four compounds of each of ten scaffolds, each of another InChIKey block.
MOLECULES = tuple(f"{tail}{ring}" for ring in RINGS for tail in TAILS)
LINES = tuple(f"LINE{line}" for line in range(6))


def screen_examples(*, lines=LINES, doses=(10.0,), times=(24.0,), num_moas=10, per_plate=4):
    """Every compound once under every condition; compounds share plates `per_plate` by `per_plate`.

    Compound `row` has the MoA `row % num_moas`, and every seventh the next one as well.
    """
    wells = list(itertools.product(range(len(MOLECULES)), lines, doses, times))
    compound = np.array([well[0] for well in wells])
    labels = np.eye(num_moas)[compound % num_moas]
    labels += np.eye(num_moas)[(compound + 1) % num_moas] * (compound % 7 == 0)[:, None]
    made = examples(
        labels,
        [f"G{row:02d}" for row in compound],
        smiles=[MOLECULES[row] for row in compound],
        pert_ids=[f"P{row:02d}" for row in compound],
    )
    table = made.table.assign(
        compound=[f"drug {row}" for row in compound],
        cell_line=[well[1] for well in wells],
        dose_um=[well[2] for well in wells],
        time_h=[well[3] for well in wells],
        plate=[f"PL{row // per_plate}_{line}_X1|PL{row // per_plate}_{line}_X2"
               for row, line, _, _ in wells],
    )  # fmt: skip
    return dataclasses.replace(made, table=table)


def structure_only_examples(source, smiles, *, groups=None, names=None, moa=0):
    """Labelled structures without expression, in the vocabulary of `source`."""
    groups = groups or [f"FURTHER{row}" for row in range(len(smiles))]
    labels = np.zeros((len(smiles), len(source.moas)))
    labels[:, moa] = 1
    made = examples(
        labels,
        groups,
        expression=np.zeros((len(smiles), source.expression.shape[1])),
        smiles=smiles,
        moas=source.moas,
        pert_ids=[f"F{row}" for row in range(len(smiles))],
    )
    table = made.table.assign(
        sig_id=[f"structure {row}" for row in range(len(smiles))],
        compound=names or [None] * len(smiles),
        **dict.fromkeys(("cell_line", "plate")),
        **dict.fromkeys(("dose_um", "time_h"), np.nan),
    )
    return dataclasses.replace(made, table=table, has_expression=np.zeros(len(smiles), bool))


def moved(split, keys, part):
    """The split with some keys in another part."""
    return dataclasses.replace(split, parts={**split.parts, **dict.fromkeys(keys, part)})


def keys_in(split, part):
    return sorted(key for key, found in split.parts.items() if found == part)
