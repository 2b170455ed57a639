"""The weight gradients as the page stores them: of each cell its shares, and the view of two cells without rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zeroinit.report.cells import Cell
from zeroinit.report.histories import (
    EXPONENTS,
    GradientHistograms,
    bin_range,
    first_gradients,
    limit_layers,
    theoretical_first_gradients,
    thin_steps,
)
from zeroinit.report.page.metrics import DetailLevel, round_number
from zeroinit.report.views.gradients import MIN_EXPONENT, make_gradients
from zeroinit.report.views.observed import Observed
from zeroinit.report.views.panels import format_power

MAX_LAYERS = 16  # of a cell
LOWEST_BIN = MIN_EXPONENT - int(EXPONENTS[0])  # which also holds all smaller entries
BINS_WITHOUT_ENTRIES = (102, 128)  # of cells whose gradients are all zero


def observe(cell: Cell, histograms: GradientHistograms, level: DetailLevel) -> Observed:
    """Return the gradients of a cell at the steps, and of the layers, for which the page has room."""
    histograms = limit_layers(histograms, MAX_LAYERS)
    first, theory = first_gradients(cell.finished), theoretical_first_gradients(cell.finished)
    latest = max([0, *theory.values(), *(step for steps in first.values() for step in steps)])
    return Observed(cell.params, histograms.at(thin_steps(histograms.steps, level.steps, latest)), first, theory)


def describe_shares(histograms: GradientHistograms) -> dict[str, Any]:
    """Return the histograms of a cell.

    Each step has the median of log2 |g| over the nonzero entries, the share of exact zeros, and the thousandths of all
    entries in each power of two from `low` on, negative entries first.
    """
    low, end = _bins_of([histograms])
    layers = {}
    for layer in histograms.layers:
        entries = histograms.nonzero(layer) + histograms.zeros[layer]
        counts = histograms.counts[layer][:, :, low:end].copy()
        counts[:, :, :1] += histograms.counts[layer][:, :, :low].sum(axis=2, keepdims=True)
        shares = counts / np.maximum(entries, 1)[:, None, None]
        # a bin with any entry stays visible, though its share may round to nothing
        thousandths = np.where(shares > 0, np.maximum(1, np.rint(1000 * shares)), 0).astype(int)
        layers[layer] = {
            "median": [round_number(value, 4) for value in histograms.quantiles(layer, [0.5])[:, 0]],
            "zeros": [round_number(value, 4) for value in histograms.zero_share(layer)],
            "shares": thousandths.reshape(len(thousandths), -1).tolist(),
        }
    return {"steps": histograms.steps.tolist(), "low": int(EXPONENTS[low]), "layers": layers}


def _bins_of(histograms: Sequence[GradientHistograms]) -> tuple[int, int]:
    """Return the range of bins that have entries in one of the histograms, the end excluded."""
    ranges = [bins for part in histograms if (bins := bin_range(part))[1]]
    if not ranges:
        return LOWEST_BIN, LOWEST_BIN
    low = max(min(first for first, _ in ranges), LOWEST_BIN)
    return low, max(low + 1, *(end for _, end in ranges))


def describe_gradients(histograms: Sequence[GradientHistograms]) -> dict[str, Any] | None:
    """Return the view of two cells' gradients and their difference, without rows, for bins that hold all cells.

    The page makes the rows for the two cells that a reader chooses: bin `i` holds the entries of the power of two
    `low + i`, it is from `edges[i][0]` to `edges[i][1]`, and is called `names[i]`. The band of exact zeros is from
    `-band` to `band`.
    """
    if not histograms:
        return None
    low, end = _bins_of(histograms)
    low, end = (low, end) if low < end else BINS_WITHOUT_ENTRIES
    counts = np.zeros((1, 2, len(EXPONENTS)), dtype=np.int64)
    counts[0, 1, low:end] = 1
    pair = [
        GradientHistograms(
            np.array([1]), {"all": counts}, {"all": np.array([1])}, bound(part.runs for part in histograms)
        )
        for bound in (min, max)
    ]
    view = make_gradients([Observed({"init": ""}, part, {}, {}) for part in pair], ["", ""]).to_data()
    exponents = range(int(EXPONENTS[low]), int(EXPONENTS[low]) + end - low)
    band = float(view["y"]["domain"][1]) - len(exponents)
    layers = dict.fromkeys(layer for of_cell in histograms for layer in of_cell.layers)
    return {
        "view": view | {"frame": {}, "rows": None, "x": view["x"] | {"domain": _list_steps(histograms)}},
        "low": int(EXPONENTS[low]),
        "edges": [[band + index, band + index + 1] for index in range(len(exponents))],
        "names": [format_power(exponent) for exponent in exponents],
        "band": band,
        "titles": {layer: f"Weight gradients of {layer}" for layer in layers},
    }


def _list_steps(histograms: Sequence[GradientHistograms]) -> list[int]:
    """Return the steps at which a cell was observed."""
    return sorted({int(step) for part in histograms for step in part.steps})
