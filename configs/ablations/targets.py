r"""Whether shared targets help, and structures of which the targets alone are known.

    python -m experiments.ablations.run --config=configs/ablations/targets.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/targets

What was found: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    own_labels = {
        "label_sharing.share": 0.0,
        "label_sharing.doubt": 0.0,
        # More than any label: compounds without label are not learned from.
        "label_sharing.least": 2.0,
        # Where their scales lie; shared labels are smaller.
        "expert_scales.fusion.signature_kernel": 8.0,
        "expert_scales.fusion.structure_kernel": 12.0,
        "expert_scales.expression.signature_kernel": 13.0,
        "expert_scales.structure.structure_kernel": 15.0,
    }
    return ablation(
        "Does it help that compounds with the same targets share labels?",
        "configs/fusion.py",
        {
            "own labels": arm(own_labels),
            "shared labels": arm(),
            "own labels, further structures": arm(own_labels, further_structures=True),
            "shared labels, further structures": arm(further_structures=True),
        },
    )
