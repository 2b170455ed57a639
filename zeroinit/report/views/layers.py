"""One metric of all layers of a cell over training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from zeroinit.probes.metrics import find_metric
from zeroinit.probes.probe import Metric
from zeroinit.report.cells import Cell
from zeroinit.report.histories import average_history, space_evenly
from zeroinit.report.statistics import is_share
from zeroinit.report.views.colours import OTHER_COLOURS, VIRIDIS, interpolate
from zeroinit.report.views.panels import describe_units, elide, list_decades, stack_parts, write_caption
from zeroinit.report.views.view import Mark, Scale, View

COUNTS = ("neurons", "clusters", "dimensions")  # units whose axis is logarithmic
BRIGHTEST = 0.85  # of the colour scale: the rest is hard to see on white


def make_layers(cell: Cell, kind: str, metrics: Sequence[str], units: Mapping[str, int], points: int) -> View:
    """Return a line for each layer, the layer next to the output first.

    Args:
        cell: The cell; its records must have the metrics at every step.
        kind: The declared name, such as `symmetry/{layer}/distinct`.
        metrics: The metric of each layer.
        units: {layer: its number of units} from the input on, as far as they are known.
        points: The largest number of points of a line.
    """
    declared = find_metric(metrics[0])
    assert declared
    is_count, name = declared.unit in COUNTS, declared.description
    by_layer = {declared.layer_of(metric): metric for metric in metrics}
    layers = list(dict.fromkeys([*(layer for layer in units if layer in by_layer), *by_layer]))
    parts = [
        _describe_line(cell, by_layer[layer], layer, units if is_count else None, points) for layer in reversed(layers)
    ]
    frame = stack_parts(parts, parts[0])
    names = list(dict.fromkeys(frame["line"]))
    line = {"x": "x", "colour": "line", "group": "line"}
    last = max(1.0, float(frame["x"].max()))
    return View(
        kind,
        f"{name[0].upper()}{name[1:]}",
        write_caption([describe_units([cell]).capitalize(), "band: from the lowest run to the highest"]),
        frame,
        Scale("step (log)", "symlog", (0, last), "count", ticks=list_decades(last)),
        _scale_values(declared, frame),
        [
            Mark("band", line | {"low": "low", "high": "high"}, where="is_positive", opacity=0.18),
            Mark("line", line | {"y": "mean", "tip": "tip"}, where="is_positive"),
        ],
        Scale("layer", "category", names, "text", colours=choose_colours(len(names)), labels=[*map(elide, names)]),
    )


def choose_colours(count: int) -> list[str]:
    """Return a colour for each layer: distinct ones for a few, shades for many."""
    if count <= len(OTHER_COLOURS):
        return list(OTHER_COLOURS[:count])
    return [interpolate(VIRIDIS, BRIGHTEST * index / (count - 1)) for index in range(count)]


def _describe_line(cell: Cell, metric: str, layer: str, units: Mapping[str, int] | None, points: int) -> dict[str, Any]:
    """Return the columns of a layer's line, a row for each point; `units` is None for a metric that counts nothing."""
    history = average_history(cell.finished, metric)
    assert history
    chosen = space_evenly(len(history.steps), points)
    of = f" of {units[layer]}" if units and layer in units else ""
    rows: dict[str, Any] = {
        "x": history.steps[chosen].astype(float),
        "mean": history.mean[chosen],
        "low": history.low[chosen],
        "high": history.high[chosen],
    }
    is_percent = is_share(metric)
    texts = [f"{100 * mean:.1f}%" if is_percent else f"{mean:.4g}" for mean in rows["mean"]]
    tips = [f"{layer}, step {step:.0f}: {text}{of}" for step, text in zip(rows["x"], texts, strict=True)]
    is_positive = np.isfinite(rows["mean"]) & ((rows["low"] > 0) | (units is None))
    return {**rows, "line": layer, "tip": tips, "is_positive": is_positive}


def _scale_values(metric: Metric, frame: pd.DataFrame) -> Scale:
    """Return the vertical scale: logarithmic for counts, from 0 to 1 for shares."""
    label = f"{metric.description}, {metric.unit}" if metric.unit and metric.unit != "share" else metric.description
    high = float(np.nanmax([*frame["high"], 0]))
    if metric.unit in COUNTS:
        top = 1.2 * max(high, 8)
        of_many = [factor * 10**power for power in range(len(str(int(high)))) for factor in (1, 2, 5)]
        ticks = [tick for tick in ((1, 2, 4, 8, 16) if top < 20 else of_many) if tick <= top]
        return Scale(label, "log", (0.9, top), "count", ticks=ticks)
    if metric.unit == "share":
        return Scale(label, "linear", (0, 1), "percent")
    low = float(np.nanmin([*frame["low"], 0]))
    return Scale(label, "linear", (low, 1.04 * high if high > low else low + 1), "number")
