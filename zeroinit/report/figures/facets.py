"""Panels for what differs between cells: where each stands, what is above and beside it, and their common scales."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeroinit.report.cells import ordered, undecided
from zeroinit.report.figures.style import LETTER, LINE, SMALL, TALLEST, Ticks, frame, short

WIDEST = 5  # panels side by side


class Facets(NamedTuple):
    """Panels in rows and columns: the place of each that was asked for, what stands above and beside them."""

    down: int
    across: int
    places: list[tuple[int, int] | None]  # None: of a row too many
    above: dict[tuple[int, int], str]
    beside: list[str]
    shared: str  # keys that have one value in all panels
    left_out: int


def facets(params: Sequence[Mapping[str, str]], keys: Iterable[str]) -> Facets:
    """A panel for each combination of the keys that tell these apart; the last key's few values side by side."""
    values = {key: ordered(one[key] for one in params if key in one) for key in keys}
    varying = undecided(params, values)
    shared = ", ".join(short(f"{key}={found[0]}") for key, found in values.items() if len(found) == 1)
    combined: dict[tuple[str, ...], None] = dict.fromkeys(tuple(one.get(key, "") for key in varying) for one in params)

    def rank(combination: tuple[str, ...]) -> list[int]:
        pairs = zip(varying, combination, strict=True)
        return [values[key].index(value) if value in values[key] else -1 for key, value in pairs]

    panels = sorted(combined, key=rank)
    in_grid = bool(varying) and len(values[varying[-1]]) <= WIDEST
    if in_grid:
        beside = list(dict.fromkeys(panel[:-1] for panel in panels))
        heads = list(dict.fromkeys([*values[varying[-1]], *(panel[-1] for panel in panels)]))
        where = {panel: (beside.index(panel[:-1]), heads.index(panel[-1])) for panel in panels}
        above = {(0, column): named(varying[-1:], [head]) for column, head in enumerate(heads)}
        down, across = len(beside), len(heads)
        sides = [named(varying[:-1], row) for row in beside]
    else:
        across = min(3, len(panels))
        where = {panel: divmod(index, across) for index, panel in enumerate(panels)}
        above = {place: named(varying, panel) for panel, place in where.items()}
        down, sides = math.ceil(len(panels) / across), []
    places = [where[tuple(one.get(key, "") for key in varying)] for one in params]
    kept = [place if place[0] < TALLEST else None for place in places]
    lost = sum(place[0] >= TALLEST for place in where.values())
    return Facets(min(down, TALLEST), across, kept, above if varying else {}, sides[:TALLEST], shared, lost)


def named(keys: Iterable[str], values: Iterable[str]) -> str:
    return "\n".join(short(f"{key}={value}") for key, value in zip(keys, values, strict=True) if value)


def facet_frame(grid: Facets, title: str, caption: str, legend: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, Any]:
    """The figure of such panels, with what is above and beside them; those that nothing is in are hidden.

    Returns it and its panels, as an array (down, across).
    """
    usual = 3 if grid.down * grid.across == 1 else 1.9 if grid.down < 4 else 1.2
    beside = [line for text in grid.beside for line in text.split("\n")]
    lost = f"; {grid.left_out} more panels are left out" if grid.left_out else ""
    figure, axes, _ = frame(
        grid.down,
        grid.across,
        max([usual, *(0.1 + LETTER * len(line) for line in beside)]),
        title,
        f"{caption}{'; ' + grid.shared if grid.shared else ''}{lost}.",
        legend,
        right=0.15 + LINE * max((text.count("\n") + 1 for text in grid.beside if text), default=0),
        heading=max((text.count("\n") + 1 for text in grid.above.values()), default=0),
        gap=(0.12, 0.12 if any(grid.beside) or grid.down == 1 else 0.45),
    )
    for place, text in grid.above.items():
        if place[0] < len(axes):
            axes[place].set_title(text, fontsize=SMALL, pad=3)
    for panel, text in zip(axes[:, -1], grid.beside, strict=False):
        if text:
            panel.text(1.03, 0.5, text, transform=panel.transAxes, rotation=-90, va="center", fontsize=SMALL)
    for place in np.ndindex(*axes.shape):
        axes[place].set_visible(place in grid.places)
    return figure, axes


def scale(axes: Any, x: Ticks, y: Ticks, bottom: str, left: str) -> None:
    """Lines at the ticks of each panel; ticks, which take the time to draw, and labels at the outer ones alone."""
    for row, column in np.ndindex(*axes.shape):
        panel: Axes = axes[row, column]
        lowest = not any(other.get_visible() for other in axes[row + 1 :, column])
        panel.set_xticks(*(x if lowest else ([], [])), fontsize=SMALL)
        panel.set_yticks(*(y if not column else ([], [])), fontsize=SMALL)
        panel.minorticks_off()
        panel.set_xlabel(bottom if lowest else "", fontsize=SMALL)
        panel.set_ylabel("" if column else left, fontsize=SMALL)
        for draw, (places, _), along in (
            (panel.vlines, x, panel.get_xaxis_transform()),
            (panel.hlines, y, panel.get_yaxis_transform()),
        ):
            draw(places, 0, 1, transform=along, color="0.9", linewidth=0.6, zorder=0)
