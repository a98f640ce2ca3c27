"""Paths of a user's signatures, from the programs' options."""

from __future__ import annotations

import dataclasses
import pathlib

from moa_jax.files import sha256_of
from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class SignatureFiles:
    """Paths of a user's files.

    Attributes:
      signatures: GCTX, GCT, h5ad, CSV or TSV file of signatures or wells; None for structures
        only.
      siginfo: table of the signatures or wells; None for the matrix file's own metadata.
      compoundinfo: table with the compounds' structures; None for those of the metadata, if any.
    """

    signatures: pathlib.Path | None
    siginfo: pathlib.Path | None = None
    compoundinfo: pathlib.Path | None = None

    @classmethod
    def of_options(
        cls, signatures: str, siginfo: str, compoundinfo: str, **reading: str
    ) -> SignatureFiles:
        """Files from a program's options, which are empty if not given.

        Args:
          signatures: the matrix.
          siginfo: its metadata.
          compoundinfo: structures.
          reading: options for reading `signatures`.

        Raises:
          InputError: there are neither signatures nor structures, or options about signatures are
            given without them.
        """
        if not signatures and not compoundinfo:
            raise InputError(
                "--signatures or --compoundinfo is needed: signatures, or compounds to predict "
                "from structure only."
            )
        require_signatures(signatures, siginfo=siginfo, **reading)
        return cls(
            signatures=pathlib.Path(signatures) if signatures else None,
            siginfo=pathlib.Path(siginfo) if siginfo else None,
            compoundinfo=pathlib.Path(compoundinfo) if compoundinfo else None,
        )

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Name and SHA-256 of each file, as JSON values."""
        return {
            name: {"file": path.name, "sha256": sha256_of(path)}
            for name, path in vars(self).items()
            if path is not None
        }


def require_signatures(signatures: str, **about: str) -> None:
    """Refuses options about `--signatures` if that is not given.

    Args:
      signatures: the option; empty if it is not given.
      about: such options by name; empty if they are not given.
    """
    given = [f"--{name}" for name, value in about.items() if value]
    if not signatures and given:
        named = " and ".join(filter(None, (", ".join(given[:-1]), given[-1])))
        raise InputError(f"{named} cannot be used without --signatures.")
