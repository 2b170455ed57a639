"""What the figures share: sizes, colours, line styles, labels, and the layout of panels."""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

WIDTH, DPI = 8.0, 110  # inches, and pixels per inch: MLflow's UI shows 600 to 900 pixels
SMALL = 9  # points of the smallest text: 9 pixels if 600 are shown
LINE = 0.18  # inches of a line of text
LETTER = 0.068  # inches of a letter of small text, on average
# Okabe and Ito, "Color Universal Design", 2008, without the yellow, which is invisible on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.")  # each for as many inits as there are colours
MAX_ROWS = 12  # rows of panels
MAX_LETTERS = 40  # letters of a name

Ticks = tuple[Sequence[float], Sequence[str]]  # positions and labels


def png(figure: Figure) -> bytes:
    """Return the figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def colours(inits: Iterable[str]) -> dict[str, str]:
    """Return a colour for each init in their order, the same in every figure of a sweep."""
    return {init: PALETTE[index % len(PALETTE)] for index, init in enumerate(dict.fromkeys(inits))}


def line_styles(inits: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the line style of each init. The first lines are the widest, so that lines below others are visible."""
    by_init = colours(inits)
    widths = np.linspace(2.6, 1.2, len(by_init)) if len(by_init) > 1 else [1.8]
    return {
        init: {"color": colour, "linestyle": DASHES[index // len(PALETTE) % len(DASHES)], "linewidth": width}
        for index, ((init, colour), width) in enumerate(zip(by_init.items(), widths, strict=True))
    }


def thousands(count: float) -> str:
    """Return 100000 as 100k, which leaves room for its neighbour on a narrow axis."""
    return f"{count / 1000:.0f}k" if count >= 10_000 else f"{count:.0f}"


def power(exponent: int) -> str:
    """Return a power of two as text with superscripts, which are faster to draw than mathtext."""
    return "2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def elide(text: str, longest: int = MAX_LETTERS) -> str:
    """Return the text, without its middle if it is too long for a panel."""
    return text if len(text) <= longest else f"{text[: longest - 13]}\N{HORIZONTAL ELLIPSIS}{text[-12:]}"


def choose_evenly(items: Sequence[str], most: int) -> list[str]:
    """Return at most `most` of the items at even distances, the first and the last included."""
    if len(items) <= most:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int)]


def split_shared_parts(labels: Sequence[str]) -> tuple[list[str], str]:
    """Return each label `key=value, ...` without the parts that all of them share, and those parts."""
    parts = [_split_label(label) for label in labels]
    shared = [part for part in parts[0] if len(parts) > 1 and all(part in other for other in parts)]
    distinct = [", ".join(part for part in of_label if part not in shared) for of_label in parts]
    return distinct, ", ".join(map(elide, shared))


def wrap_label(label: str, width: float) -> str:
    """Return the label in lines of this width in inches, broken between its keys."""
    lines: list[str] = []
    for part in map(elide, _split_label(label)):
        if lines and LETTER * (len(lines[-1]) + len(part) + 2) <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return "\n".join(lines)


def _split_label(label: str) -> list[str]:
    """Return the parts `key=value` of a label; a value may contain commas."""
    return re.split(r", (?=[\w.@]+=)", label)


def count_lines(texts: Iterable[str]) -> int:
    """Return the largest number of lines of a text; 0 without texts."""
    return max((text.count("\n") + 1 for text in texts), default=0)


@dataclass(frozen=True)
class Layout:
    """The panels of a figure and the space around them, in inches: constrained layout would draw the figure twice.

    Attributes:
        down: The number of rows of panels.
        across: The number of columns of panels.
        height: The height of a panel.
        left: The space to the left of the panels.
        right: The space to the right of them.
        heading: The number of lines of text above the panels, below the legend.
        below: The space between the panels and the caption.
        gap: The space between columns, and between rows.
    """

    down: int
    across: int
    height: float
    left: float = 0.75
    right: float = 0.15
    heading: int = 0
    below: float = 0.5
    gap: tuple[float, float] = (0.12, 0.12)


class Frame(NamedTuple):
    """A figure with empty panels."""

    figure: Figure
    axes: Any  # array of Axes (down, across)
    free: float  # the bottom of the free space below the panels, in inches


def frame(layout: Layout, title: str, caption: str, legend: Mapping[str, Mapping[str, Any]] | None = None) -> Frame:
    """Return a figure with title, caption, legend and empty panels.

    Args:
        layout: The panels.
        title: The text above them.
        caption: The text below them.
        legend: {label: line style}.
    """
    titles, captions = wrap(title, 84), wrap(caption, 114)
    columns = max(1, int(WIDTH / (0.62 + LETTER * min(max(map(len, legend)), MAX_LETTERS)))) if legend else 1
    entries = math.ceil(len(legend) / columns) if legend else 0
    top = 0.1 + (LINE + 0.02) * len(titles) + (LINE + 0.04) * entries + LINE * layout.heading + 0.08
    bottom = layout.below + LINE * len(captions) + 0.08
    total = top + layout.down * layout.height + (layout.down - 1) * layout.gap[1] + bottom
    figure = Figure(figsize=(WIDTH, total))
    figure.text(0.1 / WIDTH, 1 - 0.08 / total, "\n".join(titles), va="top", fontsize=11, fontweight="bold")
    figure.text(0.1 / WIDTH, 0.08 / total, "\n".join(captions), va="bottom", fontsize=SMALL, color="0.25")
    if legend:
        corner = (0.1 / WIDTH, 1 - (0.1 + (LINE + 0.02) * len(titles)) / total)
        _draw_legend(figure, legend, corner, columns)
    return Frame(figure, _add_panels(figure, layout, top), bottom - layout.below)


def _draw_legend(
    figure: Figure, legend: Mapping[str, Mapping[str, Any]], corner: tuple[float, float], columns: int
) -> None:
    """Draw a legend {label: line style} whose upper left corner is there, in shares of the figure."""
    figure.legend(
        handles=[Line2D([], [], label=elide(label), **style) for label, style in legend.items()],
        loc="upper left",
        bbox_to_anchor=corner,
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        borderaxespad=0,
        borderpad=0.1,
        handlelength=1.6,
        columnspacing=1.2,
    )


def _add_panels(figure: Figure, layout: Layout, top: float) -> Any:
    """Add the panels to the figure, `top` inches below its top; return them as an array (down, across)."""
    total = figure.get_figheight()
    down, across, height, gap = layout.down, layout.across, layout.height, layout.gap
    width = (WIDTH - layout.left - layout.right - (across - 1) * gap[0]) / across
    axes: Any = np.empty((down, across), dtype=object)
    for row, column in np.ndindex(down, across):
        x, y = layout.left + column * (width + gap[0]), total - top - height - row * (height + gap[1])
        axes[row, column] = figure.add_axes((x / WIDTH, y / total, width / WIDTH, height / total))
    return axes


def bar(
    figure: Figure,
    position: tuple[float, float, float],
    scale: tuple[Normalize, Colormap],
    ticks: Ticks,
    label: str,
) -> Axes:
    """Draw a horizontal colour bar, 0.55 inches high with its label.

    Args:
        figure: The figure.
        position: (left, bottom, width) in inches.
        scale: The norm and the colours.
        ticks: The ticks.
        label: The text below the ticks.
    """
    left, bottom, width = position
    total = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, (bottom + 0.4) / total, width / WIDTH, 0.12 / total))
    colour_bar = figure.colorbar(ScalarMappable(*scale), cax=axes, orientation="horizontal")
    colour_bar.set_ticks(list(ticks[0]), labels=list(ticks[1]))
    colour_bar.minorticks_off()
    colour_bar.set_label(label, fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL)
    return axes
