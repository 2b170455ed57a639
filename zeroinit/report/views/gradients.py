"""Histograms of weight gradients over time: of one cell, or of two cells and their difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from zeroinit.report.cells import join_words
from zeroinit.report.histories import GradientHistograms
from zeroinit.report.statistics import Numbers
from zeroinit.report.views.colours import PURPLE_ORANGE, REDS, VIRIDIS
from zeroinit.report.views.observed import Observed, choose_stride, describe_runs, limit_steps, order_layers
from zeroinit.report.views.panels import elide, format_power, split_keys, split_shared_parts, write_caption
from zeroinit.report.views.view import Facet, Mark, Scale, View, spread_evenly

MAX_LAYERS = 8
MIN_EXPONENT = -50  # its tile also holds all smaller exponents
FULL = 0.25  # a tile with a quarter of the entries has the full colour
DIFFERENCE = "A \N{MINUS SIGN} B"


@dataclass(frozen=True)
class Bins:
    """The tiles of a layer at one step: powers of two from `low` to `high`, around a band for exact zeros."""

    low: int
    high: int

    @property
    def count(self) -> int:
        """The number of tiles of each sign."""
        return self.high - self.low + 1

    @property
    def band(self) -> float:
        """Half the height of the band of zeros, in tiles."""
        return max(3, self.count // 5) / 2


class Shares(NamedTuple):
    """Shares of all entries of a layer: (steps, 2, bins) by sign, negative first, and of exact zeros (steps,)."""

    steps: list[int]
    bins: Numbers
    zeros: Numbers


def make_gradients(cells: Sequence[Observed], labels: Sequence[str]) -> View:
    """Return the weight gradients by sign and power of two: layers down, the cells and their difference along.

    Args:
        cells: One cell, or two. The view then also shows the first minus the second, at the steps that both have.
        labels: The name of each cell, `key=value, ...`.
    """
    layers = order_layers([[n for n in cells[0].gradients.layers if n in cells[-1].gradients.layers]], MAX_LAYERS)
    bins = _choose_bins([cell.gradients for cell in cells], layers)
    steps = limit_steps(
        sorted({int(step) for cell in cells for step in cell.gradients.steps}), max(cell.latest for cell in cells)
    )
    names, shared = split_shared_parts(labels)
    heads = [f"A: {names[0]}", f"B: {names[1]}", DIFFERENCE] if len(cells) == 2 else [names[0]]
    inits = dict.fromkeys(elide(cell.params["init"]) for cell in cells)
    parts = []
    for layer in layers:
        shares = [_share(cell.gradients.at(steps), layer, bins) for cell in cells]
        parts += [_list_tiles(part, bins, layer, head, False) for part, head in zip(shares, heads, strict=False)]
        if len(cells) == 2:
            parts.append(_list_tiles(_subtract(*shares), bins, layer, DIFFERENCE, True))
    frame = pd.concat(parts, ignore_index=True)
    tile = {"x": "step", "low": "low", "high": "high", "colour": "share", "tip": "tip"}
    edge = bins.band + bins.count
    ticks, texts = _choose_ticks(bins)
    columns = Facet("column", heads, [", ".join(map(elide, split_keys(head))) for head in heads])
    return View(
        "gradients",
        describe_silence(cells[-1], layers) or f"Weight gradients of {join_words(inits)}",
        write_caption(
            [
                f"Shares of all entries, counts added up over {describe_runs(cells)}",
                "positive above, negative below, exact zeros between; cross: every entry is exactly 0",
                f"{DIFFERENCE}: violet where A has more, orange where B has" if len(cells) == 2 else "",
                shared,
            ]
        ),
        frame,
        Scale("observed step, not to scale", "band", steps, "count"),
        Scale("gradient", "linear", (-edge, edge), "text", ticks=ticks, labels=texts),
        [
            Mark("tile", tile, where="is_bin", scale=_scale_shares()),
            Mark("tile", tile, where="is_zeros", scale=_scale_zeros()),
            *([Mark("tile", tile, where="is_difference", scale=_scale_differences())] if len(cells) == 2 else []),
            Mark("cross", {"x": "step", "y": "middle"}, where="is_absent", colour="#FFFFFF", width=5),
        ],
        None,
        Facet("row", layers, [elide(layer) for layer in layers]),
        columns if len(heads) > 1 else None,
    )


def _choose_bins(cells: Sequence[GradientHistograms], layers: Sequence[str]) -> Bins:
    """Return bins that hold all gradients of these layers of the cells."""
    counts = [cell.counts[layer].sum(axis=(0, 1)) for cell in cells for layer in layers]
    used = np.flatnonzero(np.sum(counts, axis=0)) if counts else np.zeros(0, int)
    if not len(used):  # there is nothing but zeros
        return Bins(MIN_EXPONENT // 2, 0)
    low = max(int(used.min()) - 127, MIN_EXPONENT)
    return Bins(low, max(int(used.max()) - 127, low))


def _share(gradients: GradientHistograms, layer: str, bins: Bins) -> Shares:
    """Return the shares of a layer."""
    counts = gradients.counts[layer].astype(float)
    in_bins = counts[:, :, bins.low + 127 : bins.high + 128].copy()
    in_bins[:, :, 0] += counts[:, :, : bins.low + 127].sum(axis=2)
    entries = np.maximum(gradients.nonzero(layer) + gradients.zeros[layer], 1)
    return Shares(gradients.steps.tolist(), in_bins / entries[:, None, None], gradients.zero_share(layer))


def _subtract(first: Shares, second: Shares) -> Shares:
    """Return the first shares minus the second, at the steps that both have."""
    steps = [step for step in first.steps if step in second.steps]
    parts = [[part.steps.index(step) for step in steps] for part in (first, second)]
    bins, zeros = (
        before[parts[0]] - after[parts[1]] for before, after in ((first.bins, second.bins), (first.zeros, second.zeros))
    )
    return Shares(steps, bins, zeros)


def _list_tiles(shares: Shares, bins: Bins, layer: str, head: str, is_difference: bool) -> pd.DataFrame:
    """Return a row for each tile that is not empty, and for the zeros at each step; low and high are in tiles."""
    steps = np.array(shares.steps)
    at, sign, index = np.nonzero(shares.bins)
    inner = bins.band + index
    values = shares.bins[at, sign, index]
    is_positive = sign == 1
    powers = [format_power(bins.low + int(position)) for position in range(bins.count)]
    tips = [
        f"step {step}: {'' if positive else chr(8722)}{powers[position]}: {100 * value:.2g}%"
        for step, positive, position, value in zip(steps[at], is_positive, index, values, strict=True)
    ]
    tiles = pd.DataFrame(
        {
            "step": steps[at],
            "low": np.where(is_positive, inner, -inner - 1),
            "high": np.where(is_positive, inner + 1, -inner),
            "share": values,
            "tip": tips,
            "is_bin": not is_difference,
            "is_zeros": False,
            "is_absent": False,
        }
    )
    zeros = pd.DataFrame(
        {
            "step": steps,
            "low": -bins.band,
            "high": bins.band,
            "share": shares.zeros,
            "tip": [f"step {step}: exact zeros {share:.1%}" for step, share in zip(steps, shares.zeros, strict=True)],
            "is_bin": False,
            "is_zeros": not is_difference,
            "is_absent": (shares.zeros == 1) & (not is_difference),
        }
    )
    both = pd.concat([tiles, zeros], ignore_index=True)
    return both.assign(row=layer, column=head, middle=0.0, is_difference=is_difference)


def _choose_ticks(bins: Bins) -> tuple[list[float], list[str]]:
    """Return positions and texts of zero and of some powers of two."""
    stride = choose_stride(bins.count, 4.5)
    marks = [
        mark for mark in range(-200, 200) if mark % stride == 0 and bins.low + bins.count / 6 < mark <= bins.high + 1
    ]
    above = {bins.band + mark - bins.low: format_power(mark) for mark in marks}
    below = {-position: f"\N{MINUS SIGN}{text}" for position, text in above.items()}
    both = dict(sorted((below | {0.0: "0"} | above).items()))
    return list(both), list(both.values())


def _scale_shares() -> Scale:
    """Return the colours of the tiles, by the square root of the share."""
    domain = [FULL * (index / (len(VIRIDIS) - 1)) ** 2 for index in range(len(VIRIDIS))]
    ticks, texts = [0, 0.01, 0.05, 0.1, 0.25], ["0%", "1%", "5%", "10%", "25%+"]
    return Scale("share in a power of two", "sequential", domain, "percent", colours=VIRIDIS, ticks=ticks, labels=texts)


def _scale_zeros() -> Scale:
    """Return the colours of the exact zeros."""
    domain = spread_evenly(0, 1, len(REDS))
    return Scale("share of exact zeros", "sequential", domain, "percent", colours=REDS, ticks=[0, 0.5, 1])


def _scale_differences() -> Scale:
    """Return the colours of the differences."""
    domain = [-1, -0.25, -0.05, 0, 0.05, 0.25, 1]
    labels = ["\N{MINUS SIGN}25%", "0", "+25%"]
    return Scale(
        DIFFERENCE, "diverging", domain, "percent", colours=PURPLE_ORANGE, ticks=[-FULL, 0, FULL], labels=labels
    )


def describe_silence(cell: Observed, layers: Sequence[str]) -> str:
    """Return until when a layer of the cell has no gradient; empty if each has one from the first observed step on."""
    name = elide(cell.params["init"])
    for layer in reversed(layers):  # the layer next to the input wakes last
        awake = np.flatnonzero(cell.gradients.zero_share(layer) < 1)
        if not len(awake):
            return f"{name}: every weight gradient of {layer} is exactly zero at all observed steps"
        if awake[0] > 0:
            step = int(cell.gradients.steps[awake[0]])
            return f"{name}: every weight gradient of {layer} is exactly zero before step {step}"
    return ""
