"""The genes of the targets that ligand tables and compound tables name."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping

import pandas as pd

from moa_jax.compounds.ligands import activities
from moa_jax.compounds.ligands.chembl_targets import built_in_targets, read_chembl_targets
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.knowledge.protein_accessions import read_protein_accessions, without_isoform

AMBIGUOUS = "target name means several genes"
UNKNOWN = "target name is unknown"
NOT_MAPPED = "ChEMBL target id is not in config.files.chembl_targets"


class TargetGenes:
    """Entrez ids of targets, which may be gene symbols, UniProt accessions or ChEMBL ids."""

    def __init__(
        self,
        identifiers: GeneIdentifiers,
        accessions: Mapping[str, tuple[str, ...]],
        chembl_targets: Mapping[str, tuple[str, ...]],
    ) -> None:
        """Collects what is known about names.

        Args:
          identifiers: names of genes.
          accessions: UniProt accession -> Entrez ids.
          chembl_targets: ChEMBL target id -> UniProt accessions; the targets of MoleculeACE are
            known without.
        """
        self._identifiers = identifiers
        self._accessions = accessions
        self._chembl_targets = chembl_targets
        self._built_in = built_in_targets()

    @classmethod
    def of(cls, paths: Mapping[str, pathlib.Path], identifiers: GeneIdentifiers) -> TargetGenes:
        """What the files of a release know about names.

        Args:
          paths: its files by their names in `SourceFiles`.
          identifiers: names of genes.

        Raises:
          InputError: a file cannot be used.
        """
        return cls(
            identifiers,
            read_protein_accessions(paths["gene_ids"]) if "gene_ids" in paths else {},
            read_chembl_targets(paths["chembl_targets"]) if "chembl_targets" in paths else {},
        )

    def gene_of(self, name: str, kind: str) -> tuple[str | None, str]:
        """The Entrez id of a target, or None and the reason.

        Args:
          name: the target.
          kind: how it is named; see `compounds.ligands.activities`. For `any`, what a gene is
            called comes before UniProt's accessions, some of which look alike (P2RY14).
        """
        if kind == activities.CHEMBL or (kind == activities.ANY and name.startswith("CHEMBL")):
            return self._of_chembl_id(name)
        if kind == activities.UNIPROT:
            return _single(self._accessions.get(without_isoform(name), ()))
        found = self._identifiers.resolve(name)
        if found.entrez_id or kind == activities.SYMBOL or len(found.candidates) > 1:
            return found.entrez_id, AMBIGUOUS if found.candidates else UNKNOWN
        return _single(self._accessions.get(without_isoform(name), ()))

    def _of_chembl_id(self, name: str) -> tuple[str | None, str]:
        if name in self._chembl_targets:
            proteins = self._chembl_targets[name]
            if len(proteins) > 1:
                return None, activities.IS_COMPLEX
            return self.gene_of(proteins[0], activities.UNIPROT)
        if name in self._built_in:
            return self.gene_of(self._built_in[name], activities.SYMBOL)
        return None, NOT_MAPPED

    def with_genes(self, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
        """Adds the column `gene` to activities; those without a gene are left out and counted."""
        names = pd.MultiIndex.from_frame(table[["target", "target_kind"]])
        codes, distinct = pd.factorize(names)
        found = [self.gene_of(name, kind) for name, kind in distinct]
        genes = pd.Series([found[code][0] for code in codes], index=table.index, dtype=object)
        reasons = collections.Counter(found[code][1] for code in codes if found[code][0] is None)
        return table.assign(gene=genes)[genes.notna()], dict(sorted(reasons.items()))

    def with_current_symbols(self, compounds: pd.DataFrame) -> pd.DataFrame:
        """A compound table whose targets have their genes' current symbols, as the graph's nodes.

        A name that is unknown or ambiguous is kept. Actions become unknown.
        """
        names = sorted({name for targets in compounds["targets"] for name in targets})
        genes = {name: self._identifiers.resolve(name).entrez_id for name in names}
        symbols = {
            name: self._identifiers.symbol_of.get(gene, name) if gene else name
            for name, gene in genes.items()
        }
        renamed = [
            tuple(sorted({symbols[name] for name in targets})) for targets in compounds["targets"]
        ]
        columns = {"targets": renamed, "actions": [("",) * len(targets) for targets in renamed]}
        return compounds.assign(
            **{
                name: pd.Series(values, index=compounds.index, dtype=object)
                for name, values in columns.items()
            }
        )


def _single(genes: tuple[str, ...]) -> tuple[str | None, str]:
    if len(genes) == 1:
        return genes[0], ""
    return None, AMBIGUOUS if genes else UNKNOWN
