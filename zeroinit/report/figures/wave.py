"""When each layer wakes: the wave of first gradients from the output to the input."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zeroinit.report.figures.style import LETTER, LINE, SMALL, WIDTH, bar, folded, frame, power, short, some, told_apart
from zeroinit.report.histories import Counts, Gradients
from zeroinit.report.statistics import Numbers

LAYERS = 16  # in one panel, at most
PARTS = 16  # rows of the picture for each layer, in which the share of exact zeros is seen
SIZE = colormaps["viridis"]
PALE = (0.91, 0.91, 0.91, 1.0)  # exact zeros, which no colour of the scale is near
FRONT = "#D55E00"
PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}

Panel = tuple[str, Gradients, Mapping[str, Sequence[int]], Mapping[str, int]]


def wave_figure(panels: Sequence[Panel], across: int | None = None) -> Figure:
    """A panel a cell (label, gradients, {layer: step of its first gradient in each run}, {layer: that in theory}).

    Layers from the output at the top to the input, the first observed steps along; the colour is the median |gradient|
    of the entries that are not zero, and as much of a layer is pale as is exactly zero. A circle is the median of the
    first gradient over runs, with its range where they differ; the line is the front that theory predicts. `across`:
    so many side by side, three if not said.
    """
    of_each = [some(found.layers, LAYERS)[::-1] for _, found, _, _ in panels]
    watched = [found.at(first(found.steps, arrivals)) for _, found, arrivals, _ in panels]
    medians = [
        np.array([found.quantiles(layer, [0.5])[:, 0] for layer in layers])
        for found, layers in zip(watched, of_each, strict=True)
    ]
    finite = np.concatenate([of_one[np.isfinite(of_one)] for of_one in medians])
    low, high = (math.floor(finite.min()), math.ceil(finite.max())) if len(finite) else (-1, 0)
    norm = Normalize(low, max(high, low + 1))
    across = across or min(3, len(panels))
    down = math.ceil(len(panels) / across)
    left = 0.3 + 1.1 * LETTER * max(len(short(layer)) for layers in of_each for layer in layers)
    alike = len({tuple(layers) for layers in of_each}) == 1
    most = max(map(len, of_each))
    width = (WIDTH - left - 0.15 - (across - 1) * (0.12 if alike else left)) / across
    own, shared = told_apart([label for label, *_ in panels])
    titles = [folded(label, width) for label in own]
    lines = max(title.count("\n") + 1 for title in titles)
    runs = sorted({found.runs for _, found, _, _ in panels})
    caption = (
        "Steps at which probes looked, from the first on; a layer is pale to the share of its exact zeros "
        f"(x: all of them); {runs[0]}{f' to {runs[-1]}' if len(runs) > 1 else ''} runs a cell"
        f"{'; ' + shared if shared else ''}."
    )
    figure, grid, free = frame(
        down,
        across,
        min(max(0.26 * most, 0.9), 2.6 if down < 3 else 2.2),
        "When each layer's weights have their first gradient",
        caption,
        KEY,
        left=left,
        heading=lines,
        below=1.15,
        gap=(0.12 if alike else left, LINE * lines + 0.32),
    )
    for index, axes in enumerate(grid.flat):
        if index >= len(panels):
            axes.set_visible(False)
            continue
        _, _, arrivals, predicted = panels[index]
        found, layers = watched[index], of_each[index]
        seen = found.steps
        colours = SIZE(norm(np.nan_to_num(medians[index], nan=low)))
        colours[np.isnan(medians[index])] = 1  # neither zero nor finite
        draw_layers(axes, found, layers, colours)
        mark_front(axes, layers, seen, predicted)
        mark_arrivals(axes, layers, seen, arrivals, found.runs)
        axes.set_title(titles[index], fontsize=SMALL, pad=3)
        named = not alike or index % across == 0
        axes.set_yticks(range(len(layers)) if named else [], map(short, layers) if named else [], fontsize=SMALL)
        stride = max(1, math.ceil(len(seen) / (2.2 * width)))
        axes.set_xticks(range(0, len(seen), stride), [f"{step:,}" for step in seen[::stride]], fontsize=SMALL)
        if index + across >= len(panels):
            axes.set_xlabel("observed step", fontsize=SMALL, labelpad=1)
    stride = next(stride for stride in (1, 2, 5, 10, 20, 50, 100, 300) if (high - low) / stride <= 8)
    ticks = [mark for mark in range(-300, 300, stride) if low <= mark <= high]
    place = (left, free, WIDTH - left - 0.4)
    bar(
        figure,
        place,
        (norm, SIZE),
        (ticks, [power(mark) for mark in ticks]),
        "median |gradient| of the entries that are not zero",
    )
    return figure


MARK: dict[str, Any] = {"marker": "o", "markersize": 5, "markerfacecolor": "white", "markeredgecolor": "black"}
KEY: dict[str, dict[str, Any]] = {
    "first gradient (median, range over runs)": {"linestyle": "-", "color": "black", "linewidth": 1, **MARK},
    "predicted front": {"color": FRONT, "linewidth": 2},
    "exactly 0": {"linestyle": "", "marker": "s", "markersize": 9, "color": PALE, "markeredgecolor": "0.6"},
}


def first(steps: Counts, arrivals: Mapping[str, Sequence[int]]) -> Counts:
    """The observed steps up to the first gap, or to the last arrival where that is later."""
    dense = 1 + int(np.argmax(np.append(np.diff(steps) > 1, True)))
    latest = max((step for of_layer in arrivals.values() for step in of_layer), default=0)
    return steps[: max(dense, int(np.searchsorted(steps, latest)) + 1)]


def draw_layers(axes: Axes, found: Gradients, layers: Sequence[str], colours: Numbers) -> None:
    """Colour (layers, steps, 4) what is not zero, from the bottom of each layer; x where nothing is."""
    seen = found.steps
    image = np.ones((len(layers) * PARTS, len(seen), 4))
    for row, layer in enumerate(layers):
        zeros = found.zero_share(layer)
        pale = np.where(zeros == 1, PARTS - 1, np.minimum(np.ceil(zeros * (PARTS - 1)), PARTS - 2))
        there = np.arange(PARTS - 1)[:, None] >= pale  # the last line parts it from the next layer
        image[row * PARTS : (row + 1) * PARTS - 1] = np.where(there[..., None], colours[row], PALE)
    axes.imshow(image, aspect="auto", interpolation="nearest", extent=(-0.5, len(seen) - 0.5, len(layers) - 0.5, -0.5))
    rows, steps = np.nonzero([found.zero_share(layer) == 1 for layer in layers])
    size = min(4, 120 / len(seen), 60 / len(layers))
    how: dict[str, Any] = {"linestyle": "", "marker": "x", "color": "0.62", "markeredgewidth": 0.7}
    axes.add_line(Line2D(steps, rows, markersize=size, label="nothing", **how))


def mark_front(axes: Axes, layers: Sequence[str], seen: Counts, predicted: Mapping[str, int]) -> None:
    """A line along the left edge of each layer's first predicted step, across at the layers' borders."""
    front: tuple[list[float], list[float]] = ([], [])
    for row, layer in enumerate(layers):
        seen_then = predicted.get(layer, math.inf) <= seen[-1]
        x = float(np.searchsorted(seen, predicted[layer])) - 0.5 if seen_then else math.nan
        front[0].extend((x, x))
        front[1].extend((row - 0.5, row + 0.5))
    for colour, width, label in (("white", 3.5, "edge"), (FRONT, 2, "predicted")):
        axes.add_line(Line2D(*front, color=colour, linewidth=width, clip_on=False, label=label))


def mark_arrivals(
    axes: Axes, layers: Sequence[str], seen: Counts, arrivals: Mapping[str, Sequence[int]], runs: int
) -> None:
    """A circle at the median first step of each layer, and how many of the runs have one if not all have."""
    found = [
        (row, np.searchsorted(seen, sorted(arrivals[layer]))) for row, layer in enumerate(layers) if layer in arrivals
    ]
    rows = [row for row, _ in found]
    axes.hlines(rows, [each[0] for _, each in found], [each[-1] for _, each in found], color="black", linewidth=1.2)
    axes.add_line(Line2D([float(np.median(each)) for _, each in found], rows, linestyle="", label="first", **MARK))
    for row, each in found:
        if len(each) < runs:
            axes.text(each[-1] + 0.8, row, f"{len(each)} of {runs}", fontsize=SMALL, va="center", bbox=PLATE)
