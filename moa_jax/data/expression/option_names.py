"""Names of the options for reading a matrix, as they appear in messages."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class OptionNames:
    """Names of options; by default those of `predict` and `explain`."""

    level: str = "--level"
    scale: str = "--scale"
    gene_ids: str = "--gene_ids"
    zscore_reference: str = "--zscore_reference"


# Names in `prepare`, where options are config keys.
CONFIG_OPTIONS = OptionNames(
    level="--config.level",
    scale="--config.scale",
    gene_ids="--config.gene_ids",
    zscore_reference="--config.zscore_reference",
)
