"""Transcriptional consensus signatures of GEO phase II (2017), one per drug over all cell lines.

    python -m moa_jax.prepare --config=configs/data/phase2_consensus.py \
        --config.raw_dir=FOLDER --config.out=data/phase2_consensus

About a minute on one core. Result: 1,518 signatures of 1,505 compounds over 960 of the 978
landmarks (the manifest lists the others), 1,378 of them labelled. Values are signed counts
(Stathias 2018), most of them 0; there are no doses, times or cell lines.
"""

import ml_collections

from configs.data import lincs2020


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration: genes, compounds and graph are those of LINCS 2020."""
    config = lincs2020.get_config()
    config.release = "TCS phase II consensus"
    config.out = "data/phase2_consensus"
    config.files.expression = "expression/TCS_L1000_phase2_2017_n1518x960.gctx"
    config.files.siginfo = "expression/TCS_L1000_phase2_2017_siginfo.txt"
    config.files.cellinfo = ""
    return config
