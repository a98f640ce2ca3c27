r"""Whether target propagation helps, and structure-only compounds with known targets.

    python -m experiments.ablations.run --config=configs/ablations/targets.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/targets

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    own_labels = {
        "target_propagation.share": 0.0,
        "target_propagation.doubt": 0.0,
        # Scales that fit these labels; target-propagated labels are smaller.
        "expert_scales.fusion.signature_kernel": 8.0,
        "expert_scales.fusion.structure_kernel": 12.0,
        "expert_scales.expression.signature_kernel": 13.0,
        "expert_scales.structure.structure_kernel": 15.0,
    }
    return ablation(
        "Does target propagation help?",
        "configs/kernels.py",
        {
            "own labels": arm(own_labels),
            "target-propagated labels": arm(),
            "own labels, structure-only compounds": arm(own_labels, structure_only_compounds=True),
            "target-propagated labels, structure-only compounds": arm(
                structure_only_compounds=True
            ),
        },
    )
