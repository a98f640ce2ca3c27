"""Genes that tell how cells fare, whatever the mechanism: those that divide and those that suffer.

By symbol, as knowledge of others, for controls and second tasks.
"""

# Landmarks among the S and G2/M genes of Tirosh 2016 (Science 352:189, table S5): high in
# dividing cells.
PROLIFERATION_GENES = (
    *("PCNA", "RFC2", "RPA2", "GMNN", "CCNE2", "UBR7", "CDC45", "USP1"),
    *("CDK1", "NUSAP1", "UBE2C", "BIRC5", "TOP2A", "SMC4", "CCNB2", "AURKB", "CDC20"),
    *("KIF2C", "NCAPD2", "AURKA", "PSRC1", "LBR", "CENPE"),
)
# Landmarks that dying or stressed cells raise, from the hallmark sets apoptosis, p53 pathway and
# unfolded protein response (Liberzon 2015) and the heat shock response (Richter 2010).
STRESS_GENES = (
    *("CDKN1A", "GADD45A", "GADD45B", "SESN1", "DDB2", "BAX", "FAS", "PMAIP1", "BID"),
    *("CASP3", "CASP7", "IER3", "JUN", "DDIT4", "TRIB3", "CHAC1", "HERPUD1", "XBP1"),
    *("EDEM1", "HMOX1", "SQSTM1", "HSPA1A", "DNAJB1", "HSPB1", "BAG3"),
)
