"""LINCS 2020, level 5, "gold" signatures of compounds at 24 h and 10 uM in 18 cell lines.

    python -m moa_jax.prepare --config=configs/data/lincs2020.py \
        --config.raw_dir=FOLDER --config.out=data/lincs2020

About a minute on one core. Reached: 3,366 signatures of 978 landmarks; with at least five
compounds per mechanism, 1,707 labelled signatures of 414 compounds over 53 mechanisms.

For a release of your own copy this file and change the paths.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """The complete configuration."""
    config = ml_collections.ConfigDict()
    config.release = "LINCS2020 gold 24h 10uM"
    # Folder of the files; empty means the environment variable MOA_JAX_REAL_DATA.
    config.raw_dir = ""
    # The prepared folder.
    config.out = "data/lincs2020"

    # Relative to raw_dir, or absolute; empty where a release has none.
    config.files = ml_collections.ConfigDict()
    config.files.expression = "expression/LINCS2020_level5_gold_24h_10uM_n3366x978.gctx"
    config.files.siginfo = "expression/LINCS2020_level5_gold_24h_10uM_siginfo.txt"
    config.files.instinfo = ""
    config.files.geneinfo = "genes/geneinfo_beta.txt"
    config.files.gene_ids = "genes/human_gene_ids_org.Hs.eg.db_3.16.0.tsv.gz"
    # An earlier release's gene table: older symbols that aliases alone do not tell.
    config.files.older_geneinfo = "genes/GSE92742_Broad_LINCS_gene_info.txt"
    config.files.bead_map = "beads/barcode_to_gene_map.txt"
    config.files.cellinfo = "cells/GSE92742_Broad_LINCS_cell_info.txt"
    config.files.compounds = "compounds/compounds.tsv"
    config.files.compound_samples = ""
    # Labelled structures without signature, for methods that can use them. The Repurposing Hub is
    # for non-commercial use only; leave both empty to do without it.
    config.files.further_compounds = "compounds/repurposing_drugs_20200324.txt"
    config.files.further_compound_samples = "compounds/repurposing_samples_20200324.txt"
    config.files.kept_aside = "compounds/kept_aside_compounds.tsv"
    config.files.string_links = "string/9606.protein.links.v12.0.notextmining.txt.gz"
    config.files.string_info = "string/9606.protein.info.v12.0.txt.gz"
    config.files.ontology = "go/go-basic.obo"
    config.files.annotations = "go/goa_human_noIEA.gaf.gz"
    # Gene sets that explanations are summed over; either may be left empty.
    config.files.hallmark = "genesets/h.all.v7.0.symbols.gmt"
    config.files.reactome = "genesets/ReactomePathways.gmt"

    # 5: signatures as they are; 4: from z-scores (MODZ); 3: from normalised expression; 0: told
    # by the files.
    config.level = 5
    # How the matrix names its genes: entrez, symbol or a column; empty to find out.
    config.gene_ids = ""
    # What the numbers are: log2, linear or zscore; empty takes it from them.
    config.scale = ""
    # Wells that level 3 is compared with: population or vehicle.
    config.zscore_reference = "population"
    # Signatures are clipped to +- this; 0 leaves them (these were clipped to 10 by their makers).
    config.clip = 0.0
    # Leave out and count profiles with NaN or infinite values; false refuses the file.
    config.drop_nonfinite = False
    # Make signatures of those of their profiles that the files have; false refuses the file.
    config.allow_missing_signatures = False

    config.filters = ml_collections.ConfigDict()
    config.filters.pert_types = ("trt_cp",)
    config.filters.min_tas = 0.0
    config.filters.min_cc_q75 = 0.0
    config.filters.min_replicates = 1
    config.filters.require_hiq = False
    config.filters.require_qc_pass = False
    # Whether signatures stay of which the release does not tell what a filter asks.
    config.filters.keep_missing = True

    config.graph = ml_collections.ConfigDict()
    # STRING's combined_score, 0-1000.
    config.graph.min_score = 700
    # Neighbours within so many links of a landmark or target join, until there are max_genes.
    config.graph.max_hops = 1
    config.graph.max_genes = 3500
    # Terms of so many of the graph's genes; of these the max_terms with most landmarks.
    config.graph.min_term_genes = 10
    config.graph.max_term_genes = 500
    config.graph.max_terms = 1000
    config.graph.namespaces = ("biological_process", "molecular_function", "cellular_component")
    return config
