"""What the programs call the options that decide how a matrix is read."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class OptionNames:
    """Names of options, as messages write them; by default those of `predict` and `explain`."""

    level: str = "--level"
    scale: str = "--scale"
    gene_ids: str = "--gene_ids"
    zscore_reference: str = "--zscore_reference"


# What `prepare` calls them, whose options are keys of a config.
CONFIG_OPTIONS = OptionNames(
    level="--config.level",
    scale="--config.scale",
    gene_ids="--config.gene_ids",
    zscore_reference="--config.zscore_reference",
)
