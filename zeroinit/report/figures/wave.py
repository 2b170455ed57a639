"""The wavefront: the step at which each layer has its first gradient, from the output to the input."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zeroinit.report.figures.style import (
    LETTER,
    LINE,
    SMALL,
    WIDTH,
    Frame,
    Layout,
    bar,
    choose_evenly,
    count_lines,
    elide,
    frame,
    power,
    split_shared_parts,
    wrap_label,
)
from zeroinit.report.histories import Counts, GradientHistograms
from zeroinit.report.statistics import Numbers

MAX_LAYERS = 16  # in one panel
PARTS = 16  # rows of the picture for each layer, which show the share of exact zeros
SIZE_COLOURS = colormaps["viridis"]
PALE = (0.91, 0.91, 0.91, 1.0)  # exact zeros, unlike any colour of the scale
FRONT = "#D55E00"
PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
MARK: dict[str, Any] = {"marker": "o", "markersize": 5, "markerfacecolor": "white", "markeredgecolor": "black"}
LEGEND: dict[str, dict[str, Any]] = {
    "first gradient (median, range over runs)": {"linestyle": "-", "color": "black", "linewidth": 1, **MARK},
    "predicted front": {"color": FRONT, "linewidth": 2},
    "exactly 0": {"linestyle": "", "marker": "s", "markersize": 9, "color": PALE, "markeredgecolor": "0.6"},
}

ObservedPanel = tuple[str, GradientHistograms, Mapping[str, Sequence[int]], Mapping[str, int]]


class Panel(NamedTuple):
    """What a panel shows of a cell.

    Attributes:
        title: The keys that distinguish the cell, in lines.
        layers: The layers from the output to the input.
        gradients: The gradients at the steps of the panel.
        medians: The median (layers, steps) of log2 |gradient| over the nonzero entries.
        first: {layer: step of its first gradient in each run that has one}.
        theory: {layer: step of its first gradient in theory}.
    """

    title: str
    layers: list[str]
    gradients: GradientHistograms
    medians: Numbers
    first: Mapping[str, Sequence[int]]
    theory: Mapping[str, int]

    @property
    def steps(self) -> Counts:
        """The steps along the panel."""
        return self.gradients.steps


class Grid(NamedTuple):
    """Where the panels stand.

    Attributes:
        across: The number of panels side by side.
        left: Inches to the left of a panel, for the names of the layers.
        width: The width of a panel in inches.
        is_shared: Whether all panels have the same layers, so that only the first of a row names them.
    """

    across: int
    left: float
    width: float
    is_shared: bool


def wave_figure(panels: Sequence[ObservedPanel], across: int | None = None) -> Figure:
    """Return the figure of the wavefront, a panel for each cell.

    The layers go from the output at the top to the input, and the first observed steps along. The colour of a layer is
    the median |gradient| of the nonzero entries, and the layer is pale to the share of its exact zeros. A circle is the
    median over runs of the step of the first gradient, with the range of the runs. A line is the front in theory.

    Args:
        panels: (label, gradients, {layer: step of its first gradient in each run}, {layer: that step in theory}).
        across: The number of panels side by side; None for three at most.
    """
    labels, shared = split_shared_parts([label for label, *_ in panels])
    layers = [choose_evenly(gradients.layers, MAX_LAYERS)[::-1] for _, gradients, _, _ in panels]
    grid = _arrange_panels(layers, across or min(3, len(panels)))
    shown = [
        _summarize_panel(wrap_label(label, grid.width), of_panel, panel)
        for label, of_panel, panel in zip(labels, layers, panels, strict=True)
    ]
    medians = np.concatenate([panel.medians[np.isfinite(panel.medians)] for panel in shown])
    low, high = (math.floor(medians.min()), math.ceil(medians.max())) if len(medians) else (-1, 0)
    norm = Normalize(low, max(high, low + 1))
    figure, axes_grid, free = _open_frame(shown, grid, shared)
    for index, axes in enumerate(axes_grid.flat):
        if index < len(shown):
            _draw_panel(axes, shown[index], norm)
            _label_panel(axes, shown[index], grid, not grid.is_shared or index % grid.across == 0)
            if index + grid.across >= len(shown):
                axes.set_xlabel("observed step", fontsize=SMALL, labelpad=1)
        else:
            axes.set_visible(False)
    stride = next(stride for stride in (1, 2, 5, 10, 20, 50, 100, 300) if (high - low) / stride <= 8)
    exponents = [exponent for exponent in range(-300, 300, stride) if low <= exponent <= high]
    ticks = (exponents, list(map(power, exponents)))
    position = (grid.left, free, WIDTH - grid.left - 0.4)
    bar(figure, position, (norm, SIZE_COLOURS), ticks, "median |gradient| of the entries that are not zero")
    return figure


def _arrange_panels(layers: Sequence[Sequence[str]], across: int) -> Grid:
    """Return where the panels stand, with room for the names of their layers."""
    left = 0.3 + 1.1 * LETTER * max(len(elide(layer)) for of_panel in layers for layer in of_panel)
    is_shared = len({tuple(of_panel) for of_panel in layers}) == 1
    width = (WIDTH - left - 0.15 - (across - 1) * (0.12 if is_shared else left)) / across
    return Grid(across, left, width, is_shared)


def _summarize_panel(title: str, layers: list[str], panel: ObservedPanel) -> Panel:
    """Return what a panel shows of a cell."""
    _, gradients, first, theory = panel
    gradients = gradients.at(_choose_steps(gradients.steps, first))
    medians = np.array([gradients.quantiles(layer, [0.5])[:, 0] for layer in layers])
    return Panel(title, layers, gradients, medians, first, theory)


def _choose_steps(steps: Counts, first: Mapping[str, Sequence[int]]) -> Counts:
    """Return the observed steps up to the first gap, or up to the last first gradient if that is later."""
    dense = 1 + int(np.argmax(np.append(np.diff(steps) > 1, True)))
    latest = max((step for of_layer in first.values() for step in of_layer), default=0)
    return steps[: max(dense, int(np.searchsorted(steps, latest)) + 1)]


def _open_frame(panels: Sequence[Panel], grid: Grid, shared: str) -> Frame:
    """Return the figure with its texts and empty panels; all cells share the keys `shared`."""
    down = math.ceil(len(panels) / grid.across)
    most = max(len(panel.layers) for panel in panels)
    lines = count_lines(panel.title for panel in panels)
    runs = sorted({panel.gradients.runs for panel in panels})
    caption = (
        "The first observed steps; a layer is pale to the share of its exact zeros "
        f"(x: all of them); {runs[0]}{f' to {runs[-1]}' if len(runs) > 1 else ''} runs a cell"
        f"{'; ' + shared if shared else ''}."
    )
    layout = Layout(
        down,
        grid.across,
        min(max(0.26 * most, 0.9), 2.6 if down < 3 else 2.2),
        left=grid.left,
        heading=lines,
        below=1.15,
        gap=(0.12 if grid.is_shared else grid.left, LINE * lines + 0.32),
    )
    return frame(layout, "When each layer's weights have their first gradient", caption, LEGEND)


def _draw_panel(axes: Axes, panel: Panel, norm: Normalize) -> None:
    """Draw the gradients of a cell's layers, the front in theory, and the first gradients."""
    colours = SIZE_COLOURS(norm(np.nan_to_num(panel.medians, nan=float(norm.vmin or 0))))
    colours[np.isnan(panel.medians)] = 1  # white: the entries are neither zero nor finite
    _draw_layers(axes, panel, colours)
    _mark_front(axes, panel)
    _mark_first_gradients(axes, panel)


def _label_panel(axes: Axes, panel: Panel, grid: Grid, has_names: bool) -> None:
    """Set the title and the ticks of a panel, with the names of the layers or without."""
    layers, steps = panel.layers, panel.steps
    axes.set_title(panel.title, fontsize=SMALL, pad=3)
    axes.set_yticks(range(len(layers)) if has_names else [], map(elide, layers) if has_names else [], fontsize=SMALL)
    stride = max(1, math.ceil(len(steps) / (2.2 * grid.width)))
    axes.set_xticks(range(0, len(steps), stride), [f"{step:,}" for step in steps[::stride]], fontsize=SMALL)


def _draw_layers(axes: Axes, panel: Panel, colours: Numbers) -> None:
    """Draw the nonzero share of each layer in its colours (layers, steps, 4), from its bottom; x if there is none."""
    layers, gradients, count = panel.layers, panel.gradients, len(panel.steps)
    image = np.ones((len(layers) * PARTS, count, 4))
    for row, layer in enumerate(layers):
        zeros = gradients.zero_share(layer)
        pale = np.where(zeros == 1, PARTS - 1, np.minimum(np.ceil(zeros * (PARTS - 1)), PARTS - 2))
        is_coloured = np.arange(PARTS - 1)[:, None] >= pale  # the last line separates the layer from the next
        image[row * PARTS : (row + 1) * PARTS - 1] = np.where(is_coloured[..., None], colours[row], PALE)
    axes.imshow(image, aspect="auto", interpolation="nearest", extent=(-0.5, count - 0.5, len(layers) - 0.5, -0.5))
    rows, steps = np.nonzero([gradients.zero_share(layer) == 1 for layer in layers])
    size = min(4, 120 / count, 60 / len(layers))
    style: dict[str, Any] = {"linestyle": "", "marker": "x", "color": "0.62", "markeredgewidth": 0.7}
    axes.add_line(Line2D(steps, rows, markersize=size, label="nothing", **style))


def _mark_front(axes: Axes, panel: Panel) -> None:
    """Draw the front in theory: along the left edge of each layer's step, and across at the borders of the layers."""
    steps, theory = panel.steps, panel.theory
    x: list[float] = []
    y: list[float] = []
    for row, layer in enumerate(panel.layers):
        is_shown = theory.get(layer, math.inf) <= steps[-1]
        edge = float(np.searchsorted(steps, theory[layer])) - 0.5 if is_shown else math.nan
        x.extend((edge, edge))
        y.extend((row - 0.5, row + 0.5))
    for colour, width, label in (("white", 3.5, "edge"), (FRONT, 2, "predicted")):
        axes.add_line(Line2D(x, y, color=colour, linewidth=width, clip_on=False, label=label))


def _mark_first_gradients(axes: Axes, panel: Panel) -> None:
    """Draw a circle at the median first step of each layer; if not all runs have one, write how many do."""
    steps, first = panel.steps, panel.first
    positions = {
        row: np.searchsorted(steps, sorted(first[layer])) for row, layer in enumerate(panel.layers) if layer in first
    }
    rows, of_rows = list(positions), list(positions.values())
    axes.hlines(
        rows, [of_row[0] for of_row in of_rows], [of_row[-1] for of_row in of_rows], color="black", linewidth=1.2
    )
    medians = [float(np.median(of_row)) for of_row in of_rows]
    axes.add_line(Line2D(medians, rows, linestyle="", label="first", **MARK))
    runs = panel.gradients.runs
    for row, of_row in positions.items():
        if len(of_row) < runs:
            axes.text(of_row[-1] + 0.8, row, f"{len(of_row)} of {runs}", fontsize=SMALL, va="center", bbox=PLATE)
