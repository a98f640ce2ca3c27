"""LINCS 2020, level 5, "gold" signatures of compounds at 24 h and 10 uM in 18 cell lines.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py \
        --config.raw_dir=FOLDER --config.out=data/lincs2020

About a minute on one core. Result: 3,366 signatures of 978 landmarks; with at least five compounds
per mechanism, 1,707 labelled signatures of 414 compounds over 53 mechanisms. Beside them 4,020
labelled structures without signature, and 5,218 ligands of 248 targets.

For another release copy this file and change the paths; the other keys are explained in
`moa_jax/data/preparation/release_config.py`.
"""

import ml_collections

from moa_jax.data.preparation.release_config import release_config


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = release_config("LINCS2020 gold 24h 10uM", out="data/lincs2020")
    config.files.expression = "expression/LINCS2020_level5_gold_24h_10uM_n3366x978.gctx"
    config.files.siginfo = "expression/LINCS2020_level5_gold_24h_10uM_siginfo.txt"
    config.files.geneinfo = "genes/geneinfo_beta.txt"
    config.files.gene_ids = "genes/human_gene_ids_org.Hs.eg.db_3.16.0.tsv.gz"
    # An earlier release's gene table, for previous symbols that are not among the aliases.
    config.files.older_geneinfo = "genes/GSE92742_Broad_LINCS_gene_info.txt"
    config.files.bead_map = "beads/barcode_to_gene_map.txt"
    config.files.cellinfo = "cells/GSE92742_Broad_LINCS_cell_info.txt"
    config.files.compounds = "compounds/compounds.tsv"
    # Labelled structures without signatures, for methods that can use them. The Repurposing Hub is
    # for non-commercial use only; leave both empty to omit it.
    config.files.structure_only_compounds = "compounds/repurposing_drugs_20200324.txt"
    config.files.structure_only_compound_samples = "compounds/repurposing_samples_20200324.txt"
    # Ligands of known targets without signature: kinases, and 29 proteins of ChEMBL; DrugCentral
    # says what drugs do to their targets. (KIBA has no stated licence; the others are CC BY-SA.)
    config.files.ligands = (
        "targets/kiba",
        "targets/chembl_moleculeace",
        "targets/drugcentral_drug.target.interaction.tsv.gz",
    )
    config.files.excluded_compounds = "compounds/kept_aside_compounds.tsv"
    config.files.string_links = "string/9606.protein.links.v12.0.notextmining.txt.gz"
    config.files.string_info = "string/9606.protein.info.v12.0.txt.gz"
    config.files.ontology = "go/go-basic.obo"
    config.files.annotations = "go/goa_human_noIEA.gaf.gz"
    # Gene sets by which explanations are summarised; either may be empty.
    config.files.hallmark = "genesets/h.all.v7.0.symbols.gmt"
    config.files.reactome = "genesets/ReactomePathways.gmt"
    return config
