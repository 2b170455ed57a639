"""The number of distinct neurons of each layer over training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from zeroinit.probes.symmetry import DISTINCT_NEURONS
from zeroinit.report.cells import Cell, inits_of, naming_keys
from zeroinit.report.histories import History, average_history, neuron_metrics, space_evenly
from zeroinit.report.views.colours import LineStyle, choose_widths, scale_inits, style_inits
from zeroinit.report.views.observed import order_layers
from zeroinit.report.views.panels import arrange_panels, describe_units, elide, list_decades, stack_parts, write_caption
from zeroinit.report.views.view import Mark, Scale, View

MAX_LAYERS = 4


def make_neurons(
    cells: Sequence[Cell], units: Sequence[Mapping[str, int]] = (), points: int | None = None
) -> View | None:
    """Return the distinct neurons of each hidden layer over steps; None if no run has counted them.

    Inits have colours, layers and other keys have panels.

    Args:
        cells: The cells; their records must have the metrics of `neuron_metrics` at every step.
        units: {layer: its number of units} of each cell, from the input on, as far as they are known.
        points: The largest number of points of a line; None for all.
    """
    metrics, layers = _choose_layers(cells, units)
    units_of = {id(cell): of_cell for cell, of_cell in zip(cells, units, strict=False)}
    lines = [
        (cell, layer, history)
        for layer in layers
        for cell in cells
        if (history := average_history(cell.finished, metrics[layer]))
    ]
    if not lines:
        return None
    keys = [key for key in naming_keys(cells) if key != "init"]
    panels = arrange_panels([cell.params | {"layer": layer} for cell, layer, _ in lines], ["layer", *keys])
    inits = list(dict.fromkeys(cell.params["init"] for cell, *_ in lines))
    styles = style_inits(inits_of(cells))
    widths = dict(zip(inits, choose_widths(len(inits)), strict=True))
    parts = [
        _describe_line(cell, layer, history, units_of.get(id(cell), {}).get(layer), points, styles[cell.params["init"]])
        | {"row": panels.row_of[number], "column": panels.column_of[number], "group": f"{number}"}
        | {"width": widths[cell.params["init"]]}
        for number, (cell, layer, history) in enumerate(lines)
    ]
    frame = _add_units(stack_parts(parts, parts[0]))
    last = max(1, int(frame["step"].max()))
    return View(
        "neurons",
        _find_title(lines, units_of),
        write_caption(
            [
                "Two neurons are distinct if their incoming weights or biases differ in any bit",
                f"{describe_units([cell for cell, *_ in lines])}",
                "band: the range of the runs",
                "dotted: the units of the layer" if frame["units"].notna().any() else "",
                panels.shared,
            ]
        ),
        frame,
        Scale("step (log)", "symlog", (0, last), "count", ticks=list_decades(last)),
        _scale_counts(float(np.nanmax([frame["high"].max(), frame["units"].max(), 1]))),
        _list_marks(),
        scale_inits(inits, styles),
        panels.rows,
        panels.columns,
    )


def _choose_layers(cells: Sequence[Cell], units: Sequence[Mapping[str, int]]) -> tuple[dict[str, str], list[str]]:
    """Return {layer: its metric}, and the layers to show, from the output on."""
    metrics = {DISTINCT_NEURONS.layer_of(name): name for name in neuron_metrics([r for c in cells for r in c.finished])}
    # the order of the net's layers, as a store has metrics by name
    nets = [[layer for layer in of_cell if layer in metrics] for of_cell in units]
    return metrics, order_layers(nets if any(nets) else [list(metrics)], MAX_LAYERS)


def _describe_line(
    cell: Cell, layer: str, history: History, count: int | None, points: int | None, style: LineStyle
) -> dict[str, Any]:
    """Return the columns of a line, a row for each point; mean, low and high are numbers of neurons."""
    chosen = space_evenly(len(history.steps), points or len(history.steps))
    of = f" of {count}" if count else ""
    steps, means = history.steps[chosen], history.mean[chosen]
    init = cell.params["init"]
    return {
        "step": steps,
        "mean": means,
        "low": history.low[chosen],
        "high": history.high[chosen],
        "init": init,
        "dash": style.dash,
        "units": float(count) if count else np.nan,
        "tip": [f"{init}, {layer}, step {step}: {mean:.4g}{of}" for step, mean in zip(steps, means, strict=True)],
    }


def _add_units(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the label of the units to the first row of each panel that has one number of units."""
    frame["has_units"] = frame["units"].notna()
    frame["has_text"], frame["text"], frame["height"] = False, "", np.nan
    frame["last"] = float(frame["step"].max())
    for _, panel in frame.groupby(["row", "column"], sort=False):
        counts = panel["units"].dropna().unique()
        if len(counts) == 1:
            first = panel.index[0]
            frame.loc[first, ["has_text", "text", "height"]] = [True, f"{counts[0]:,.0f} units", counts[0]]
    return frame


def _list_marks() -> list[Mark]:
    """Return the units of each layer, the range of each cell's runs, their mean, and how many units there are."""
    line = {"x": "step", "colour": "init", "group": "group"}
    return [
        Mark("rule", {"y": "units"}, where="has_units", colour="#555B60", dashed=True),
        Mark("band", line | {"low": "low", "high": "high"}, opacity=0.18),
        Mark("line", line | {"y": "mean", "dash": "dash", "width": "width", "tip": "tip"}),
        Mark("text", {"x": "last", "y": "height", "text": "text"}, "has_text", anchor="end", shift=(-3, 7)),
    ]


def _scale_counts(most: float) -> Scale:
    """Return a logarithmic axis of counts up to the largest."""
    powers, factor = [1.0], 2 if most < 20 else 4
    while powers[-1] * factor <= most:
        powers.append(powers[-1] * factor)
    return Scale("distinct neurons", "log", (0.8, most * 2.5), "count", ticks=powers)


def _find_title(lines: Sequence[tuple[Cell, str, History]], units: Mapping[int, Mapping[str, int]]) -> str:
    """Return which line ends with the smallest share of distinct neurons."""
    ends: list[tuple[float, str, Any]] = []
    for cell, layer, history in lines:
        count = units.get(id(cell), {}).get(layer)
        if count and np.isfinite(history.mean[-1]):
            ends.append((float(history.mean[-1]) / count, cell.params["init"], (history.mean[-1], count, layer)))
    if not ends:
        return "Distinct neurons of the hidden layers"
    if min(ends)[0] >= 1:
        return "All neurons of the hidden layers are distinct at the end"
    lowest = min(share for share, *_ in ends)
    inits = list(dict.fromkeys(init for share, init, _ in ends if share == lowest))
    mean, count, layer = next(end for share, _, end in ends if share == lowest)
    name = elide(inits[0]) + (f" and {len(inits) - 1} more end" if len(inits) > 1 else " ends")
    return f"{name} with {mean:.4g} of {count} neurons distinct in {layer}"
