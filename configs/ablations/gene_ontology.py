r"""Whether GO helps: a kernel on the activity of its terms against shuffled annotations.

    python -m experiments.ablations.run --config=configs/ablations/gene_ontology.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/gene_ontology

Results: experiments/ablations/README.md.
"""

import ml_collections

from moa_jax.benchmark.blocks import ablation, arm


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    with_terms = {
        # Terms alone, no genes.
        "model.network_term_share": 1.0,
    }
    return ablation(
        "Does a kernel on the activities of GO terms help?",
        "configs/kernels.py",
        {
            "no graph": arm(),
            "GO": arm(with_terms, model="configs/network_kernel.py"),
            "shuffled GO": arm(
                with_terms, model="configs/network_kernel.py", training="shuffled_annotations"
            ),
        },
    )
