"""A small protein network: scores of the proteins, known targets, and their interactions.

Signs are distinguishable without colours: negative scores have a pale fill and a dashed rim.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.report.colours import ramp, text_colour
from moa_jax.report.number_text import exact_text
from moa_jax.report.shapes import (
    AGAINST,
    AGAINST_RIM,
    FAINT,
    FOR,
    INK,
    MUTED,
    Box,
    Label,
    Line,
    Picture,
    shortened,
    text_width,
)

WIDTH, HEIGHT = 540, 490
_LEGEND = 62
_MARGIN = 16
_NODE_HEIGHT, _NODE_SIZE = 24, 12
_MAX_NAME_LENGTH = 14
# Free space around a node.
_GAP = 7
_NUM_SHADES = 9
_SHADES = {
    True: ramp(("#ffffff", FOR), _NUM_SHADES),
    False: ramp(("#ffffff", AGAINST), _NUM_SHADES),
}

Positions = Float[np.ndarray, "node 2"]


def draw_subnetwork(
    symbols: Sequence[str],
    scores: Float[np.ndarray, " node"],
    edges: Int[np.ndarray, "edge 2"],
    weight: Float[np.ndarray, " edge"],
    *,
    is_target: Bool[np.ndarray, " node"],
    is_measured: Bool[np.ndarray, " node"],
    title: str = "",
) -> Picture:
    """The network in one picture of `WIDTH` by `HEIGHT`; equal input gives an equal picture.

    Args:
      symbols: name of each protein.
      scores: signed score of each; the largest absolute one has the strongest fill.
      edges: pairs of proteins that interact.
      weight: strength of each interaction, in (0, 1]; strong ones are thick.
      is_target: known targets have a thick rim and a bold name.
      is_measured: measured genes are round, others are boxes.
      title: what the picture shows, for those who cannot see it.
    """
    names = [shortened(symbol, _MAX_NAME_LENGTH) for symbol in symbols]
    widths = np.array([text_width(name, _NODE_SIZE) + 18 for name in names])
    places = _layout(edges, widths)
    top = float(np.abs(scores).max()) if len(scores) else 0.0
    shapes: list[Line | Box | Label] = [
        Line(
            *places[start],
            *places[end],
            colour=MUTED if strength >= 0.9 else "#a3acb6",
            width=0.7 + 2.6 * max(strength - 0.4, 0.0) / 0.6,
        )
        for (start, end), strength in zip(edges.tolist(), weight.tolist(), strict=True)
    ]
    for row, name in enumerate(names):
        shapes += _node(
            name,
            places[row],
            widths[row],
            share=float(scores[row] / top) if top else 0.0,
            is_target=bool(is_target[row]),
            is_measured=bool(is_measured[row]),
            title=f"{symbols[row]}: {exact_text(float(scores[row]), 3)}",
        )
    return Picture(WIDTH, HEIGHT, (*shapes, *_legend()), title or "network of proteins")


def _node(
    name: str,
    place: Float[np.ndarray, "2"],
    width: float,
    *,
    share: float,
    is_target: bool,
    is_measured: bool,
    title: str,
) -> list[Box | Label]:
    is_for = share >= 0
    fill = _SHADES[is_for][round(abs(share) * (_NUM_SHADES - 1))]
    unscored = abs(share) < 0.5 / (_NUM_SHADES - 1)
    rim = FAINT if unscored else FOR if is_for else AGAINST_RIM
    box = Box(
        place[0] - width / 2,
        place[1] - _NODE_HEIGHT / 2,
        width,
        _NODE_HEIGHT,
        fill=fill,
        radius=_NODE_HEIGHT / 2 if is_measured else 2,
        stroke=INK if is_target else rim,
        stroke_width=2.6 if is_target else 1.3,
        dashes=(4, 3) if not is_for and not unscored else (),
        title=title,
    )
    colour = text_colour(fill)
    return [box, Label(*place, name, _NODE_SIZE, colour, anchor="middle", bold=is_target)]


def _layout(edges: Int[np.ndarray, "edge 2"], widths: Float[np.ndarray, " node"]) -> Positions:
    """Centres of the nodes; those without an interaction are in rows at the bottom."""
    linked = np.isin(np.arange(len(widths)), edges)
    places = np.zeros((len(widths), 2))
    places[~linked], top = _rows(widths[~linked])
    places[linked] = _network_layout(np.flatnonzero(linked), edges, widths[linked], top)
    return places


def _rows(widths: Float[np.ndarray, " node"]) -> tuple[Positions, float]:
    """Nodes side by side in rows from the legend upwards, and where the rows begin."""
    rows, left = [[]], _MARGIN
    for node, width in enumerate(widths.tolist()):
        if left + width > WIDTH - _MARGIN:
            rows.append([])
            left = _MARGIN
        rows[-1].append((node, left + width / 2))
        left += width + _GAP
    height = _NODE_HEIGHT + _GAP
    top = float(HEIGHT - _LEGEND - _GAP - height * (len(rows) if len(widths) else 0))
    places = np.zeros((len(widths), 2))
    for number, row in enumerate(rows):
        for node, x in row:
            places[node] = x, top + height * (number + 0.5)
    return places, top


def _network_layout(
    nodes: Int[np.ndarray, " node"],
    edges: Int[np.ndarray, "edge 2"],
    widths: Float[np.ndarray, " node"],
    bottom: float,
) -> Positions:
    """Layout of Kamada and Kawai 1989; overlapping nodes are then pushed apart."""
    if not len(nodes):
        return np.zeros((0, 2))
    network = nx.Graph()
    network.add_nodes_from(nodes.tolist())
    network.add_edges_from(edges.tolist())
    steps = dict(nx.all_pairs_shortest_path_length(network))
    farthest = max(max(reached.values()) for reached in steps.values())
    # Components are about as far apart as their most distant nodes.
    apart = 1 + 0.6 * farthest
    distance = {one: {other: steps[one].get(other, apart) for other in network} for one in network}
    found = nx.kamada_kawai_layout(network, dist=distance)
    raw = np.array([found[node] for node in nodes.tolist()])
    low = np.array([_MARGIN, _MARGIN + _NODE_HEIGHT / 2])
    high = np.array([WIDTH - _MARGIN, bottom - _MARGIN - _NODE_HEIGHT / 2])
    half = np.stack([widths / 2, np.zeros(len(widths))], axis=1)
    span = np.ptp(raw, axis=0)
    share = np.divide(raw - raw.min(axis=0), span, out=np.full(raw.shape, 0.5), where=span > 1e-9)
    places = low + half + share * (high - low - 2 * half)
    return _pushed_apart(places, widths, low + half, high - half)


def _pushed_apart(
    places: Positions,
    widths: Float[np.ndarray, " node"],
    low: Positions,
    high: Positions,
) -> Positions:
    """Moves overlapping nodes apart along the axis of the smaller overlap, within the bounds."""
    places = places.copy()
    for _ in range(400):
        moved = False
        for one in range(len(places)):
            for other in range(one + 1, len(places)):
                apart = places[other] - places[one]
                need = np.array([(widths[one] + widths[other]) / 2 + _GAP, _NODE_HEIGHT + _GAP])
                overlap = need - np.abs(apart)
                if (overlap <= 0.01).any():
                    continue
                # Names are wide: moving sideways takes more room than moving up or down.
                axis = int(np.argmin(overlap * [1.0, 1.5]))
                push = np.zeros(2)
                push[axis] = overlap[axis] / 2 * (1.0 if apart[axis] >= 0 else -1.0)
                places[one] -= push
                places[other] += push
                moved = True
        places = np.clip(places, low, high)
        if not moved:
            break
    return places


def _legend() -> list[Line | Box | Label]:
    """The legend, in one strip at the bottom."""
    y, shapes = HEIGHT - _LEGEND + 14, []
    shapes.append(Line(_MARGIN, y - 12, WIDTH - _MARGIN, y - 12, FAINT))
    entries = [
        ("supports", {"fill": FOR, "stroke": FOR, "radius": 8}),
        ("opposes", {"fill": AGAINST, "stroke": AGAINST_RIM, "radius": 8, "dashes": (4, 3)}),
        ("known target", {"fill": "#ffffff", "stroke": INK, "stroke_width": 2.6, "radius": 8}),
        ("not measured", {"fill": "#ffffff", "stroke": MUTED, "radius": 1}),
    ]
    x = float(_MARGIN)
    for text, looks in entries:
        shapes.append(Box(x, y - 1, 24, 15, **looks))
        shapes.append(Label(x + 30, y + 7, text, _NODE_SIZE, MUTED))
        x += 36 + text_width(text, _NODE_SIZE)
    explanation = "lines: STRING, thicker for higher confidence; last row: no interaction"
    shapes.append(Label(_MARGIN, y + 32, explanation, _NODE_SIZE, MUTED))
    return shapes
