"""Box plots of each layer's weight gradients in the first steps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeroinit.report.figures.style import (
    LETTER,
    PALETTE,
    SMALL,
    WIDTH,
    Frame,
    Layout,
    choose_evenly,
    count_lines,
    elide,
    frame,
    power,
    split_shared_parts,
    wrap_label,
)
from zeroinit.report.histories import GradientHistograms
from zeroinit.report.statistics import Numbers

MAX_LAYERS = 8  # in one panel
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # whisker, box, median, box, whisker
ABSENT = "#F9E0D2"  # exact zeros are red, as in the figure of gradients
MIN_EXPONENT = -40  # all smaller gradients are next to zero
SIDES = 1.2  # inches to the left and right of the panels


class Scale(NamedTuple):
    """The exponents of the axis: linear up to 2^low, then logarithmic up to 2^high."""

    low: int
    high: int


class Column(NamedTuple):
    """A cell in the figure.

    Attributes:
        layers: The layers that have boxes.
        quantiles: {layer: (steps, 5)} of the gradient.
        zero_shares: {layer: (steps,)}, the share of exact zeros.
    """

    layers: list[str]
    quantiles: dict[str, Numbers]
    zero_shares: dict[str, Numbers]


def boxes_figure(panels: Sequence[tuple[str, GradientHistograms]], steps: int = 5) -> Figure:
    """Return the figure of the weight gradients in the first observed steps: steps down, cells along.

    Each layer has a box, from the input to the output: quartiles and median of all entries, exact zeros included, with
    whiskers from 5% to 95%. The axis is linear next to zero and logarithmic beyond. A layer whose entries are all zero
    is shaded, with a cross instead of a box. The share of exact zeros is below each box. After Figure 12 of Schicho
    (2023).

    Args:
        panels: (label, gradients) of each cell.
        steps: The number of steps.
    """
    common = panels[0][1].steps
    for _, histograms in panels[1:]:
        common = np.intersect1d(common, histograms.steps)
    shown = [int(step) for step in common[:steps]]
    columns = [_summarize_gradients(histograms.at(shown)) for _, histograms in panels]
    scale = _choose_scale(columns)
    width = (WIDTH - SIDES) / len(panels)
    longest = max(len(elide(layer)) for column in columns for layer in column.layers)
    is_upright = longest * LETTER < width / max(len(column.layers) for column in columns)
    labels, shared = split_shared_parts([label for label, _ in panels])
    titles = [wrap_label(label, width) for label in labels]
    layout = Layout(
        len(shown),
        len(panels),
        1.25,
        left=1.05,
        heading=count_lines(titles),
        below=0.35 if is_upright else 0.35 + LETTER * longest,
        gap=(0.12, 0.1),
    )
    runs = " and ".join(str(runs) for runs in dict.fromkeys(histograms.runs for _, histograms in panels))
    figure, grid, _ = _open_frame(layout, runs, scale, shared)
    for (row, index), axes in np.ndenumerate(grid):
        column = columns[index]
        _draw_panel(axes, column, row, scale)
        is_lowest = row == len(shown) - 1
        names = [elide(layer) for layer in column.layers] if is_lowest else []
        axes.set_xticks(range(len(names)), names, fontsize=SMALL, rotation=0 if is_upright else 90)
        axes.tick_params(labelleft=not index)
        if not index:
            axes.set_ylabel(f"step {shown[row]}", fontsize=SMALL + 1)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=SMALL, pad=3)
    return figure


def _open_frame(layout: Layout, runs: str, scale: Scale, shared: str) -> Frame:
    """Return the figure with its texts and empty panels.

    Args:
        layout: The panels.
        runs: The number of runs of each cell.
        scale: The axis of the gradients.
        shared: The keys that all cells share.
    """
    caption = (
        f"Layers from the input to the output, all entries of {runs} runs: box from 25% to 75%, line at the median, "
        f"whiskers from 5% to 95%; shaded, with a cross: nothing but exact zeros, whose share is below. Linear below "
        f"{power(scale.low)}{'; ' + shared if shared else ''}."
    )
    return frame(layout, f"Weight gradients of the first {layout.down} observed steps", caption)


def _summarize_gradients(histograms: GradientHistograms) -> Column:
    """Return what the figure shows of a cell."""
    layers = choose_evenly(histograms.layers, MAX_LAYERS)
    quantiles = {layer: histograms.signed_quantiles(layer, SHARES) for layer in layers}
    return Column(layers, quantiles, {layer: histograms.zero_share(layer) for layer in layers})


def _choose_scale(columns: Sequence[Column]) -> Scale:
    """Return an axis that shows all whiskers, and is linear below the smallest box."""
    ends = np.abs(np.concatenate([part for column in columns for part in column.quantiles.values()]))  # (boxes, 5)
    boxes, whiskers = (np.log2(part[np.isfinite(part) & (part > 0)]) for part in (ends[:, [1, 3]].max(1), ends.max(1)))
    high = int(np.ceil(whiskers.max())) if len(whiskers) else 0
    low = int(np.clip(np.floor(boxes.min()), MIN_EXPONENT, high - 2)) if len(boxes) else high - 10
    return Scale(low, high)


def _draw_panel(axes: Axes, column: Column, row: int, scale: Scale) -> None:
    """Draw the boxes of a cell's layers at one step, and the shares of exact zeros below them."""
    low, high = scale
    _draw_boxes(axes, np.array([column.quantiles[layer][row] for layer in column.layers]), low)
    zero_shares = np.array([column.zero_shares[layer][row] for layer in column.layers])
    absent = np.flatnonzero(zero_shares == 1)
    along = axes.get_xaxis_transform()
    axes.broken_barh([(index - 0.5, 1) for index in absent], (0, 1), transform=along, color=ABSENT, zorder=0)
    axes.plot(absent, np.zeros(len(absent)), "x", color="black", markersize=7, markeredgewidth=1.6)
    for index, share in enumerate(zero_shares):
        height = -1.22 * float(symmetric_log(2.0**high, low))
        axes.text(index, height, _format_percent(share), ha="center", va="center", fontsize=SMALL)
    _finish_panel(axes, scale)
    axes.set_xlim(-0.5, len(column.layers) - 0.5)


def symmetric_log(values: Numbers | float, low: int) -> Numbers:
    """Return positions on the axis: linear up to 2^low, which is at 1, then 1 more for each power of two."""
    sizes = np.abs(np.asarray(values, float)) / 2.0**low
    positions: Numbers = np.sign(values) * np.where(sizes > 1, 1 + np.log2(np.maximum(sizes, 1)), sizes)
    return positions


def _draw_boxes(axes: Axes, quantiles: Numbers, low: int) -> None:
    """Draw the boxes of quantiles (layers, 5), except for layers whose entries are all zero."""
    layers = np.flatnonzero(np.isfinite(quantiles).all(axis=1) & (quantiles != 0).any(axis=1))
    whisker, bottom, median, top, end = symmetric_log(quantiles[layers], low).T
    axes.vlines(layers, whisker, end, color="0.3", linewidth=1)
    for ends in (whisker, end):
        axes.hlines(ends, layers - 0.14, layers + 0.14, color="0.3", linewidth=1)
    axes.bar(layers, top - bottom, 0.56, bottom, color=PALETTE[5], edgecolor="0.2", linewidth=0.8, zorder=2)
    axes.hlines(median, layers - 0.28, layers + 0.28, color="black", linewidth=2, zorder=3)


def _finish_panel(axes: Axes, scale: Scale) -> None:
    """Set ticks at zero and at powers of two, and leave space for the shares of zeros below."""
    low, high = scale
    stride = next(stride for stride in (1, 2, 5, 10, 20, 50) if (high - low) / stride <= 2.5)
    exponents = [exponent for exponent in range(-200, 200, stride) if low + (high - low) / 4 <= exponent <= high]
    ticks = [float(symmetric_log(2.0**exponent, low)) for exponent in exponents]
    edge = float(symmetric_log(2.0**high, low))
    axes.set_yticks(
        [0, *ticks, *(-tick for tick in ticks), -1.22 * edge],
        ["0", *map(power, exponents), *(f"\N{MINUS SIGN}{power(exponent)}" for exponent in exponents), "exact 0, %"],
        fontsize=SMALL,
    )
    axes.set_ylim(-1.42 * edge, 1.08 * edge)
    axes.axhline(0, color="0.75", linewidth=0.7, zorder=0)
    axes.axhline(-1.03 * edge, color="0.85", linewidth=0.7)
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)


def _format_percent(share: float) -> str:
    """Return a share of zeros in percent, as 0 or 100 only if it is exactly that."""
    if 0 < share < 0.005:
        return "<1"
    return ">99" if 0.995 <= share < 1 else f"{100 * share:.0f}"
