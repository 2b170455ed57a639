"""Panels for the keys that differ between cells: their positions, their headings and their common scales."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeroinit.report.cells import independent_keys, sort_values
from zeroinit.report.figures.style import (
    LETTER,
    LINE,
    MAX_ROWS,
    SMALL,
    Layout,
    Ticks,
    count_lines,
    elide,
    frame,
)

MAX_COLUMNS = 5  # panels side by side

Position = tuple[int, int]  # row and column of a panel


class Facets(NamedTuple):
    """Panels in rows and columns.

    Attributes:
        down: The number of rows.
        across: The number of columns.
        positions: The panel of each of the params; None if its row is beyond MAX_ROWS.
        above: The text above panels.
        beside: The text beside each row.
        shared: The keys with one value in all panels.
        left_out: The number of panels beyond MAX_ROWS.
    """

    down: int
    across: int
    positions: list[Position | None]
    above: dict[Position, str]
    beside: list[str]
    shared: str
    left_out: int


def facets(params: Sequence[Mapping[str, str]], keys: Iterable[str]) -> Facets:
    """Return a panel for each combination of the keys that distinguish these params.

    If the last key has few values, its values stand side by side.
    """
    values = {key: sort_values(cell[key] for cell in params if key in cell) for key in keys}
    varying = independent_keys(params, values)
    shared = ", ".join(elide(f"{key}={of_key[0]}") for key, of_key in values.items() if len(of_key) == 1)
    combinations = [tuple(cell.get(key, "") for key in varying) for cell in params]

    def rank(combination: tuple[str, ...]) -> list[int]:
        pairs = zip(varying, combination, strict=True)
        return [values[key].index(value) if value in values[key] else -1 for key, value in pairs]

    panels = sorted(dict.fromkeys(combinations), key=rank)
    if varying and len(values[varying[-1]]) <= MAX_COLUMNS:
        rows = list(dict.fromkeys(panel[:-1] for panel in panels))
        heads = list(dict.fromkeys([*values[varying[-1]], *(panel[-1] for panel in panels)]))
        position_of = {panel: (rows.index(panel[:-1]), heads.index(panel[-1])) for panel in panels}
        above = {(0, column): format_heading(varying[-1:], [head]) for column, head in enumerate(heads)}
        down, across = len(rows), len(heads)
        beside = [format_heading(varying[:-1], row) for row in rows]
    else:
        across = min(3, len(panels))
        position_of = {panel: divmod(index, across) for index, panel in enumerate(panels)}
        above = {position: format_heading(varying, panel) for panel, position in position_of.items()}
        down, beside = math.ceil(len(panels) / across), []
    in_order = (position_of[combination] for combination in combinations)
    positions = [position if position[0] < MAX_ROWS else None for position in in_order]
    left_out = sum(row >= MAX_ROWS for row, _ in position_of.values())
    return Facets(min(down, MAX_ROWS), across, positions, above if varying else {}, beside[:MAX_ROWS], shared, left_out)


def format_heading(keys: Iterable[str], values: Iterable[str]) -> str:
    """Return `key=value` for each key with a value, a line each."""
    return "\n".join(elide(f"{key}={value}") for key, value in zip(keys, values, strict=True) if value)


def facet_frame(grid: Facets, title: str, caption: str, legend: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, Any]:
    """Return the figure with these panels and their headings, and the panels as an array (down, across).

    Panels that no cell is in are hidden.
    """
    usual = 3 if grid.down * grid.across == 1 else 1.9 if grid.down < 4 else 1.2
    beside = [line for text in grid.beside for line in text.split("\n")]
    lost = f"; {grid.left_out} more panels are left out" if grid.left_out else ""
    layout = Layout(
        grid.down,
        grid.across,
        max([usual, *(0.1 + LETTER * len(line) for line in beside)]),
        right=0.15 + LINE * count_lines(text for text in grid.beside if text),
        heading=count_lines(grid.above.values()),
        gap=(0.12, 0.12 if any(grid.beside) or grid.down == 1 else 0.45),
    )
    text_below = f"{caption}{'; ' + grid.shared if grid.shared else ''}{lost}."
    figure, axes, _ = frame(layout, title, text_below, legend)
    for position, text in grid.above.items():
        if position[0] < len(axes):
            axes[position].set_title(text, fontsize=SMALL, pad=3)
    for panel, text in zip(axes[:, -1], grid.beside, strict=False):
        if text:
            panel.text(1.03, 0.5, text, transform=panel.transAxes, rotation=-90, va="center", fontsize=SMALL)
    for position in np.ndindex(*axes.shape):
        axes[position].set_visible(position in grid.positions)
    return figure, axes


def scale(axes: Any, x: Ticks, y: Ticks, bottom: str, left: str) -> None:
    """Draw lines at the ticks of all panels, and ticks and labels at the outer panels only, as ticks are slow to draw.

    Args:
        axes: The panels, as an array (down, across).
        x: The ticks along the bottom.
        y: The ticks along the left side.
        bottom: The label of the x axis.
        left: The label of the y axis.
    """
    for row, column in np.ndindex(*axes.shape):
        panel: Axes = axes[row, column]
        is_lowest = not any(other.get_visible() for other in axes[row + 1 :, column])
        panel.set_xticks(*(x if is_lowest else ([], [])), fontsize=SMALL)
        panel.set_yticks(*(y if not column else ([], [])), fontsize=SMALL)
        panel.minorticks_off()
        panel.set_xlabel(bottom if is_lowest else "", fontsize=SMALL)
        panel.set_ylabel("" if column else left, fontsize=SMALL)
        for draw_lines, (ticks, _), along in (
            (panel.vlines, x, panel.get_xaxis_transform()),
            (panel.hlines, y, panel.get_yaxis_transform()),
        ):
            draw_lines(ticks, 0, 1, transform=along, color="0.9", linewidth=0.6, zorder=0)
