"""Contracts between packages: frozen, typed dataclasses that check themselves when constructed.

Code relies only on the table columns named here. A missing column or a wrong length raises
`InputError` with one sentence that names it. Array axes are named with jaxtyping; the tests check
them at run time.
"""

from moa_jax.schemas.batch import (
    Batch,
    EdgeArrays,
    GraphArrays,
    LeftOut,
    MoleculeBatch,
    OntologyArrays,
    TermLevel,
)
from moa_jax.schemas.compounds import (
    ACTIONS,
    ACTIVATES,
    COMPOUND_COLUMNS,
    INHIBITS,
    LIGANDS,
    RELEASE,
    STRUCTURE_ONLY,
    Compounds,
)
from moa_jax.schemas.errors import InputError, require_columns
from moa_jax.schemas.examples import Examples, concatenate
from moa_jax.schemas.knowledge_graph import (
    GENE_NODE_COLUMNS,
    GENE_SET_COLUMNS,
    GENE_TEXT_COLUMNS,
    TERM_COLUMNS,
    EdgeSet,
    KnowledgeGraph,
)
from moa_jax.schemas.signatures import (
    GENE_COLUMNS,
    GENE_NAME_COLUMNS,
    SIGNATURE_COLUMNS,
    Signatures,
)
from moa_jax.schemas.splits import PARTS, SPLIT_UNITS, UNUSED, Split

# Version of the prepared folder's layout; other versions are refused.
PREPARED_FORMAT_VERSION = 4
# Raised whenever a checkpoint's parameters, or the settings they are read with, change.
CHECKPOINT_FORMAT_VERSION = 9

__all__ = (
    "ACTIONS",
    "ACTIVATES",
    "CHECKPOINT_FORMAT_VERSION",
    "COMPOUND_COLUMNS",
    "GENE_COLUMNS",
    "GENE_NAME_COLUMNS",
    "GENE_NODE_COLUMNS",
    "GENE_SET_COLUMNS",
    "GENE_TEXT_COLUMNS",
    "INHIBITS",
    "LIGANDS",
    "PARTS",
    "PREPARED_FORMAT_VERSION",
    "RELEASE",
    "SIGNATURE_COLUMNS",
    "SPLIT_UNITS",
    "STRUCTURE_ONLY",
    "TERM_COLUMNS",
    "UNUSED",
    "Batch",
    "Compounds",
    "EdgeArrays",
    "EdgeSet",
    "Examples",
    "GraphArrays",
    "InputError",
    "KnowledgeGraph",
    "LeftOut",
    "MoleculeBatch",
    "OntologyArrays",
    "Signatures",
    "Split",
    "TermLevel",
    "concatenate",
    "require_columns",
)
