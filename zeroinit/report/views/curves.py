"""One chart of all inits: a metric over training."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from zeroinit.probes.metrics import find_metric
from zeroinit.report.cells import Cell
from zeroinit.report.histories import History, average_history, space_evenly
from zeroinit.report.statistics import Estimate, count_units, is_share
from zeroinit.report.views.colours import LineStyle, choose_widths
from zeroinit.report.views.lines import place_lines, style_lines
from zeroinit.report.views.panels import (
    MAX_LETTERS,
    Panels,
    describe_bands,
    describe_units,
    elide,
    format_n,
    list_decades,
    stack_parts,
    write_caption,
)
from zeroinit.report.views.view import Mark, Scale, View
from zeroinit.tracker import TEST_ACCURACY
from zeroinit.tracker.tags import Tag

MIN_RANGE = 0.1  # of test accuracy
FLAGS = ("is_mean", "is_run", "has_band")
COLUMNS = ("row", "column", "line", "dash", "width", "x", "mean", "low", "high", "tip", "group", *FLAGS)

Along = Literal["epoch", "step"]
Limits = tuple[float, float]


class Curve(NamedTuple):
    """The curve of a cell in a panel; `row` and `column` are the panel, `name` is the line's in the legend."""

    cell: Cell
    row: str
    column: str
    name: str
    x: Any  # (T,) epochs or steps
    history: History


def make_curves(
    cells: Sequence[Cell],
    metric: str = TEST_ACCURACY,
    along: Along = "epoch",
    is_log: bool | None = None,
    with_runs: bool = False,
    points: int | None = None,
) -> View:
    """Return the chart of a metric over training, a line for each init and a panel for each value of the other keys.

    If a numeric key has more values than there are inits, its values have the colours, in order. Logistic regression
    that is a baseline is dashed, in the panels of other archs on its data.

    Args:
        cells: The cells; their records must have the metric at every step.
        metric: The metric.
        along: What the horizontal axis counts.
        is_log: Whether that axis is logarithmic; None if it is for data that are one batch, or for steps.
        with_runs: Whether the lines of the runs are shown in place of the bands.
        points: The largest number of points of a line; None for all.
    """
    key, panels, placed = place_lines(cells)
    curves = [
        Curve(cell, row, column, name, _measure_time(cell, history.steps, along), history)
        for cell, row, column, name in placed
        if (history := average_history(cell.finished, metric))
    ]
    if is_log is None:
        is_log = along == "step" or any(cell.finished and _steps_per_epoch(cell) == 1 for cell in cells)
    names = {line.name for line in placed}
    styles = {name: style for name, style in style_lines(key, cells).items() if name in names}
    if panels.is_single:
        labels = [_name_with_end(name, curves, metric) for name in styles]
    else:
        labels = [elide(name) for name in styles]
    limits = _choose_limits(curves, metric, is_log or along == "step")
    colour = Scale(
        key,
        "category",
        list(styles),
        "text",
        colours=[style.colour for style in styles.values()],
        dashes=[style.dash for style in styles.values()],
        labels=labels,
    )
    return View(
        "comparison",
        _find_title(curves, metric),
        _describe(cells, curves, panels, metric, with_runs, limits),
        _make_frame(curves, styles, metric, along, with_runs, points),
        _scale_time(curves, along, is_log),
        Scale(_label_metric(metric), "linear", limits, "percent" if is_share(metric) else "number"),
        _make_marks(with_runs),
        colour,
        panels.rows,
        panels.columns,
    )


def _make_marks(with_runs: bool) -> list[Mark]:
    """Return the marks: bands or runs, and means above them."""
    line = {"x": "x", "y": "mean", "colour": "line", "group": "group", "dash": "dash", "tip": "tip"}
    mean = Mark("line", line | {"width": "width"}, where="is_mean")
    if with_runs:
        return [Mark("line", line, where="is_run", width=0.7, opacity=0.5), mean]
    band = {"x": "x", "low": "low", "high": "high", "colour": "line", "group": "group"}
    return [Mark("band", band, where="has_band", opacity=0.18), mean]


def _steps_per_epoch(cell: Cell) -> int:
    """Return the number of steps of an epoch."""
    return int(cell.finished[0].tags[Tag.STEPS_PER_EPOCH])


def _measure_time(cell: Cell, steps: Any, along: Along) -> Any:
    """Return steps (T,) in epochs, or as they are."""
    return steps / _steps_per_epoch(cell) if along == "epoch" else steps


def _scale_time(curves: Sequence[Curve], along: Along, is_log: bool) -> Scale:
    """Return the horizontal scale."""
    last = max([1, *(float(curve.x[-1]) for curve in curves)])
    if is_log:
        return Scale(f"{along} (log)", "symlog", (0, last), "count", ticks=list_decades(last))
    return Scale(along, "linear", (0, last), "count")


def name_metric(metric: str) -> str:
    """Return what the probe that writes a metric says of it: `test accuracy`, `hidden1: distinct neurons`."""
    declared = find_metric(metric)
    if not declared:
        return metric.replace("/", " ")
    layer = declared.layer_of(metric)
    return f"{layer}: {declared.description}" if layer else declared.description


def _label_metric(metric: str) -> str:
    """Return the name of a metric with its unit."""
    declared = find_metric(metric)
    unit = declared.unit if declared and not is_share(metric) else ""
    return f"{name_metric(metric)}{', ' + unit if unit else ''}"


def _choose_limits(curves: Sequence[Curve], metric: str, is_whole: bool) -> Limits:
    """Return the limits of the vertical axis."""
    if metric == TEST_ACCURACY or is_share(metric):
        limits = None if is_whole else _zoom_limits(curves)
        return limits or (0, 1.02)
    values = [curve.history.mean[np.isfinite(curve.history.mean)] for curve in curves]
    finite = np.concatenate([np.zeros(0), *values])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return min(0.0, low), high + 0.04 * (high - low or 1)


def _zoom_limits(curves: Sequence[Curve]) -> Limits | None:
    """Return the limits of an axis for all means from the first epoch on and the intervals at the end.

    None if by then some curve has risen less than a third of the way to the highest mean, or less than MIN_RANGE.
    """
    later = [curve.history.mean[curve.x >= 1] for curve in curves]
    if not later or not all(map(len, later)):
        return None
    start = max(curve.history.mean[0] for curve in curves)
    low, high = (float(bound(map(bound, later))) for bound in (min, max))
    if not low - start > max((high - start) / 3, MIN_RANGE):
        return None
    bounds = (end for curve in curves for end in (curve.history.lower[-1], curve.history.upper[-1]))
    ends = [float(end) for end in bounds if np.isfinite(end)]
    low, high = min([low, *ends]), max([high, *ends])
    margin = 0.04 * max(high - low, MIN_RANGE / 4)
    return math.floor(100 * max(low - margin, 0)) / 100, min(high + margin, 1.02)


def _name_with_end(name: str, curves: Sequence[Curve], metric: str) -> str:
    """Return the name of a line and where it ends, `default: 97.73% ± 0.11`."""
    histories = [curve.history for curve in curves if curve.name == name]
    if len(histories) != 1 or not is_share(metric):
        return elide(name)
    end = _estimate_end(histories[0]).percent(digits=2)
    return f"{elide(name, MAX_LETTERS - len(': ') - len(end))}: {end}"


def _estimate_end(history: History, index: int = -1) -> Estimate:
    """Return the estimate at the end of a history, or at another index."""
    numbers = (float(part[index]) for part in (history.mean, history.half, history.lower, history.upper))
    return Estimate(int(history.n[index]), *numbers)


def _make_frame(
    curves: Sequence[Curve],
    styles: dict[str, LineStyle],
    metric: str,
    along: Along,
    with_runs: bool,
    points: int | None,
) -> pd.DataFrame:
    """Return a row for each point of each line: x in epochs or steps; mean, low and high in the metric's unit."""
    widths = dict(zip(styles, choose_widths(len(styles)), strict=True))
    parts: list[dict[str, Any]] = []
    for number, curve in enumerate(curves):
        history = curve.history
        shared: dict[str, Any] = {"row": curve.row, "column": curve.column, "line": curve.name}
        shared |= {"dash": styles[curve.name].dash, "width": widths[curve.name]}
        chosen = space_evenly(len(history.steps), points or len(history.steps))
        numbers = {"x": curve.x, "mean": history.mean, "low": history.lower, "high": history.upper}
        part = shared | {name: values[chosen].astype(float) for name, values in numbers.items()}
        part |= {"tip": [_write_tip(curve, index, metric, along) for index in chosen], "group": f"{number}"}
        parts.append(part | {"is_mean": True, "is_run": False, "has_band": np.isfinite(part["low"])})
        for record in curve.cell.finished if with_runs else ():
            values = record.history(metric)
            steps = np.array(sorted(values))[space_evenly(len(values), points or len(values))]
            part = shared | {"x": _measure_time(curve.cell, steps, along), "group": f"{number} {record.run_id}"}
            part |= {"mean": np.array([values[int(step)] for step in steps]), "low": np.nan, "high": np.nan}
            part |= {"tip": f"{curve.name}, seed {record.params['seeds.init']}"}
            parts.append(part | {"is_mean": False, "is_run": True, "has_band": False})
    return stack_parts(parts, COLUMNS)


def _write_tip(curve: Curve, index: int, metric: str, along: Along) -> str:
    """Return the text of a point: `default, epoch 3: 97.73% ± 0.11 (n = 3)`."""
    end = _estimate_end(curve.history, index)
    value = end.percent(digits=2) if is_share(metric) else f"{end.mean:.3g} {end.spread()}".strip()
    return f"{curve.name}, {along} {curve.x[index]:.4g}: {value} ({format_n([end.n])})"


def _find_title(curves: Sequence[Curve], metric: str) -> str:
    """Return where the highest and the lowest line end."""
    name = name_metric(metric).capitalize()
    ends = [(float(curve.history.mean[-1]), curve.name) for curve in curves if np.isfinite(curve.history.mean[-1])]
    if not ends or not is_share(metric):
        return f"{name} over training"
    (low, lowest), (high, highest) = min(ends), max(ends)
    if len(ends) == 1 or round(100 * low, 1) == round(100 * high, 1):
        return f"{name} ends at {100 * high:.1f}%" + (f" ({elide(highest)})" if len(ends) == 1 else " everywhere")
    return f"{name} ends between {100 * low:.1f}% ({elide(lowest)}) and {100 * high:.1f}% ({elide(highest)})"


def _describe(
    cells: Sequence[Cell], curves: Sequence[Curve], panels: Panels, metric: str, with_runs: bool, limits: Limits
) -> str:
    """Return the caption."""
    counts = sorted({count_units(curve.cell.finished) for curve in curves})
    band = "thin lines: the runs" if with_runs else f"band: {describe_bands(counts)}"
    cut = f"the axis begins at {100 * limits[0]:.3g}%" if is_share(metric) and limits[0] > 0 else ""
    return write_caption(
        [f"{name_metric(metric).capitalize()}, {describe_units(cells)}", band, cut, panels.shared],
    )
