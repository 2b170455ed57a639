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

WIDTH, DPI = 8.0, 110  # inches, and pixels of each: MLflow's UI shows 600 to 900 pixels
SMALL = 9  # points of the smallest text: 9 pixels where 600 are shown
LINE = 0.18  # inches of a line of text
LETTER = 0.068  # inches of a letter of small text, on average
# Okabe and Ito, "Color Universal Design", 2008, without the yellow that white swallows
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.")  # for the second seven inits, and so on
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


def thousands(count: float) -> str:
    """100000 as 100k, which its neighbour on a narrow axis leaves room for."""
    return f"{count / 1000:.0f}k" if count >= 10_000 else f"{count:.0f}"


def power(exponent: int) -> str:
    return "2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))  # faster to draw than mathtext


def short(text: str, longest: int = LONGEST) -> str:
    """Without its middle where it is too long for a panel."""
    return text if len(text) <= longest else f"{text[: longest - 13]}\N{HORIZONTAL ELLIPSIS}{text[-12:]}"


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


Ticks = tuple[Sequence[float], Sequence[str]]


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
