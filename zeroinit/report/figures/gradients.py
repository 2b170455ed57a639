"""Histograms of weight gradients over time: of one cell, and of two with their difference."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from zeroinit.report.figures.style import SMALL, WIDTH, bar, folded, frame, power, short, some, told_apart
from zeroinit.report.histories import Counts, Gradients
from zeroinit.report.statistics import Numbers

LAYERS = 8  # in one figure, at most
SMALLEST = -50  # exponents below this one are drawn in its row
FULL = PowerNorm(0.5, 0, 0.25, clip=True)  # the share in one bin at which its colour is full
SPREAD, ABSENT, APART = colormaps["viridis"], colormaps["Reds"], colormaps["PuOr"]
SHARES = [0, 0.01, 0.05, 0.1, 0.25]
BELOW = 1.15  # inches: the steps' ticks and label, and colour bars


class Bins:
    """Rows of a picture, from the top: positive bins downwards, exact zeros, negative bins."""

    def __init__(self, seen: Sequence[Gradients], layers: Sequence[str]) -> None:
        used = np.flatnonzero(sum(one.counts[layer].sum(axis=(0, 1)) for one in seen for layer in layers))
        # nothing but zeros: an empty frame
        self.low = max(int(used.min()) - 127, SMALLEST) if len(used) else SMALLEST // 2
        self.high = max(int(used.max()) - 127, self.low) if len(used) else 0
        self.count = self.high - self.low + 1
        self.band = max(3, self.count // 5)  # rows of the zeros

    @property
    def middle(self) -> float:
        """Where the zeros are."""
        return self.count + (self.band - 1) / 2

    def merged(self, found: Gradients, layer: str) -> tuple[Numbers, Numbers]:
        """Counts (bins, T) of the positive rows and of the negative ones, from the top."""
        counts = found.counts[layer].astype(float)
        kept = counts[:, :, self.low + 127 : self.high + 128].copy()
        kept[:, :, 0] += counts[:, :, : self.low + 127].sum(axis=2)
        return kept[:, 1, ::-1].T, kept[:, 0].T

    def ticks(self) -> tuple[list[float], list[str]]:
        """Where powers of two stand, few of them: ticks are what takes the time to draw."""
        stride = next(stride for stride in (1, 2, 5, 10, 20, 50, 100, 200) if self.count / stride <= 4.5)
        marks = [mark for mark in range(-200, 200, stride) if self.low + self.count / 6 < mark <= self.high]
        last = 2 * self.count + self.band - 1
        above = {self.high - mark + 0.5: power(mark) for mark in marks}
        below = {last - where: f"\N{MINUS SIGN}{name}" for where, name in above.items()}
        both = above | {self.middle: "0"} | below
        return list(both), list(both.values())


def gradient_figure(label: str, found: Gradients) -> Figure:
    """The weight gradients of one cell: layers down, observed steps along, counts added up over its runs.

    Each layer: positive bins above, negative below, by power of two, coloured by their share of the non-zero entries;
    between them a band coloured by the share of exact zeros, with a mark where every entry is one.
    """
    layers = some(found.layers, LAYERS)
    bins = Bins([found], layers)
    named = folded(label, math.inf)
    caption = f"{named}; {told([found])}; positive above, negative below; x: every entry is exactly 0."
    height = 2.1 if len(layers) < 4 else 1.4
    figure, grid, free = frame(
        len(layers), 1, height, "Weight gradients by power of two", caption, left=1.05, below=BELOW
    )
    for axes, layer in zip(grid[:, 0], layers, strict=True):
        some_entries = np.maximum(found.nonzero(layer), 1)
        above, below = (SPREAD(FULL(part / some_entries)) * (part > 0)[..., None] for part in bins.merged(found, layer))
        draw(axes, bins, above, ABSENT(found.zero_share(layer)), below)
        mark_absent(axes, bins, found, layer)
    finish(grid, bins, layers, [found.steps])
    half = (WIDTH - 1.05 - 0.35 - 0.5) / 2
    shares_bar(figure, (1.05, free, half), "share of the non-zero entries, in a bin")
    zeros_bar(figure, (1.55 + half, free, half))
    return figure


def difference_figure(one: tuple[str, Gradients], other: tuple[str, Gradients]) -> Figure:
    """Two cells side by side, and the first less the second: shares of all entries, at the steps that both saw."""
    (_, a), (_, b) = one, other
    layers = some([layer for layer in a.layers if layer in b.layers], LAYERS)
    bins = Bins([a, b], layers)
    (name, other_name), shared = told_apart([one[0], other[0]])
    caption = f"Shares of all entries; {told([a, b])}; x: every entry is exactly 0{'; ' + shared if shared else ''}."
    third = (WIDTH - 1.05 - 0.15 - 0.24) / 3
    heads = [folded(head, third) for head in (f"A: {name}", f"B: {other_name}", "A \N{MINUS SIGN} B")]
    height = 2.1 if len(layers) < 4 else 1.4
    figure, grid, free = frame(
        len(layers),
        3,
        height,
        "Weight gradients of two cells",
        caption,
        left=1.05,
        heading=max(head.count("\n") + 1 for head in heads),
        below=BELOW,
    )
    common = np.intersect1d(a.steps, b.steps)
    for panels, layer in zip(grid, layers, strict=True):
        parts = []
        for axes, found in zip(panels, (a, b), strict=False):
            above, below = (part / np.maximum(entries(found, layer), 1) for part in bins.merged(found, layer))
            pictures = (SPREAD(FULL(part)) * (part > 0)[..., None] for part in (above, below))
            draw(axes, bins, next(pictures), ABSENT(found.zero_share(layer)), next(pictures))
            mark_absent(axes, bins, found, layer)
            both = np.isin(found.steps, common)
            parts.append((above[:, both], found.zero_share(layer)[both], below[:, both]))
        above, zeros, below = (here - there for here, there in zip(*parts, strict=True))
        scaled = [APART(0.5 + 0.5 * np.sign(part) * FULL(abs(part))) for part in (above, below)]
        draw(panels[2], bins, scaled[0], APART(0.5 + 0.5 * zeros), scaled[1])
    for axes, title in zip(grid[0], heads, strict=True):
        axes.set_title(title, fontsize=SMALL, pad=3)
    finish(grid, bins, layers, [a.steps, b.steps, common])
    starts = [1.05 + index * (third + 0.12) + 0.22 for index in range(3)]
    shares_bar(figure, (starts[0], free, third - 0.44), "share, in a bin")
    zeros_bar(figure, (starts[1], free, third - 0.44))
    ends: list[float] = [-0.25, -0.05, 0, 0.05, 0.25]
    places = [float(0.5 + 0.5 * np.sign(end) * FULL(abs(end))) for end in ends]
    names = ["\N{MINUS SIGN}25%", "\N{MINUS SIGN}5%", "0", "+5%", "+25%"]
    bar(
        figure,
        (starts[2], free, third - 0.44),
        (Normalize(), APART),
        (places, names),
        "A \N{MINUS SIGN} B (zeros: ±100%)",
    )
    return figure


def entries(found: Gradients, layer: str) -> Numbers:
    total: Numbers = (found.nonzero(layer) + found.zeros[layer]).astype(float)
    return total


def told(seen: Sequence[Gradients]) -> str:
    runs = " and ".join(map(str, dict.fromkeys(one.runs for one in seen)))
    return f"counts added up over {runs} run{'' if runs == '1' else 's'}{' each' if len(seen) > 1 else ''}"


def draw(axes: Axes, bins: Bins, above: Numbers, zeros: Numbers, below: Numbers) -> None:
    """The colours of the positive bins (bins, T, 4), of the band of zeros (T, 4), of the negative bins; 0: none."""
    image = np.concatenate([above, np.broadcast_to(zeros, (bins.band, *zeros.shape)), below])
    axes.imshow(image, aspect="auto", interpolation="nearest")


def mark_absent(axes: Axes, bins: Bins, found: Gradients, layer: str) -> None:
    wholly = np.flatnonzero(found.zero_share(layer) == 1)
    axes.plot(wholly, np.full(len(wholly), bins.middle), "wx", markersize=min(5, 150 / len(found.steps)))


def finish(grid: Any, bins: Bins, layers: Sequence[str], steps: Sequence[Counts]) -> None:
    """Ticks and labels of the outer panels."""
    ticks, names = bins.ticks()
    for (row, column), axes in np.ndenumerate(grid):
        axes.set_yticks(ticks if not column else [], names if not column else [], fontsize=SMALL)
        axes.set_ylabel("" if column else short(layers[row]), fontsize=SMALL + 1)
        seen: Sequence[int] = steps[column].tolist() if row == len(grid) - 1 else []
        stride = max(1, math.ceil(len(seen) / (15 / grid.shape[1])))
        axes.set_xticks(range(0, len(seen), stride), [f"{step:,}" for step in seen[::stride]], fontsize=SMALL)
    middle = grid[-1, grid.shape[1] // 2]
    middle.set_xlabel("step (each observed one, not to scale)", fontsize=SMALL, labelpad=1)


def shares_bar(figure: Figure, place: tuple[float, float, float], label: str) -> None:
    names = [f"{share:.0%}{'+' if share == SHARES[-1] else ''}" for share in SHARES]
    bar(figure, place, (FULL, SPREAD), (SHARES, names), label)


def zeros_bar(figure: Figure, place: tuple[float, float, float]) -> None:
    bar(figure, place, (Normalize(), ABSENT), ([0, 0.5, 1], ["0%", "50%", "100%"]), "share of exact zeros")
