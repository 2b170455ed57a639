"""The figures of a sweep; the only file that knows the plotting library."""

import io
import math
from collections import defaultdict
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from zeroinit.report.cells import Cell, columns
from zeroinit.report.watched import Gradients, course
from zeroinit.tracker import COURSE

LAYERS = 16  # in one figure, at most
ZERO_BAND = 6  # rows of the band of exact zeros, between the positive and the negative bins
SMALLEST = -50  # exponents below this one are drawn in its row
FULL = 0.25  # the share of a layer's non-zero entries in one bin at which its colour is full


def png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def comparison_figure(cells: Sequence[Cell]) -> Figure:
    """Test accuracy over epochs: a colour an init, a panel for what else differs, a 95% band over draws of the init."""
    facets = [key for key in columns(cells) if key != "init"]
    panels: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        panels[cell.label(facets)].append(cell)
    inits = list(dict.fromkeys(cell.params["init"] for cell in cells))
    palette = colormaps["tab20" if len(inits) > 10 else "tab10"]
    colour = {init: palette(index % palette.N) for index, init in enumerate(inits)}
    across = len({cell.params.get(facets[-1]) for cell in cells})
    across = across if 1 < across <= 4 else min(3, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(4 * across, 2.8 * down + 0.6), layout="constrained")
    grid = figure.subplots(down, across, sharey=True, squeeze=False).flat
    for axes, (label, members) in zip(grid, panels.items(), strict=False):
        axes.set_title(fill(label, 45), fontsize=8)
        axes.set_xlabel("epoch")
        for cell in members:
            draw_course(axes, cell, colour[cell.params["init"]])
        axes.grid(alpha=0.3)
    for axes in list(grid)[len(panels) :]:
        axes.set_visible(False)
    first = figure.axes[0]
    first.set_ylim(0, 1.02)
    first.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.supylabel("test accuracy, 95% interval", fontsize=10)
    handles = [first.plot([], [], color=colour[init], label=init)[0] for init in inits]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(inits), 6), frameon=False)
    return figure


def draw_course(axes: Axes, cell: Cell, colour: tuple[float, ...]) -> None:
    if not cell.finished:
        return
    per_epoch = int(cell.finished[0].tags["steps_per_epoch"])
    found = course(cell.finished, COURSE)
    if found is None:
        return
    mean, half = found.mean, found.half
    epochs = found.steps / per_epoch
    axes.plot(epochs, mean, color=colour, linewidth=1.5)
    axes.fill_between(epochs, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
    if per_epoch == 1:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlabel("epoch (logarithmic)")


def gradient_figure(label: str, found: Gradients) -> Figure:
    """The weight gradients of one cell: layers down, observed steps along, counts added up over its runs.

    Each layer: positive bins above, negative below, by power of two, coloured by their share of the non-zero entries;
    between them a band coloured by the share of exact zeros, with a mark where every entry is one.
    """
    layers = found.layers
    if len(layers) > LAYERS:  # of a deeper net, as many from its first to its last
        layers = [layers[index] for index in np.linspace(0, len(layers) - 1, LAYERS).round().astype(int)]
    steps, counts = found.steps, found.counts
    used = np.flatnonzero(np.sum([counts[layer].sum(axis=(0, 1)) for layer in layers], axis=0))
    low = max(int(used.min()) - 127, SMALLEST) if len(used) else SMALLEST // 2  # nothing but zeros: an empty frame
    high = max(int(used.max()) - 127, low) if len(used) else 0
    bins = high - low + 1
    figure = Figure(figsize=(9, 2.4 * len(layers) + 1.2))
    # fixed margins: laying out by constraints would draw every figure twice
    above, below = 0.4 / figure.get_figheight(), 0.5 / figure.get_figheight()
    grid = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.1, right=0.81, top=1 - above, bottom=below, hspace=0.08)
    spread, absent = colormaps["viridis"], colormaps["Reds"]
    for axes, layer in zip(grid, layers, strict=True):
        merged = counts[layer][:, :, low + 127 : high + 128].astype(float)
        merged[:, :, 0] += counts[layer][:, :, : low + 127].sum(axis=2)
        nonzero = found.nonzero(layer)
        positive, negative = (merged[:, sign].T / np.maximum(nonzero, 1) for sign in (1, 0))
        image = np.ones((2 * bins + ZERO_BAND, len(steps), 4))
        for rows, part in ((slice(0, bins), positive[::-1]), (slice(bins + ZERO_BAND, None), negative)):
            image[rows] = np.where(part[..., None] > 0, spread((part / FULL).clip(0, 1)), 1.0)
        image[bins : bins + ZERO_BAND] = absent(found.zero_share(layer))
        axes.imshow(image, aspect="auto", interpolation="nearest")
        middle = bins + (ZERO_BAND - 1) / 2
        wholly = np.flatnonzero(nonzero == 0)
        axes.plot(wholly, np.full(len(wholly), middle), "wx", markersize=5)
        marks = range(0, bins, max(1, bins // 3))  # few: ticks are what takes the time to draw
        axes.set_yticks(
            [*marks, middle, *(2 * bins + ZERO_BAND - 1 - mark for mark in marks)],
            [*(power(high - mark) for mark in marks), "0", *("\N{MINUS SIGN}" + power(high - mark) for mark in marks)],
            fontsize=8,
        )
        axes.set_ylabel(layer)
        axes.xaxis.set_visible(axes is grid[-1])
    stride = max(1, math.ceil(len(steps) / 10))
    grid[-1].set_xticks(range(0, len(steps), stride), [str(step) for step in steps[::stride]], fontsize=8)
    grid[-1].set_xlabel("step (each observed one, not to scale)")
    figure.suptitle(fill(f"Weight gradients, {label} ({found.runs} runs)", 100), fontsize=10)
    for left, scale, most, name in (
        (0.83, absent, 1.0, "share of exact zeros (x: all entries)"),
        (0.92, spread, FULL, "share of the non-zero entries"),
    ):
        bar = figure.colorbar(ScalarMappable(Normalize(0, most), scale), cax=figure.add_axes((left, 0.25, 0.015, 0.5)))
        bar.set_label(name, fontsize=8)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        bar.ax.tick_params(labelsize=7)
    return figure


def power(exponent: int) -> str:
    return "2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))  # faster to draw than mathtext
