"""Test accuracy over epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zeroinit.report.cells import Cell, independent_keys, is_number, naming_keys, sort_values
from zeroinit.report.figures.facets import Facets, Position, facet_frame, facets, scale
from zeroinit.report.figures.style import MAX_LETTERS, PALETTE, SMALL, elide, line_styles, thousands
from zeroinit.report.histories import History, average_history
from zeroinit.report.statistics import DRAWS, Estimate, Numbers, count_units, name_units
from zeroinit.tracker import TEST_ACCURACY
from zeroinit.tracker.tags import Tag

BASELINE = "logistic (baseline)"
DASHED: dict[str, Any] = {"color": "0.4", "linestyle": "--", "linewidth": 1.6}
ORDER = colormaps["plasma"]
BRIGHTEST = 0.75  # of its colours; brighter colours are invisible on white
MIN_RANGE = 0.1  # of test accuracy

Limits = tuple[float, float]


class Curve(NamedTuple):
    """The curve of a cell in a panel."""

    position: Position
    name: str
    epochs: Numbers
    history: History
    n: int


def comparison_figure(cells: Sequence[Cell]) -> Figure:
    """Return the figure of test accuracy over epochs.

    Inits have colours, other keys have panels, and bands show `display_bounds`. If a numeric key has more values than
    there are inits, such as three bias scales of two inits, its values have the colours, in order. Logistic regression
    that is a baseline is dashed, in the panels of other archs on its data. The legend of a single panel says where each
    curve ends. The axis begins at 0, or just below the curves if they rise much in the first epoch.
    """
    key, grid, curves, names = _arrange_curves(cells)
    has_epoch_per_step = any(cell.finished and cell.finished[0].tags[Tag.STEPS_PER_EPOCH] == "1" for cell in cells)
    limits = None if has_epoch_per_step else _zoom_limits(curves)
    counts = sorted({curve.n for curve in curves})
    caption = f"Test accuracy after each epoch, {describe_units(cells)}; band: {_describe_bands(counts)}"
    caption += f"; the axis begins at {100 * limits[0]:.3g}%" if limits else ""
    styles = _value_styles(key, cells)
    styles |= {f"logistic, {name}": style | {"linestyle": "--"} for name, style in styles.items()} | {BASELINE: DASHED}
    styles = {name: style for name, style in styles.items() if name in names}
    has_one_panel = grid.down * grid.across == 1
    legend = {_name_with_end(name, curves) if has_one_panel else name: style for name, style in styles.items()}
    figure, axes = facet_frame(grid, "Test accuracy over training", caption, legend)
    for curve in curves:
        _draw_curve(axes[curve.position], curve, styles[curve.name])
    _scale_panels(axes, curves, limits, has_epoch_per_step)
    for position in {curve.position for curve in curves} if len(counts) > 1 else ():
        of_panel = sorted({curve.n for curve in curves if curve.position == position})
        panel = axes[position]
        panel.text(0.97, 0.04, _format_n(of_panel), transform=panel.transAxes, ha="right", fontsize=SMALL)
    return figure


def _arrange_curves(cells: Sequence[Cell]) -> tuple[str, Facets, list[Curve], set[str]]:
    """Return the key that has the colours, the panels, the curves in them, and the names of all lines."""
    pairs = _baselines(cells)
    of_baselines = {id(baseline) for baseline, _ in pairs}
    subjects = [cell for cell in cells if id(cell) not in of_baselines]
    key = _coloured_key(subjects)
    grid = facets([cell.params for cell in subjects], [other for other in naming_keys(subjects) if other != key])
    positions = {id(cell): position for cell, position in zip(subjects, grid.positions, strict=True)}
    beneath = {(positions[id(other)], id(baseline)): baseline for baseline, other in pairs}
    lines = [(cell, positions[id(cell)], _line_name(key, cell)) for cell in subjects]
    has_one_init = not _has_several([baseline for baseline, _ in pairs], "init")
    lines += [
        (baseline, position, BASELINE if has_one_init else f"logistic, {_line_name(key, baseline)}")
        for (position, _), baseline in beneath.items()
    ]
    curves = [
        Curve(position, name, history.steps / int(cell.finished[0].tags[Tag.STEPS_PER_EPOCH]), history, _count_n(cell))
        for cell, position, name in lines
        if position and (history := average_history(cell.finished, TEST_ACCURACY))
    ]
    return key, grid, curves, {name for *_, name in lines}


def _scale_panels(axes: Any, curves: Sequence[Curve], limits: Limits | None, has_epoch_per_step: bool) -> None:
    """Set the limits and the ticks of all panels.

    Args:
        axes: The panels, as an array (down, across).
        curves: The curves in them.
        limits: The limits of the accuracy; None for 0 to 100%.
        has_epoch_per_step: Whether the data are one batch; the epochs then have a logarithmic axis.
    """
    across = axes.shape[1]
    last = max([1, *(float(curve.epochs[-1]) for curve in curves)])
    if has_epoch_per_step:
        ticks: Any = decades(last, 3 if across > 3 else 9)
    else:
        ticks = MaxNLocator(max(4, 10 // across), integer=True).tick_values(0, last)
    low, high = limits or (0, 1.02)
    for panel in axes.flat:
        panel.set_ylim(low, high)
        if has_epoch_per_step:
            panel.set_xscale("symlog", linthresh=1)
        panel.set_xlim(0 if has_epoch_per_step else -0.02 * last, 1.02 * last)
    percents = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(100 * low, 100 * high) if limits else range(0, 101, 25)
    shares = [percent / 100 for percent in percents if low <= percent / 100 <= high]
    epochs = [tick for tick in ticks if tick <= last]
    x, y = (epochs, list(map(thousands, epochs))), (shares, [f"{100 * share:.3g}%" for share in shares])
    scale(axes, x, y, "epoch (log)" if has_epoch_per_step else "epoch", "test accuracy")


def _baselines(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Return (cell of logistic regression, cell of another arch in whose panel it is dashed) of each such pair.

    The two cells of a pair agree in the data, and in the keys that differ between the logistic cells. The list is empty
    if logistic regression has panels of its own. It has if it has data that no other arch has, or several inits while
    keys other than arch and init differ.
    """
    logistic = [cell for cell in cells if cell.params.get("arch") == "logistic"]
    others = [cell for cell in cells if cell.params.get("arch") != "logistic"]
    differing = set(independent_keys([cell.params for cell in cells], naming_keys(cells)))
    if _has_several(logistic, "init") and not differing <= {"arch", "init"}:
        return []
    keys = [key for key in naming_keys(cells) if key.startswith("dataset") or _has_several(logistic, key)]
    keys = [key for key in keys if key not in ("arch", "init")]
    pairs = [
        (baseline, other)
        for baseline in logistic
        for other in others
        if not any(_has_several([baseline, other], key) for key in keys)
    ]
    return pairs if len({id(baseline) for baseline, _ in pairs}) == len(logistic) else []


def _has_several(cells: Sequence[Cell], key: str) -> bool:
    """Return whether the cells differ in the key."""
    return len({cell.params.get(key) for cell in cells}) > 1


def _coloured_key(cells: Sequence[Cell]) -> str:
    """Return the key whose values have colours: init, or a numeric key with more values; any key if there is one init.

    Other keys than init need no more values than there are colours.
    """
    differing = independent_keys([cell.params for cell in cells], naming_keys(cells))
    values = {key: {cell.params.get(key, "") for cell in cells} for key in ("init", *differing[::-1])}
    few = {key: of_key for key, of_key in values.items() if key == "init" or len(of_key) <= len(PALETTE)}
    has_one_init = len(values["init"]) == 1
    keys = (key for key in few if key == "init" or has_one_init or all(map(is_number, few[key])))
    return max(keys, key=lambda key: len(few[key]))


def _line_name(key: str, cell: Cell) -> str:
    """Return the name of a cell's line in the legend."""
    value = cell.params.get(key, "none")
    return value if key == "init" else f"{key}={value}"


def _value_styles(key: str, cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return the line style of each value by its name in the legend; numbers of a key go from dark to bright."""
    names = {cell.params.get(key, "none"): _line_name(key, cell) for cell in cells}
    styles = line_styles(names[value] for value in sort_values(names))
    if key != "init" and all(map(is_number, names)):
        for style, shade in zip(styles.values(), np.linspace(0, BRIGHTEST, len(styles)), strict=True):
            style["color"] = to_hex(ORDER(shade))
    return styles


def _zoom_limits(curves: Sequence[Curve]) -> Limits | None:
    """Return the limits of an axis for all means from the first epoch on and the intervals at the end.

    None if by then some curve has risen less than a third of the way to the highest mean, or less than MIN_RANGE.
    """
    later = [curve.history.mean[curve.epochs >= 1] for curve in curves]
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


def _name_with_end(name: str, curves: Sequence[Curve]) -> str:
    """Return the name of a curve and where it ends, `default: 97.73% ± 0.11`."""
    histories = [curve.history for curve in curves if curve.name == name]
    if len(histories) != 1:
        return name
    [history] = histories
    numbers = (float(part[-1]) for part in (history.mean, history.half, history.lower, history.upper))
    end = Estimate(int(history.n[-1]), *numbers).percent(digits=2)
    return f"{elide(name, MAX_LETTERS - len(': ') - len(end))}: {end}"


def _draw_curve(axes: Axes, curve: Curve, style: Mapping[str, Any]) -> None:
    """Draw the mean and the band of a curve."""
    history = curve.history
    axes.plot(curve.epochs, history.mean, **style)
    axes.fill_between(curve.epochs, history.lower, history.upper, color=style["color"], alpha=0.18, linewidth=0)


def _count_n(cell: Cell) -> int:
    """Return n of the cell's finished runs."""
    return count_units(cell.finished)


def describe_units(cells: Sequence[Cell]) -> str:
    """Return `mean over n = 3 draws of the init`, and what n counts if the init draws nothing."""
    counts = sorted({_count_n(cell) for cell in cells if cell.finished})
    others = sorted({name_units(cell.finished) for cell in cells if cell.finished} - {DRAWS})
    more = f", or {' or '.join(others)} where the init draws nothing" if others else ""
    return f"mean over {_format_n(counts)} draws of the init{more}"


def _describe_bands(counts: Sequence[int]) -> str:
    """Return what the bands show around means over these numbers of units."""
    interval = ["Student's 95% interval, within 0 to 100%"] if not counts or max(counts) > 2 else []
    values = ["from one value to the other with n = 2"] if 2 in counts else []
    return "; ".join([*interval, *values]) or "none for n = 1"


def _format_n(counts: Sequence[int]) -> str:
    """Return `n = 3`, or `n = 2 to 10`, for sorted counts."""
    return f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "") if counts else "n = 0"


def decades(last: float, most: int) -> list[int]:
    """Return 0, 1, 10, ... up to the last step; only the first two and the last if there are more than `most`."""
    ticks = [0, 1]
    while ticks[-1] * 10 <= last:
        ticks.append(ticks[-1] * 10)
    return ticks if len(ticks) <= most else [0, 1, ticks[-1]]
