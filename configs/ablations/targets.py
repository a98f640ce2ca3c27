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
        "target_propagation.share": 0.0,
        "target_propagation.doubt": 0.0,
        # More than any label: compounds without label are not learned from.
        "target_propagation.least": 2.0,
        # Where their scales lie; target-propagated labels are smaller.
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
            "target-propagated labels": arm(),
            "own labels, structure-only compounds": arm(own_labels, structure_only_compounds=True),
            "target-propagated labels, structure-only compounds": arm(
                structure_only_compounds=True
            ),
        },
    )
