"""One chart of all inits: a metric over training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from zeroinit.report.cells import Cell, list_scores
from zeroinit.report.histories import History, average_history, space_evenly
from zeroinit.report.statistics import Estimate, is_share, value_range
from zeroinit.report.views.colours import LineStyle, choose_widths
from zeroinit.report.views.limits import Limits, choose_limits
from zeroinit.report.views.lines import place_lines, style_lines
from zeroinit.report.views.metrics import capitalize, label_metric, name_metric
from zeroinit.report.views.panels import (
    MAX_LETTERS,
    Panels,
    describe_bands,
    describe_units,
    elide,
    list_decades,
    split_keys,
    stack_parts,
    write_caption,
)
from zeroinit.report.views.view import Mark, Scale, View
from zeroinit.tracker.tags import Tag

FLAGS = ("is_mean", "is_run", "has_band")
Along = Literal["epoch", "step"]  # what the horizontal axis counts

ALONGS: tuple[Along, ...] = ("epoch", "step")
COLUMNS = ("row", "column", "line", "dash", "width", *ALONGS, "mean", "low", "high", "tip", "group", *FLAGS)


class Run(NamedTuple):
    """A run of a curve: its ID, its seed of the init, its observed steps and its values (T,)."""

    run_id: str
    seed: str
    steps: Any
    values: list[float]


class Curve(NamedTuple):
    """The curve of a cell in a panel; `row` and `column` are the panel, `name` is the line's in the legend."""

    cell: Cell
    row: str
    column: str
    name: str
    history: History
    runs: Sequence[Run]

    def measure_time(self, steps: Any, along: Along) -> Any:
        """Return the epochs or the steps (T,) of these steps."""
        return steps / _steps_per_epoch(self.cell) if along == "epoch" else steps


@dataclass(frozen=True)
class Curves:
    """The curves of a metric, from which charts with several axes are made. They share a frame.

    Attributes:
        cells: The cells.
        metric: The metric.
        key: The key that has the colours.
        panels: The panels.
        curves: The curves of the cells that have the metric.
        styles: The style of each line by its name.
        points: The largest number of points of a line; None for all.
    """

    cells: Sequence[Cell]
    metric: str
    key: str
    panels: Panels
    curves: Sequence[Curve]
    styles: dict[str, LineStyle]
    points: int | None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The frame of all charts."""
        return _make_frame(self)

    @cached_property
    def units(self) -> str:
        """What the means are over."""
        return describe_units(self.cells)

    @cached_property
    def counts(self) -> list[int]:
        """The numbers of units of the curves."""
        return sorted({curve.cell.n for curve in self.curves})

    @property
    def are_of_one_batch(self) -> bool:
        """Whether the data of some cell are one batch, so that most happens in the first epochs."""
        return any(cell.finished and _steps_per_epoch(cell) == 1 for cell in self.cells)

    def make_view(self, along: Along, is_log: bool, with_runs: bool) -> View:
        """Return a chart: with an axis of epochs or of steps, logarithmic or not, and with runs or with bands."""
        epochs = [(curve.measure_time(curve.history.steps, "epoch"), curve.history) for curve in self.curves]
        limits = choose_limits(epochs, self.metric, is_log or along == "step")
        return View(
            "comparison",
            _find_title(self.curves, self.metric),
            _describe(self, with_runs, limits),
            self.frame,
            _scale_time(self.curves, along, is_log),
            Scale(
                label_metric(self.metric, self.cells),
                "linear",
                limits,
                "percent" if is_share(self.metric) else "number",
            ),
            _make_marks(along, with_runs),
            self._scale_colours(),
            self.panels.rows,
            self.panels.columns,
        )

    def _scale_colours(self) -> Scale:
        styles = self.styles
        names_end = [_name_with_end(name, self.curves, self.metric) for name in styles] if self.panels.is_single else []
        return Scale(
            self.key,
            "category",
            list(styles),
            "text",
            colours=[style.colour for style in styles.values()],
            dashes=[style.dash for style in styles.values()],
            labels=names_end or [elide(name) for name in styles],
        )


def make_curves(
    cells: Sequence[Cell],
    metric: str | None = None,
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
        metric: The metric; None for the test score.
        along: What the horizontal axis counts.
        is_log: Whether that axis is logarithmic; None if it is for data that are one batch, or for steps.
        with_runs: Whether the lines of the runs are shown in place of the bands.
        points: The largest number of points of a line; None for all.
    """
    curves = collect_curves(cells, metric or list_scores(cells)[0].test, points, with_runs)
    if is_log is None:
        is_log = along == "step" or curves.are_of_one_batch
    return curves.make_view(along, is_log, with_runs)


def collect_curves(cells: Sequence[Cell], metric: str, points: int | None, with_runs: bool) -> Curves:
    """Return the curves of a metric, as `make_curves` takes them."""
    key, panels, placed = place_lines(cells)
    curves = [
        Curve(cell, row, column, name, history, _list_runs(cell, metric, points) if with_runs else ())
        for cell, row, column, name in placed
        if (history := average_history(cell.finished, metric))
    ]
    names = {line.name for line in placed}
    styles = {name: style for name, style in style_lines(key, cells).items() if name in names}
    return Curves(cells, metric, key, panels, curves, styles, points)


def _list_runs(cell: Cell, metric: str, points: int | None) -> list[Run]:
    """Return the runs of a cell that have the metric."""
    runs = []
    for record in cell.finished:
        if values := record.history(metric):
            steps = np.array(sorted(values))[space_evenly(len(values), points or len(values))]
            seed = record.params["seeds.init"]
            runs.append(Run(record.run_id, seed, steps, [values[step] for step in steps.tolist()]))
    return runs


def _make_marks(along: Along, with_runs: bool) -> list[Mark]:
    """Return the marks: bands or runs, and means above them."""
    line = {"x": along, "y": "mean", "colour": "line", "group": "group", "dash": "dash", "tip": "tip"}
    mean = Mark("line", line | {"width": "width"}, where="is_mean")
    if with_runs:
        return [Mark("line", line, where="is_run", width=0.7, opacity=0.5), mean]
    band = {"x": along, "low": "low", "high": "high", "colour": "line", "group": "group"}
    return [Mark("band", band, where="has_band", opacity=0.18), mean]


def _steps_per_epoch(cell: Cell) -> int:
    """Return the number of steps of an epoch; 1 if it is unknown, as for runs that were imported."""
    return int(cell.finished[0].tags.get(Tag.STEPS_PER_EPOCH, 1))


def _scale_time(curves: Sequence[Curve], along: Along, is_log: bool) -> Scale:
    """Return the horizontal scale."""
    last = max([1, *(float(curve.measure_time(curve.history.steps[-1], along)) for curve in curves)])
    if is_log:
        return Scale(f"{along} (log)", "symlog", (0, last), "count", ticks=list_decades(last))
    return Scale(along, "linear", (0, last), "count")


def _name_with_end(name: str, curves: Sequence[Curve], metric: str) -> str:
    """Return the name of a line and where it ends, `default: 97.73% ± 0.11`."""
    histories = [curve.history for curve in curves if curve.name == name]
    if len(histories) != 1 or not is_share(metric):
        return elide(name)
    end = _estimate_end(histories[0], metric).percent(digits=2)
    return f"{elide(name, MAX_LETTERS - len(': ') - len(end))}: {end}"


def _estimate_end(history: History, metric: str, index: int = -1) -> Estimate:
    """Return the estimate of a metric at the end of its history, or at another index."""
    mean, half, low, high = (float(part[index]) for part in (history.mean, history.half, history.lower, history.upper))
    return Estimate(int(history.n[index]), mean, half, low, high, value_range(metric)[0])


def _make_frame(parts: Curves) -> pd.DataFrame:
    """Return a row for each point of each line: its epoch and step; mean, low and high in the metric's unit."""
    widths = dict(zip(parts.styles, choose_widths(len(parts.styles)), strict=True))
    lines: list[dict[str, Any]] = []  # of each line the values of its columns: arrays, or one value for all points
    for number, curve in enumerate(parts.curves):
        history = curve.history
        chosen = space_evenly(len(history.steps), parts.points or len(history.steps))
        shared: dict[str, Any] = {"row": curve.row, "column": curve.column, "line": curve.name}
        shared |= {"dash": parts.styles[curve.name].dash, "width": widths[curve.name]}
        mean: dict[str, Any] = {"group": f"{number}", "is_mean": True, "is_run": False, "mean": history.mean[chosen]}
        mean |= {"low": history.lower[chosen], "high": history.upper[chosen]}
        mean |= {"has_band": np.isfinite(history.lower[chosen])}
        mean |= {"tip": [_write_tip(curve, index, parts.metric) for index in chosen]}
        lines.append(shared | mean | _measure_times(curve, history.steps[chosen]))
        for run in curve.runs:
            line = {"group": f"{number} {run.run_id}", "is_mean": False, "is_run": True, "has_band": False}
            line |= {"mean": run.values, "low": np.nan, "high": np.nan, "tip": f"{curve.name}, seed {run.seed}"}
            lines.append(shared | line | _measure_times(curve, run.steps))
    return stack_parts(lines, COLUMNS)


def _measure_times(curve: Curve, steps: Any) -> dict[str, Any]:
    """Return the epochs and the steps of these steps, by the name of the axis."""
    return {along: curve.measure_time(steps, along) for along in ALONGS}


def _write_tip(curve: Curve, index: int, metric: str) -> str:
    """Return the text of a point: `default, epoch 3, step 1284: 97.73% ± 0.11 (n = 3)`."""
    end = _estimate_end(curve.history, metric, index)
    step = int(curve.history.steps[index])
    epoch = "" if _steps_per_epoch(curve.cell) == 1 else f"epoch {curve.measure_time(step, 'epoch'):.4g}, "
    return f"{curve.name}, {epoch}step {step}: {end.format(metric, digits=2)} (n = {end.n})"


def _find_title(curves: Sequence[Curve], metric: str) -> str:
    """Return where the highest and the lowest line end."""
    name = capitalize(name_metric(metric))
    ends = [
        (float(curve.history.mean[-1]), elide(curve.name), ", ".join(filter(None, (curve.row, curve.column))))
        for curve in curves
        if np.isfinite(curve.history.mean[-1])
    ]
    if not ends or not is_share(metric):
        return f"{name} over training"
    (low, lowest, low_panel), (high, highest, high_panel) = min(ends), max(ends)
    if len(ends) == 1 or round(100 * low, 1) == round(100 * high, 1):
        return f"{name} ends at {100 * high:z.1f}%" + (f" ({highest})" if len(ends) == 1 else " everywhere")
    if lowest == highest:  # the panels distinguish them
        lowest, highest = (
            ", ".join([line, *map(elide, split_keys(panel))])
            for line, panel in ((lowest, low_panel), (highest, high_panel))
        )
    return f"{name} ends between {100 * low:z.1f}% ({lowest}) and {100 * high:z.1f}% ({highest})"


def _describe(parts: Curves, with_runs: bool, limits: Limits) -> str:
    """Return the caption."""
    band = "thin lines: the runs" if with_runs else f"band: {describe_bands(parts.counts, parts.metric)}"
    lowest = min((float(np.nanmin(curve.history.mean)) for curve in parts.curves), default=0)
    has_cut = is_share(parts.metric) and (limits[0] > 0 or lowest < limits[0])
    cut = f"the axis begins at {100 * limits[0]:.3g}%" if has_cut else ""
    cut = f"the axis ends at {100 * limits[1]:.3g}%" if is_share(parts.metric) and limits[1] < 1 and not cut else cut
    return write_caption([f"{capitalize(name_metric(parts.metric))}, {parts.units}", band, cut, parts.panels.shared])
