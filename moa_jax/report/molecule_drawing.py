"""A molecule as SVG, or with signed scores of its atoms as SVG and PNG.

The area of a disc is proportional to the absolute score of its atom. Signs are distinguishable
without colours: discs of negative scores have a dashed rim.
"""

from __future__ import annotations

import math
import re

import numpy as np
from jaxtyping import Float
from rdkit import Chem, Geometry, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from moa_jax.report.number_text import exact_text
from moa_jax.report.shapes import plain_text
from moa_jax.schemas import InputError

WIDTH, HEIGHT = 520, 380
# Without scores and their legend.
PLAIN_HEIGHT = 220
# Red, green and blue of the discs of positive and negative scores, and of the dashed rim.
FOR, AGAINST, RIM = (0.58, 0.75, 0.90), (0.95, 0.78, 0.64), (0.55, 0.25, 0.05)
# Radius of the largest disc in units of the drawing, in which bonds are 1.5 long.
_MAX_RADIUS = 0.7
# Scores below this share of the largest are not drawn.
_MIN_SHARE = 0.02
_NUM_DASHES = 10


def molecule_svg(
    smiles: str,
    atom_scores: Float[np.ndarray, " atom"],
    *,
    title: str = "",
) -> str:
    """The molecule as an SVG picture, `WIDTH` by `HEIGHT` on white; equal input, equal bytes.

    The text has no style attributes, so that it can be embedded in a page that forbids them.

    Args:
      smiles: the molecule.
      atom_scores: signed score of each heavy atom, in the order of the SMILES; the largest absolute
        one has the largest disc.
      title: what the picture shows, for those who cannot see it.

    Raises:
      InputError: RDKit cannot read the SMILES, it has another number of atoms, or a score is not
        finite.
    """
    drawer = rdMolDraw2D.MolDraw2DSVG(WIDTH, HEIGHT)
    _paint(drawer, smiles, atom_scores)
    return _finished(drawer, title or smiles)


def structure_svg(smiles: str, *, title: str = "") -> str:
    """The bare molecule as an SVG picture, `WIDTH` by `PLAIN_HEIGHT`; otherwise as `molecule_svg`.

    Raises:
      InputError: RDKit cannot read the SMILES.
    """
    mol = _read(smiles)
    if mol is None:
        raise InputError(f"{smiles!r} is not a SMILES that RDKit can read.")
    drawer = rdMolDraw2D.MolDraw2DSVG(WIDTH, PLAIN_HEIGHT)
    _set_options(drawer, 1)
    drawer.DrawMolecule(_depicted(mol))
    drawer.FinishDrawing()
    return _finished(drawer, title or smiles)


def _finished(drawer: rdMolDraw2D.MolDraw2DSVG, title: str) -> str:
    """The drawing as SVG text that can be embedded in a page."""
    body = re.search(r"<!-- END OF HEADER -->(.*)</svg>", drawer.GetDrawingText(), re.DOTALL)
    assert body is not None
    size = f"{drawer.Width()} {drawer.Height()}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">'
        f"<title>{plain_text(title)}</title>{_without_styles(body[1])}</svg>\n"
    )


def molecule_png(
    smiles: str,
    atom_scores: Float[np.ndarray, " atom"],
    *,
    scale: int = 2,
) -> bytes:
    """The same picture as PNG, `scale` pixels for one unit of the SVG; see `molecule_svg`."""
    drawer = rdMolDraw2D.MolDraw2DCairo(scale * WIDTH, scale * HEIGHT)
    _paint(drawer, smiles, atom_scores, scale=scale)
    return drawer.GetDrawingText()


def _paint(
    drawer: rdMolDraw2D.MolDraw2D,
    smiles: str,
    atom_scores: Float[np.ndarray, " atom"],
    *,
    scale: int = 1,
) -> None:
    mol = _scored(smiles, atom_scores)
    top = float(np.abs(atom_scores).max())
    share = np.abs(atom_scores) / top if top > 0 else np.zeros(len(atom_scores))
    marked = [int(atom) for atom in np.flatnonzero(share >= _MIN_SHARE)]
    radii = {atom: _MAX_RADIUS * math.sqrt(share[atom]) for atom in marked}
    _set_options(drawer, scale)
    drawer.DrawMolecule(
        mol,
        highlightAtoms=marked,
        highlightAtomColors={atom: FOR if atom_scores[atom] > 0 else AGAINST for atom in marked},
        highlightAtomRadii=radii,
        highlightBonds=[],
        legend=f"plain discs: supports, dashed discs: opposes; largest: {exact_text(top, 3)}",
    )
    drawer.SetFillPolys(False)
    drawer.SetColour(RIM)
    drawer.SetLineWidth(2 * scale)
    for atom in marked:
        if atom_scores[atom] < 0:
            centre = mol.GetConformer().GetAtomPosition(atom)
            _dashed_circle(drawer, Geometry.Point2D(centre.x, centre.y), radii[atom])
    drawer.FinishDrawing()


def _dashed_circle(drawer: rdMolDraw2D.MolDraw2D, centre: Geometry.Point2D, radius: float) -> None:
    step = 360.0 / _NUM_DASHES
    for dash in range(_NUM_DASHES):
        drawer.DrawArc(centre, radius, dash * step, (dash + 0.55) * step)


def _set_options(drawer: rdMolDraw2D.MolDraw2D, scale: int) -> None:
    options = drawer.drawOptions()
    options.useBWAtomPalette()
    options.atomHighlightsAreCircles = True
    options.fillHighlights = True
    options.highlightBondWidthMultiplier = 0
    options.bondLineWidth = 2 * scale
    options.padding = 0.08
    options.legendFontSize = 15 * scale
    options.legendFraction = 0.09
    options.setBackgroundColour((1.0, 1.0, 1.0))


def _read(smiles: str) -> Chem.Mol | None:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles)


def _scored(smiles: str, atom_scores: Float[np.ndarray, " atom"]) -> Chem.Mol:
    """The molecule, prepared for drawing, after a check of the scores."""
    mol = _read(smiles)
    if mol is None or mol.GetNumAtoms() != len(atom_scores):
        found = "no molecule" if mol is None else f"{mol.GetNumAtoms()} heavy atoms"
        raise InputError(f"there are {len(atom_scores)} atom scores for {smiles!r}: {found}.")
    if not np.isfinite(atom_scores).all():
        raise InputError(f"an atom score of {smiles!r} is not finite.")
    return _depicted(mol)


def _depicted(mol: Chem.Mol) -> Chem.Mol:
    """The molecule with coordinates and wedges."""
    rdDepictor.Compute2DCoords(mol)
    return rdMolDraw2D.PrepareMolForDrawing(mol)


def _without_styles(svg: str) -> str:
    """SVG with presentation attributes instead of style attributes."""

    def spelled_out(match: re.Match[str]) -> str:
        rules = [rule.partition(":") for rule in match[1].split(";") if rule.strip()]
        return " ".join(f"{name.strip()}='{value.strip()}'" for name, _, value in rules)

    return re.sub(r"style='([^']*)'", spelled_out, svg)
