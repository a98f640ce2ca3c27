"""L1000 as the field knows it: releases, GCTX and GCT, plates, replicates, quality."""
