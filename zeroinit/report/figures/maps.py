"""Maps of a sweep: the outcome of each cell and its accuracy over any two of its keys."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from zeroinit.report.cells import (
    NOT_RUN,
    OUTCOMES,
    Cell,
    OutcomeStyle,
    commonest,
    independent_keys,
    is_number,
    naming_keys,
    sort_values,
)
from zeroinit.report.figures.accuracy import describe_units
from zeroinit.report.figures.facets import format_heading
from zeroinit.report.figures.style import LETTER, LINE, MAX_ROWS, SMALL, WIDTH, Frame, Layout, bar, elide, frame
from zeroinit.report.statistics import estimate, explain_intervals
from zeroinit.tracker import TEST_ACCURACY

ACCURACY_COLOURS = colormaps["cividis"]
UNKNOWN_OUTCOME = OutcomeStyle("?", "#FFFFFF")


class Tiles(NamedTuple):
    """The tiles of a map: a row of panels for each combination of the keys that differ besides x and y.

    Attributes:
        x: The key along the map.
        y: The key up the map.
        keys: The keys whose combinations have rows.
        along: The values of x.
        up: The values of y.
        rows: The cells of each row by their values of x and y.
        beside: The text beside each row.
        left_out: The number of rows beyond MAX_ROWS.
    """

    x: str
    y: str
    keys: list[str]
    along: list[str]
    up: list[str]
    rows: list[dict[tuple[str, str], Cell]]
    beside: list[str]
    left_out: int


class Sizes(NamedTuple):
    """Sizes of a map in inches.

    Attributes:
        left: The space for the labels of y.
        side: The space for the text beside the rows.
        width: The width of a panel.
        height: The height of a panel.
        tile: The width of a tile.
        label: The length of the longest label of x.
    """

    left: float
    side: float
    width: float
    height: float
    tile: float
    label: float

    @property
    def is_upright(self) -> bool:
        """Whether the labels of x fit side by side."""
        return 1.2 * self.label < self.tile


def axes_of(cells: Sequence[Cell]) -> tuple[str, str]:
    """Return the keys of the x and the y axis: the two with the most values, a numeric key first.

    If fewer than two keys differ, the rest do not differ.
    """
    differing = independent_keys([cell.params for cell in cells], naming_keys(cells))
    values = {key: sort_values(cell.params.get(key, "") for cell in cells) for key in naming_keys(cells)}
    first, second = sorted(values, key=lambda key: (key not in differing, -len(values[key])))[:2]
    is_first_along = all(map(is_number, values[first])) or not all(map(is_number, values[second]))
    return (first, second) if is_first_along else (second, first)


def _choose_axes(cells: Sequence[Cell], x: str | None, y: str | None) -> tuple[str, str]:
    """Return the keys of the axes; those that are None are chosen."""
    first, second = axes_of(cells)
    if x is not None and y is not None:
        return x, y
    if x is not None:
        return x, second if x != second else first
    if y is not None:
        return first if y != first else second, y
    return first, second


def map_figure(cells: Sequence[Cell], x: str | None = None, y: str | None = None) -> Figure:
    """Return the figure with outcomes on the left and accuracies on the right, over the keys x and y.

    Each combination of the other keys has a row. A cell without a finished run is hatched, and so is the outcome of a
    cell without a run.
    """
    tiles = _arrange_tiles(cells, *_choose_axes(cells, x, y))
    sizes = _measure(tiles)
    figure, grid, free = _open_frame(cells, tiles, sizes)
    for row, members in enumerate(tiles.rows):
        for i, j in np.ndindex(len(tiles.along), len(tiles.up)):
            cell = members.get((tiles.along[i], tiles.up[j]))
            _draw_outcome(grid[row, 0], i, j, cell, sizes.tile)
            _draw_accuracy(grid[row, 1], i, j, cell, sizes.tile)
        for column, axes in enumerate(grid[row]):
            _label_axes(axes, tiles, not column, row == len(tiles.rows) - 1, sizes.is_upright)
        last = grid[row, 1]
        last.text(1.02, 0.5, tiles.beside[row], transform=last.transAxes, rotation=-90, va="center", fontsize=SMALL)
    for axes, title in zip(grid[0], ("outcome", "test accuracy, %"), strict=True):
        axes.set_title(title, fontsize=SMALL, pad=3)
    position = (sizes.left + sizes.width + 0.3, free, sizes.width - 0.3)
    ticks = ([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    bar(figure, position, (Normalize(0, 1), ACCURACY_COLOURS), ticks, "test accuracy")
    return figure


def _arrange_tiles(cells: Sequence[Cell], x: str, y: str) -> Tiles:
    """Return the tiles of the cells over the keys x and y."""
    keys = [key for key in independent_keys([cell.params for cell in cells], naming_keys(cells)) if key not in (x, y)]
    rows: dict[tuple[str, ...], dict[tuple[str, str], Cell]] = defaultdict(dict)
    for cell in cells:
        tile = cell.params.get(x, ""), cell.params.get(y, "")
        rows[tuple(cell.params.get(key, "") for key in keys)].setdefault(tile, cell)
    along, up = (sort_values(cell.params.get(key, "") for cell in cells) for key in (x, y))
    beside = [format_heading(keys, values) for values in rows][:MAX_ROWS]
    left_out = max(0, len(rows) - MAX_ROWS)
    return Tiles(x, y, keys, along, up, list(rows.values())[:MAX_ROWS], beside, left_out)


def _measure(tiles: Tiles) -> Sizes:
    """Return the sizes that leave room for the labels."""
    left = 0.45 + LETTER * max(len(elide(value)) for value in tiles.up)
    side = LINE * len(tiles.keys)
    width = (WIDTH - left - 0.3 - side) / 2
    tile = width / len(tiles.along)
    label = LETTER * max(len(elide(value)) for value in tiles.along)
    height = max(min(0.42 * len(tiles.up), 0.42 * 12), 0.7) if tile > 0.35 else max(0.25 * len(tiles.up), 0.7)
    height = max(height, *(1.15 * _text_width(text) for text in tiles.beside))
    return Sizes(left, side, width, height, tile, label)


def _open_frame(cells: Sequence[Cell], tiles: Tiles, sizes: Sizes) -> Frame:
    """Return the figure with its texts and empty panels."""
    layout = Layout(
        len(tiles.rows),
        2,
        sizes.height,
        left=sizes.left,
        right=0.15 + sizes.side,
        heading=1,
        below=0.98 if sizes.is_upright else 0.98 + sizes.label,
        gap=(0.15, 0.15),
    )
    title = f"Outcomes of the cells over {tiles.x} and {tiles.y}"
    return frame(layout, title, _describe_map(cells, tiles), _outcome_legend(cells))


def _describe_map(cells: Sequence[Cell], tiles: Tiles) -> str:
    """Return the text below the map."""
    others = [key for key in naming_keys(cells) if key not in (tiles.x, tiles.y)]
    same = [key for key in others if len({cell.params.get(key) for cell in cells}) == 1 and key in cells[0].params]
    shared = ", ".join(elide(f"{key}={cells[0].params[key]}") for key in same)
    intervals = explain_intervals([estimate(cell.finished, TEST_ACCURACY) for cell in cells], digits=1)
    rows = len(tiles.rows) + tiles.left_out
    is_full = len(tiles.along) * len(tiles.up) * rows == len(cells) and all(cell.finished for cell in cells)
    parts = [
        f"Test accuracy in percent after the last step, {describe_units(cells)}{', ' + intervals if intervals else ''}",
        shared,
        "n of m: n of the m runs have this outcome" if any(map(_is_mixed, cells)) else "",
        "" if is_full else "hatched: no finished run",
        f"{tiles.left_out} more combinations are left out" if tiles.left_out else "",
    ]
    return f"{'; '.join(part for part in parts if part)}."


def _outcome_legend(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return the legend of the outcomes that the cells have."""
    commonest_outcomes = {commonest(cell)[0] for cell in cells}
    square = {"linestyle": "", "marker": "s", "markersize": 9, "markeredgecolor": "0.4"}
    return {
        "another" if outcome == "?" else f"{OUTCOMES[outcome].letter} = {outcome}": square
        | {"color": _style_of(outcome).colour}
        for outcome in [*OUTCOMES, "?"]
        if outcome in commonest_outcomes
    }


def _label_axes(axes: Axes, tiles: Tiles, is_left: bool, is_lowest: bool, is_upright: bool) -> None:
    """Set the limits, ticks and labels of a panel."""
    along, up = tiles.along, tiles.up
    axes.set_xlim(-0.5, len(along) - 0.5)
    axes.set_ylim(-0.5, len(up) - 0.5) if all(map(is_number, up)) else axes.set_ylim(len(up) - 0.5, -0.5)
    axes.set_xticks(range(len(along)), map(elide, along) if is_lowest else [], rotation=0 if is_upright else 90)
    axes.set_yticks(range(len(up)), map(elide, up) if is_left else [])
    axes.tick_params(length=0, labelsize=SMALL)
    axes.set_xlabel(tiles.x if is_lowest else "", fontsize=SMALL, labelpad=1)
    axes.set_ylabel(tiles.y if is_left else "", fontsize=SMALL)


def _style_of(outcome: str) -> OutcomeStyle:
    """Return how an outcome is drawn."""
    return OUTCOMES.get(outcome, UNKNOWN_OUTCOME)


def _is_mixed(cell: Cell) -> bool:
    """Return whether the runs of the cell have different outcomes."""
    return commonest(cell)[1] < _count_runs(cell)


def _count_runs(cell: Cell) -> int:
    """Return the number of runs that exist."""
    return cell.outcomes.total() - cell.outcomes[NOT_RUN]


def _text_width(text: str) -> float:
    """Return the width of the longest line, in inches."""
    return LETTER * max(map(len, text.split("\n")))


def _draw_tile(axes: Axes, i: int, j: int, colour: Any) -> None:
    """Draw a tile in the colour; hatched if it is None."""
    style: dict[str, Any] = {"facecolor": "white", "hatch": "////", "edgecolor": "0.7"}
    style = style if colour is None else {"facecolor": colour, "edgecolor": "white"}
    axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, linewidth=1, **style))


def _write(axes: Axes, i: int, j: int, text: str, background: Any) -> None:
    """Write the text on a tile, black or white."""
    brightness = float(np.dot(to_rgb(background), (0.299, 0.587, 0.114)))
    colour = "black" if brightness > 0.45 else "white"
    axes.text(i, j, text, ha="center", va="center", fontsize=SMALL, color=colour, linespacing=0.95)


def _draw_outcome(axes: Axes, i: int, j: int, cell: Cell | None, width: float) -> None:
    """Draw the tile of a cell's commonest outcome: the word if it fits into the width, or else its letter."""
    outcome, count = commonest(cell) if cell else (NOT_RUN, 0)
    if not cell or outcome == NOT_RUN:
        _draw_tile(axes, i, j, None)
        return
    letter, colour = _style_of(outcome)
    _draw_tile(axes, i, j, colour)
    total = _count_runs(cell)
    word = outcome if outcome != "?" else "another"
    words = [word] if count < total else [word, word.replace("-", "-\n", 1), "-\n".join(word.rsplit("-", 1))]
    text = next((text for text in words if _text_width(text) < width - 0.05), letter)
    if count < total:
        text += f"\n{count} of {total}" if width > 0.6 else f"\n{count}/{total}"
    _write(axes, i, j, text, colour)


def _draw_accuracy(axes: Axes, i: int, j: int, cell: Cell | None, width: float) -> None:
    """Draw the tile of a cell's accuracy, with as much of its interval as fits into the width."""
    accuracy = estimate(cell.finished if cell else [], TEST_ACCURACY)
    if math.isnan(accuracy.mean):
        _draw_tile(axes, i, j, None)
        return
    colour = ACCURACY_COLOURS(accuracy.mean)[:3]
    _draw_tile(axes, i, j, colour)
    digits = 0 if width < 0.8 else 1
    number, text = f"{100 * accuracy.mean:.{digits}f}", accuracy.percent(digits, sign="")
    in_lines = text.replace(" ± ", "\n±").replace(" (", "\n(").replace(", ", ",\n")
    # digits are wider than the average letter
    fitting = next((option for option in (text, in_lines, number) if 1.25 * _text_width(option) < width), "")
    _write(axes, i, j, fitting, colour)
