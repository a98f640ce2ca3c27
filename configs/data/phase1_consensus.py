"""Consensus signatures of GEO phase I (2017), one per DrugBank compound over all signatures.

    python -m moa_jax.prepare --config=configs/data/phase1_consensus.py \
        --config.raw_dir=FOLDER --config.out=data/phase1_consensus

About a minute on one core. Result: 1,061 signatures of 1,040 compounds, 805 of them labelled.
Values are Stouffer-combined z-scores with heavy tails (up to 207 in absolute value), not clipped by
default (`--config.clip=10` does). There are no doses, times or cell lines.
"""

import ml_collections

from configs.data import lincs2020


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration: genes, compounds and graph are those of LINCS 2020."""
    config = lincs2020.get_config()
    config.release = "DrugBank phase I consensus"
    config.out = "data/phase1_consensus"
    config.files.expression = "expression/L1000_phase1_consensus_drugbank_n1061x978.gctx"
    config.files.siginfo = "expression/L1000_phase1_consensus_drugbank_siginfo.txt"
    config.files.cellinfo = ""
    return config
