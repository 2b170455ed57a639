"""What the figures share: size, colours, margins, and where panels stand."""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zeroinit.report.cells import ordered

WIDTH, DPI = 8.0, 110  # inches, and pixels of each: MLflow's UI shows 600 to 900 pixels
SMALL = 9  # points of the smallest text: 9 pixels where 600 are shown
LINE = 0.18  # inches of a line of text
LETTER = 0.068  # inches of a letter of small text, on average
# Okabe and Ito, "Color Universal Design", 2008, without the yellow that white swallows
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.")  # for the second seven inits, and so on
WIDEST = 5  # panels side by side
TALLEST = 12  # rows of panels
LONGEST = 40  # letters of a name


def png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def colours(inits: Iterable[str]) -> dict[str, str]:
    """A colour an init, by the order in which they come: the same in every figure of a sweep."""
    return {init: PALETTE[index % len(PALETTE)] for index, init in enumerate(dict.fromkeys(inits))}


def strokes(inits: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How the line of each init is drawn: the first are the widest, so that lines on one another are all seen."""
    found = colours(inits)
    widths = np.linspace(2.6, 1.2, len(found)) if len(found) > 1 else [1.8]
    return {
        init: {"color": colour, "linestyle": DASHES[index // len(PALETTE) % len(DASHES)], "linewidth": width}
        for index, ((init, colour), width) in enumerate(zip(found.items(), widths, strict=True))
    }


def power(exponent: int) -> str:
    return "2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))  # faster to draw than mathtext


def short(text: str) -> str:
    """Without its middle where it is too long for a panel."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 13]}\N{HORIZONTAL ELLIPSIS}{text[-12:]}"


def some(items: Sequence[str], most: int) -> list[str]:
    """As many of them, at even distances from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int)]


def told_apart(labels: Sequence[str]) -> tuple[list[str], str]:
    """What of each label, `key=value, ...`, the others do not have; and what all have."""
    parts = [re.split(r", (?=[\w.@]+=)", label) for label in labels]
    shared = [part for part in parts[0] if len(parts) > 1 and all(part in other for other in parts)]
    own = [", ".join(part for part in each if part not in shared) for each in parts]
    return own, ", ".join(map(short, shared))


def folded(label: str, width: float) -> str:
    """The label in lines of so many inches, broken between its keys."""
    lines: list[str] = []
    for part in map(short, re.split(r", (?=[\w.@]+=)", label)):
        if lines and LETTER * (len(lines[-1]) + len(part) + 2) <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return "\n".join(lines)


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
    """A panel for each combination of the keys that differ; the last key's values side by side if they are few."""
    values = {key: ordered(one[key] for one in params if key in one) for key in keys}
    varying = [key for key, found in values.items() if len(found) > 1]
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


class Frame(NamedTuple):
    """A figure, its panels as an array (down, across), and the bottom of the free space below them, in inches."""

    figure: Figure
    axes: Any
    free: float


def frame(
    down: int,
    across: int,
    height: float,
    title: str,
    caption: str,
    legend: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    left: float = 0.75,
    right: float = 0.15,
    heading: int = 0,
    below: float = 0.5,
    gap: tuple[float, float] = (0.12, 0.12),
) -> Frame:
    """A figure with panels of this height, in inches as are all: laying out by constraints would draw it twice.

    `gap` is between columns and rows; above the panels is space for the legend and `heading` lines.
    """
    titles, captions = wrap(title, 84), wrap(caption, 114)
    columns = max(1, int(WIDTH / (0.62 + LETTER * min(max(map(len, legend)), LONGEST)))) if legend else 1
    entries = math.ceil(len(legend) / columns) if legend else 0
    top = 0.1 + (LINE + 0.02) * len(titles) + (LINE + 0.04) * entries + LINE * heading + 0.08
    bottom = below + LINE * len(captions) + 0.08
    total = top + down * height + (down - 1) * gap[1] + bottom
    figure = Figure(figsize=(WIDTH, total))
    figure.text(0.1 / WIDTH, 1 - 0.08 / total, "\n".join(titles), va="top", fontsize=11, fontweight="bold")
    figure.text(0.1 / WIDTH, 0.08 / total, "\n".join(captions), va="bottom", fontsize=SMALL, color="0.25")
    if legend:
        figure.legend(
            handles=[Line2D([], [], label=short(label), **how) for label, how in legend.items()],
            loc="upper left",
            bbox_to_anchor=(0.1 / WIDTH, 1 - (0.1 + (LINE + 0.02) * len(titles)) / total),
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
            borderaxespad=0,
            borderpad=0.1,
            handlelength=1.6,
            columnspacing=1.2,
        )
    width = (WIDTH - left - right - (across - 1) * gap[0]) / across
    axes: Any = np.empty((down, across), dtype=object)
    for row, column in np.ndindex(down, across):
        x, y = left + column * (width + gap[0]), total - top - height - row * (height + gap[1])
        axes[row, column] = figure.add_axes((x / WIDTH, y / total, width / WIDTH, height / total))
    return Frame(figure, axes, bottom - below)


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


Ticks = tuple[Sequence[float], Sequence[str]]


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


def bar(
    figure: Figure,
    place: tuple[float, float, float],
    colours: tuple[Normalize, Colormap],
    ticks: Ticks,
    label: str,
) -> Axes:
    """A horizontal colour bar at (left, bottom, width) in inches, 0.55 high with its label."""
    left, bottom, width = place
    total = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, (bottom + 0.4) / total, width / WIDTH, 0.12 / total))
    found = figure.colorbar(ScalarMappable(*colours), cax=axes, orientation="horizontal")
    found.set_ticks(list(ticks[0]), labels=list(ticks[1]))
    found.minorticks_off()
    found.set_label(label, fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL)
    return axes
