"""L1000: releases, file formats, plates, replicates, quality, connectivity."""
