"""Box plots of each layer's weight gradients in the first steps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeroinit.report.figures.style import LETTER, PALETTE, SMALL, WIDTH, folded, frame, power, short, some, told_apart
from zeroinit.report.histories import Gradients
from zeroinit.report.statistics import Numbers

LAYERS = 8  # in one panel, at most
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # whisker, box, median, box, whisker
ABSENT = "#F9E0D2"  # as in the gradients' figure, zeros are red
SMALLEST = -40  # exponent below which all is next to zero


def boxes_figure(panels: Sequence[tuple[str, Gradients]], steps: int = 5) -> Figure:
    """Weight gradients of cells (label, gradients) in the first so many observed steps: steps down, cells along.

    A box a layer, from the input to the output: quartiles and median of all entries, exact zeros included, whiskers
    from 5% to 95%, on an axis that is linear next to zero and logarithmic beyond. A layer without any gradient is
    shaded, with a cross at zero for a box. Below each: its share of exact zeros. After Figure 12 of Schicho (2023).
    """
    common = panels[0][1].steps
    for _, found in panels[1:]:
        common = np.intersect1d(common, found.steps)
    shown = [int(step) for step in common[:steps]]
    seen = [found.at(shown) for _, found in panels]
    of_each = [some(found.layers, LAYERS) for found in seen]
    quantiles = [
        {layer: found.signed_quantiles(layer, SHARES) for layer in layers}
        for found, layers in zip(seen, of_each, strict=True)
    ]
    every = np.abs(np.concatenate([each for of_one in quantiles for each in of_one.values()]))  # (boxes, 5)
    boxed, whole = (np.log2(part[np.isfinite(part) & (part > 0)]) for part in (every[:, [1, 3]].max(1), every.max(1)))
    high = int(np.ceil(whole.max())) if len(whole) else 0
    low = int(np.clip(np.floor(boxed.min()), SMALLEST, high - 2)) if len(boxed) else high - 10
    longest = max(len(short(layer)) for layers in of_each for layer in layers)
    upright = longest * LETTER < (WIDTH - 1.2) / len(panels) / max(map(len, of_each))
    runs = " and ".join(str(runs) for runs in dict.fromkeys(found.runs for _, found in panels))
    own, shared = told_apart([label for label, _ in panels])
    titles = [folded(label, (WIDTH - 1.2) / len(panels)) for label in own]
    figure, grid, _ = frame(
        len(shown),
        len(panels),
        1.25,
        f"Weight gradients of the first {len(shown)} observed steps",
        f"Layers from the input to the output, all entries of {runs} runs: box from 25% to 75%, line at the median, "
        f"whiskers from 5% to 95%; shaded, with a cross: nothing but exact zeros, whose share is below. Linear below "
        f"{power(low)}{'; ' + shared if shared else ''}.",
        left=1.05,
        heading=max(title.count("\n") + 1 for title in titles),
        below=0.35 if upright else 0.35 + LETTER * longest,
        gap=(0.12, 0.1),
    )
    for (row, column), axes in np.ndenumerate(grid):
        found, layers = seen[column], of_each[column]
        draw_boxes(axes, np.array([quantiles[column][layer][row] for layer in layers]), low)
        absent = np.array([found.zero_share(layer)[row] for layer in layers])
        none = np.flatnonzero(absent == 1)
        where = axes.get_xaxis_transform()
        axes.broken_barh([(place - 0.5, 1) for place in none], (0, 1), transform=where, color=ABSENT, zorder=0)
        axes.plot(none, np.zeros(len(none)), "x", color="black", markersize=7, markeredgewidth=1.6)
        for place, share in enumerate(absent):
            axes.text(place, -scaled(2.0**high, low) * 1.22, percent(share), ha="center", va="center", fontsize=SMALL)
        finish(axes, low, high)
        axes.set_xlim(-0.5, len(layers) - 0.5)
        lowest = row == len(shown) - 1
        axes.set_xticks(
            range(len(layers)) if lowest else [],
            [short(layer) for layer in layers] if lowest else [],
            fontsize=SMALL,
            rotation=0 if upright else 90,
        )
        axes.tick_params(labelleft=not column)
        if not column:
            axes.set_ylabel(f"step {shown[row]}", fontsize=SMALL + 1)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=SMALL, pad=3)
    return figure


def scaled(values: Numbers | float, low: int) -> Numbers:
    """Symmetric-log axis: linear up to 2^low, which is at 1, then 1 more for each power of two."""
    sizes = np.abs(np.asarray(values, float)) / 2.0**low
    found: Numbers = np.sign(values) * np.where(sizes > 1, 1 + np.log2(np.maximum(sizes, 1)), sizes)
    return found


def draw_boxes(axes: Axes, of_each: Numbers, low: int) -> None:
    """Boxes of quantiles (layers, 5), where there is anything but zeros."""
    places = np.flatnonzero(np.isfinite(of_each).all(axis=1) & (of_each != 0).any(axis=1))
    whisker, bottom, median, top, end = scaled(of_each[places], low).T
    axes.vlines(places, whisker, end, color="0.3", linewidth=1)
    for ends in (whisker, end):
        axes.hlines(ends, places - 0.14, places + 0.14, color="0.3", linewidth=1)
    axes.bar(places, top - bottom, 0.56, bottom, color=PALETTE[5], edgecolor="0.2", linewidth=0.8, zorder=2)
    axes.hlines(median, places - 0.28, places + 0.28, color="black", linewidth=2, zorder=3)


def finish(axes: Axes, low: int, high: int) -> None:
    """Ticks at zero and at powers of two, and space for the shares of zeros below."""
    stride = next(stride for stride in (1, 2, 5, 10, 20, 50) if (high - low) / stride <= 2.5)
    marks = [mark for mark in range(-200, 200, stride) if low + (high - low) / 4 <= mark <= high]
    places = [float(scaled(2.0**mark, low)) for mark in marks]
    axes.set_yticks(
        [0, *places, *(-place for place in places), -1.22 * float(scaled(2.0**high, low))],
        ["0", *map(power, marks), *(f"\N{MINUS SIGN}{power(mark)}" for mark in marks), "exact 0, %"],
        fontsize=SMALL,
    )
    edge = float(scaled(2.0**high, low))
    axes.set_ylim(-1.42 * edge, 1.08 * edge)
    axes.axhline(0, color="0.75", linewidth=0.7, zorder=0)
    axes.axhline(-1.03 * edge, color="0.85", linewidth=0.7)
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)


def percent(share: float) -> str:
    """A share of zeros that is none or all only where it is said to be."""
    if 0 < share < 0.005:
        return "<1"
    return ">99" if 0.995 <= share < 1 else f"{100 * share:.0f}"
