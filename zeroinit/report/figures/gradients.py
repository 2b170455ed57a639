"""Histograms of weight gradients over time: for one cell, and for two cells with their difference."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from zeroinit.report.figures.style import (
    SMALL,
    WIDTH,
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

MAX_LAYERS = 8  # in one figure
MIN_EXPONENT = -50  # its row also shows all smaller exponents
FULL = PowerNorm(0.5, 0, 0.25, clip=True)  # a bin with a quarter of the entries has the full colour
SPREAD, ABSENT, DIFFERENCE = colormaps["viridis"], colormaps["Reds"], colormaps["PuOr"]
SHARES = [0, 0.01, 0.05, 0.1, 0.25]
BELOW = 1.15  # inches for the ticks and label of the steps, and for colour bars
LEFT = 1.05  # inches


class Bins:
    """The rows of a picture from the top: positive bins with the largest first, exact zeros, negative bins.

    Attributes:
        low: The smallest exponent.
        high: The largest exponent.
        count: The number of positive bins, and of negative ones.
        band: The number of rows of the zeros.
    """

    def __init__(self, cells: Sequence[GradientHistograms], layers: Sequence[str]) -> None:
        """Choose bins that hold all gradients of these layers of the cells."""
        used = np.flatnonzero(sum(cell.counts[layer].sum(axis=(0, 1)) for cell in cells for layer in layers))
        # if there is nothing but zeros, the picture is empty
        self.low = max(int(used.min()) - 127, MIN_EXPONENT) if len(used) else MIN_EXPONENT // 2
        self.high = max(int(used.max()) - 127, self.low) if len(used) else 0
        self.count = self.high - self.low + 1
        self.band = max(3, self.count // 5)

    @property
    def middle(self) -> float:
        """The row in the middle of the zeros."""
        return self.count + (self.band - 1) / 2

    def rows(self, cell: GradientHistograms, layer: str) -> tuple[Numbers, Numbers]:
        """Return the counts (bins, T) of the positive rows and of the negative rows, from the top."""
        counts = cell.counts[layer].astype(float)
        in_bins = counts[:, :, self.low + 127 : self.high + 128].copy()
        in_bins[:, :, 0] += counts[:, :, : self.low + 127].sum(axis=2)
        return in_bins[:, 1, ::-1].T, in_bins[:, 0].T

    def ticks(self) -> tuple[list[float], list[str]]:
        """Return the rows and labels of some powers of two: few, as ticks are slow to draw."""
        stride = next(stride for stride in (1, 2, 5, 10, 20, 50, 100, 200) if self.count / stride <= 4.5)
        marks = [mark for mark in range(-200, 200, stride) if self.low + self.count / 6 < mark <= self.high]
        last = 2 * self.count + self.band - 1
        above = {self.high - mark + 0.5: power(mark) for mark in marks}
        below = {last - row: f"\N{MINUS SIGN}{name}" for row, name in above.items()}
        both = above | {self.middle: "0"} | below
        return list(both), list(both.values())


def gradient_figure(label: str, cell: GradientHistograms) -> Figure:
    """Return the figure of one cell's weight gradients: layers down, observed steps along, summed over its runs.

    Each layer has positive bins above and negative bins below, by power of two. Their colour is their share of the
    nonzero entries. The band between them has the colour of the share of exact zeros, with a mark if all are zero.
    """
    layers = choose_evenly(cell.layers, MAX_LAYERS)
    bins = Bins([cell], layers)
    description = wrap_label(label, math.inf)
    caption = f"{description}; {_describe_runs([cell])}; positive above, negative below; x: every entry is exactly 0."
    layout = Layout(len(layers), 1, 2.1 if len(layers) < 4 else 1.4, left=LEFT, below=BELOW)
    figure, grid, free = frame(layout, "Weight gradients by power of two", caption)
    for axes, layer in zip(grid[:, 0], layers, strict=True):
        entries = np.maximum(cell.nonzero(layer), 1)
        above, below = (SPREAD(FULL(part / entries)) * (part > 0)[..., None] for part in bins.rows(cell, layer))
        _draw(axes, bins, above, ABSENT(cell.zero_share(layer)), below)
        _mark_absent(axes, bins, cell, layer)
    _finish(grid, bins, layers, [cell.steps])
    half = (WIDTH - LEFT - 0.35 - 0.5) / 2
    _draw_shares_bar(figure, (LEFT, free, half), "share of the non-zero entries, in a bin")
    _draw_zeros_bar(figure, (LEFT + 0.5 + half, free, half))
    return figure


def difference_figure(first: tuple[str, GradientHistograms], second: tuple[str, GradientHistograms]) -> Figure:
    """Return the figure of two cells (label, gradients) side by side, and of the first minus the second.

    Colours are shares of all entries. The difference is at the steps at which both cells were observed.
    """
    cells = (first[1], second[1])
    layers = choose_evenly([layer for layer in cells[0].layers if layer in cells[1].layers], MAX_LAYERS)
    bins = Bins(cells, layers)
    (name, other_name), shared = split_shared_parts([first[0], second[0]])
    caption = (
        f"Shares of all entries; {_describe_runs(cells)}; x: every entry is exactly 0{'; ' + shared if shared else ''}."
    )
    third = (WIDTH - LEFT - 0.15 - 0.24) / 3
    heads = [wrap_label(head, third) for head in (f"A: {name}", f"B: {other_name}", "A \N{MINUS SIGN} B")]
    height = 2.1 if len(layers) < 4 else 1.4
    layout = Layout(len(layers), 3, height, left=LEFT, heading=count_lines(heads), below=BELOW)
    figure, grid, free = frame(layout, "Weight gradients of two cells", caption)
    for panels, layer in zip(grid, layers, strict=True):
        _draw_difference(panels, bins, cells, layer)
    for axes, title in zip(grid[0], heads, strict=True):
        axes.set_title(title, fontsize=SMALL, pad=3)
    steps = [cell.steps for cell in cells]
    _finish(grid, bins, layers, [*steps, np.intersect1d(steps[0], steps[1])])
    starts = [LEFT + index * (third + 0.12) + 0.22 for index in range(3)]
    _draw_shares_bar(figure, (starts[0], free, third - 0.44), "share, in a bin")
    _draw_zeros_bar(figure, (starts[1], free, third - 0.44))
    _draw_difference_bar(figure, (starts[2], free, third - 0.44))
    return figure


def _draw_difference(
    panels: Sequence[Axes], bins: Bins, cells: tuple[GradientHistograms, GradientHistograms], layer: str
) -> None:
    """Draw a layer of two cells in two panels, and the first minus the second in the third panel."""
    common = np.intersect1d(cells[0].steps, cells[1].steps)
    parts = []
    for axes, cell in zip(panels, cells, strict=False):
        zero_share = cell.zero_share(layer)
        above, below = (part / np.maximum(_count_entries(cell, layer), 1) for part in bins.rows(cell, layer))
        colours = [SPREAD(FULL(part)) * (part > 0)[..., None] for part in (above, below)]
        _draw(axes, bins, colours[0], ABSENT(zero_share), colours[1])
        _mark_absent(axes, bins, cell, layer)
        is_common = np.isin(cell.steps, common)
        parts.append((above[:, is_common], zero_share[is_common], below[:, is_common]))
    above, zeros, below = (of_first - of_second for of_first, of_second in zip(*parts, strict=True))
    colours = [DIFFERENCE(0.5 + 0.5 * np.sign(part) * FULL(abs(part))) for part in (above, below)]
    _draw(panels[2], bins, colours[0], DIFFERENCE(0.5 + 0.5 * zeros), colours[1])


def _count_entries(cell: GradientHistograms, layer: str) -> Numbers:
    """Return the number of entries (T,) of a layer."""
    total: Numbers = (cell.nonzero(layer) + cell.zeros[layer]).astype(float)
    return total


def _describe_runs(cells: Sequence[GradientHistograms]) -> str:
    """Return how many runs the counts are of."""
    runs = " and ".join(map(str, dict.fromkeys(cell.runs for cell in cells)))
    return f"counts added up over {runs} run{'' if runs == '1' else 's'}{' each' if len(cells) > 1 else ''}"


def _draw(axes: Axes, bins: Bins, above: Numbers, zeros: Numbers, below: Numbers) -> None:
    """Draw the colours of the positive bins (bins, T, 4), of the zeros (T, 4) and of the negative bins; 0 is white."""
    image = np.concatenate([above, np.broadcast_to(zeros, (bins.band, *zeros.shape)), below])
    axes.imshow(image, aspect="auto", interpolation="nearest")


def _mark_absent(axes: Axes, bins: Bins, cell: GradientHistograms, layer: str) -> None:
    """Mark the steps at which every entry of the layer is exactly zero."""
    absent = np.flatnonzero(cell.zero_share(layer) == 1)
    axes.plot(absent, np.full(len(absent), bins.middle), "wx", markersize=min(5, 150 / len(cell.steps)))


def _finish(grid: Any, bins: Bins, layers: Sequence[str], steps: Sequence[Counts]) -> None:
    """Set the ticks and labels of the outer panels."""
    ticks, names = bins.ticks()
    for (row, column), axes in np.ndenumerate(grid):
        axes.set_yticks(ticks if not column else [], names if not column else [], fontsize=SMALL)
        axes.set_ylabel("" if column else elide(layers[row]), fontsize=SMALL + 1)
        of_panel: Sequence[int] = steps[column].tolist() if row == len(grid) - 1 else []
        stride = max(1, math.ceil(len(of_panel) / (15 / grid.shape[1])))
        axes.set_xticks(range(0, len(of_panel), stride), [f"{step:,}" for step in of_panel[::stride]], fontsize=SMALL)
    middle = grid[-1, grid.shape[1] // 2]
    middle.set_xlabel("step (each observed one, not to scale)", fontsize=SMALL, labelpad=1)


def _draw_shares_bar(figure: Figure, position: tuple[float, float, float], label: str) -> None:
    """Draw the colours of the bins at (left, bottom, width) in inches."""
    names = [f"{share:.0%}{'+' if share == SHARES[-1] else ''}" for share in SHARES]
    bar(figure, position, (FULL, SPREAD), (SHARES, names), label)


def _draw_zeros_bar(figure: Figure, position: tuple[float, float, float]) -> None:
    """Draw the colours of the zeros."""
    bar(figure, position, (Normalize(), ABSENT), ([0, 0.5, 1], ["0%", "50%", "100%"]), "share of exact zeros")


def _draw_difference_bar(figure: Figure, position: tuple[float, float, float]) -> None:
    """Draw the colours of differences."""
    shares: list[float] = [-0.25, -0.05, 0, 0.05, 0.25]
    ticks = [float(0.5 + 0.5 * np.sign(share) * FULL(abs(share))) for share in shares]
    names = ["\N{MINUS SIGN}25%", "\N{MINUS SIGN}5%", "0", "+5%", "+25%"]
    bar(figure, position, (Normalize(), DIFFERENCE), (ticks, names), "A \N{MINUS SIGN} B (zeros: ±100%)")
