"""The charts that show two cells beside each other: a view of the sweep, and of each cell its rows and its spans.

The page joins the rows of the two cells that a reader chooses, and narrows the scales of the view to their spans. So
both cells have the same axes and colours. The views of all pairs would be too many to store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from zeroinit.report.cells import Cell
from zeroinit.report.page.charts import ColumnPool
from zeroinit.report.page.metrics import DetailLevel, layer_metrics
from zeroinit.report.views.layers import choose_colours, make_layers
from zeroinit.report.views.observed import Observed, choose_steps, order_layers
from zeroinit.report.views.panels import elide, format_power
from zeroinit.report.views.view import Mark, Scale, View, spread_evenly
from zeroinit.report.views.wavefront import MAX_LAYERS, make_wavefront

Part = dict[str, Any]  # what the page stores of a cell for one chart


def describe_layers(
    cells: Sequence[Cell], units: Sequence[Mapping[str, int]], level: DetailLevel, pool: ColumnPool
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Part]]]:
    """Return {kind of metric: the view of the sweep}, and of each cell {kind: its part}."""
    views: dict[str, dict[int, View]] = {}
    for number, cell in enumerate(cells if level.points else ()):
        of_cell = units[number] if units else {}
        for kind, metrics in layer_metrics(cell.finished).items():
            views.setdefault(kind, {})[number] = make_layers(cell, kind, metrics, of_cell, level.points)
    shared: dict[str, dict[str, Any]] = {}
    parts: list[dict[str, Part]] = [{} for _ in cells]
    for kind, of_cells in views.items():
        names = order_layers([view.colour.domain[::-1] for view in of_cells.values() if view.colour], MAX_LAYERS**2)
        colour = Scale("layer", "category", names, "text", choose_colours(len(names)), labels=[*map(elide, names)])
        whole = _unite(list(of_cells.values()), colour)
        shared[kind] = whole.to_data()
        for number, view in of_cells.items():
            parts[number][kind] = _describe_part(view, pool) | {"heights": _measure_heights(view.frame, whole.y)}
    return shared, parts


def describe_wavefronts(
    gradients: Sequence[Observed | None], pool: ColumnPool
) -> tuple[dict[str, Any] | None, list[Part | None]]:
    """Return the view of the sweep, and the part of each cell that has gradients."""
    observed = {number: of_cell for number, of_cell in enumerate(gradients) if of_cell}
    parts: list[Part | None] = [None] * len(gradients)
    if not observed:
        return None, parts
    steps = choose_steps(list(observed.values()))
    views = {number: make_wavefront([part], [], steps) for number, part in observed.items()}
    layers = order_layers([part.gradients.layers for part in observed.values()], MAX_LAYERS)
    coloured = {number: view for number, view in views.items() if view.frame["is_tile"].any()}
    colour = _unite_scales([view.colour for view in (coloured or views).values() if view.colour])
    whole = _unite(list(views.values()), colour)
    layer_scale = replace(whole.y, domain=layers, labels=[elide(layer) for layer in layers])
    for number, view in views.items():
        part = _describe_part(view, pool)
        if number not in coloured:
            del part["spans"]["colour"]
        part["spans"]["x"] = [steps[0], choose_steps([observed[number]])[-1]]
        parts[number] = part
    return replace(whole, y=layer_scale).to_data(), parts


def _describe_part(view: View, pool: ColumnPool) -> Part:
    """Return the columns, the texts and the spans of a cell's view: the range that it needs of each scale."""
    scales = {"x": view.x, "y": view.y, "colour": view.colour}
    spans = {name: _span(scale) for name, scale in scales.items() if scale and scale.kind not in ("band", "category")}
    return {"frame": pool.add_view(view)["frame"], "title": view.title, "caption": view.caption, "spans": spans}


def _span(scale: Scale) -> list[float]:
    """Return the lowest and the highest value of a scale of numbers."""
    return [float(scale.domain[0]), float(scale.domain[-1])]


def _unite(views: Sequence[View], colour: Scale) -> View:
    """Return the view of the sweep, without rows: its scales hold what the scales of all views hold.

    Args:
        views: The view of each cell.
        colour: The scale of its colours.
    """
    first = views[0]
    return replace(
        first,
        frame=first.frame[:0],
        x=_unite_scales([view.x for view in views]),
        y=_unite_scales([view.y for view in views]),
        colour=colour,
        marks=[_unite_marks(marks) for marks in zip(*(view.marks for view in views), strict=True)],
    )


def _unite_scales(scales: Sequence[Scale]) -> Scale:
    """Return the scale that holds all of these: the ticks are of the highest, and of colours all powers of two."""
    first = scales[0]
    if first.kind in ("band", "category"):
        return first
    low, high = (bound(_span(scale)[end] for scale in scales) for bound, end in ((min, 0), (max, 1)))
    if first.colours:
        ticks = range(int(np.ceil(low)), int(high) + 1)
        domain = spread_evenly(low, high, len(first.colours))
        return replace(first, domain=domain, ticks=ticks, labels=[*map(format_power, ticks)])
    return replace(max(scales, key=lambda scale: _span(scale)[1]), domain=(low, high))


def _unite_marks(marks: Sequence[Mark]) -> Mark:
    """Return the mark with its entry in the legend, which only those cells have that have the mark."""
    return replace(marks[0], label=next((mark.label for mark in marks if mark.label), ""))


def _measure_heights(frame: pd.DataFrame, scale: Scale) -> dict[str, list[float]]:
    """Return {layer: its first, mean and last height, from 0 to 1 on the axis of the sweep}.

    By these the page chooses the metric in which two cells differ most.
    """
    is_log = scale.kind == "log"
    low, high = np.log(scale.domain) if is_log else np.array(scale.domain)
    heights = {}
    for layer, rows in frame[frame["is_positive"]].groupby("line", sort=False):
        values = rows["mean"].to_numpy(dtype=float)
        of_layer = np.clip(((np.log(values) if is_log else values) - low) / ((high - low) or 1), 0, 1)
        heights[str(layer)] = [round(float(part), 3) for part in (of_layer[0], of_layer.mean(), of_layer[-1])]
    return heights
