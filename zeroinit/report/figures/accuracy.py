"""Test accuracy over epochs."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zeroinit.report.cells import Cell, columns, numeric, ordered, undecided
from zeroinit.report.figures.facets import facet_frame, facets, scale
from zeroinit.report.figures.style import LONGEST, PALETTE, SMALL, short, strokes, thousands
from zeroinit.report.histories import Course, course
from zeroinit.report.statistics import DRAWS, Estimate, Numbers, count_units, what_n_counts
from zeroinit.tracker import TEST_ACCURACY

BASELINE = "logistic (baseline)"
DASHED: dict[str, Any] = {"color": "0.4", "linestyle": "--", "linewidth": 1.6}
ORDER = colormaps["plasma"]
BRIGHTEST = 0.75  # of its colours; white swallows those beyond
NARROW = 0.1  # of test accuracy


class Curve(NamedTuple):
    """Of a cell in one of the panels."""

    place: tuple[int, int]
    name: str
    epochs: Numbers
    seen: Course
    draws: int


def comparison_figure(cells: Sequence[Cell]) -> Figure:
    """Test accuracy over epochs: a colour an init, a panel for what else differs, a band (see `shown_bounds`).

    Where numbers of one key are more than the inits, as three bias scales of one or two, they have the colours, in
    order. Logistic regression that is a baseline is dashed, in the panels of other archs on its data. The legend of a
    single panel says where each curve ends. The axis begins at 0 or, where the first epoch does much, below the rest.
    """
    pairs = baselines(cells)
    apart = {id(one) for one, _ in pairs}
    subjects = [cell for cell in cells if id(cell) not in apart]
    key = coloured(subjects)
    grid = facets([cell.params for cell in subjects], [other for other in columns(subjects) if other != key])
    places = {id(cell): place for cell, place in zip(subjects, grid.places, strict=True)}
    beneath = {(places[id(other)], id(one)): one for one, other in pairs}
    shown = [(cell, places[id(cell)], called(key, cell)) for cell in subjects]
    bare = not several([one for one, _ in pairs], "init")
    shown += [
        (one, place, BASELINE if bare else f"logistic, {called(key, one)}") for (place, _), one in beneath.items()
    ]
    curves = [
        Curve(place, name, seen.steps / int(cell.finished[0].tags["steps_per_epoch"]), seen, draws(cell))
        for cell, place, name in shown
        if place and (seen := course(cell.finished, TEST_ACCURACY))
    ]
    every_step = any(cell.finished and cell.finished[0].tags["steps_per_epoch"] == "1" for cell in cells)
    limits = None if every_step else zoomed(curves)
    how = styles(key, cells)
    how |= {f"logistic, {name}": style | {"linestyle": "--"} for name, style in how.items()} | {BASELINE: DASHED}
    how = {name: style for name, style in how.items() if any(name == other for *_, other in shown)}
    counts = sorted({one.draws for one in curves})
    said = f"Test accuracy after each epoch, {describe_units(cells)}; band: {describe_bands(counts)}"
    said += f"; the axis begins at {100 * limits[0]:.3g}%" if limits else ""
    alone = grid.down * grid.across == 1
    legend = {ending(name, curves) if alone else name: style for name, style in how.items()}
    figure, axes = facet_frame(grid, "Test accuracy over training", said, legend)
    for one in curves:
        draw_curve(axes[one.place], one, how[one.name])
    last = max([1, *(float(one.epochs[-1]) for one in curves)])
    tens = (
        decades(last, 3 if grid.across > 3 else 9)
        if every_step
        else MaxNLocator(max(4, 10 // grid.across), integer=True).tick_values(0, last)
    )
    low, high = limits or (0, 1.02)
    for panel in axes.flat:
        panel.set_ylim(low, high)
        if every_step:
            panel.set_xscale("symlog", linthresh=1)
        panel.set_xlim(0 if every_step else -0.02 * last, 1.02 * last)
    percents = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(100 * low, 100 * high) if limits else range(0, 101, 25)
    shares = [percent / 100 for percent in percents if low <= percent / 100 <= high]
    epochs = [ten for ten in tens if ten <= last]
    scale(
        axes,
        (epochs, list(map(thousands, epochs))),
        (shares, [f"{100 * share:.3g}%" for share in shares]),
        "epoch (log)" if every_step else "epoch",
        "test accuracy",
    )
    for place in {one.place for one in curves} if len(counts) > 1 else ():
        here = sorted({one.draws for one in curves if one.place == place})
        axes[place].text(0.97, 0.04, told(here), transform=axes[place].transAxes, ha="right", fontsize=SMALL)
    return figure


def baselines(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """(logistic regression, a cell of another arch in whose panel it is dashed); none where it has panels of its own.

    It has where it is asked more than the init: where it has several, and other keys than arch and init differ; and
    on data that no other arch has. The two agree in the data, and in what differs between the logistic cells.
    """
    logistic = [cell for cell in cells if cell.params.get("arch") == "logistic"]
    others = [cell for cell in cells if cell.params.get("arch") != "logistic"]
    asked = set(undecided([cell.params for cell in cells], columns(cells)))
    if several(logistic, "init") and not asked <= {"arch", "init"}:
        return []
    keys = [key for key in columns(cells) if key.startswith("dataset") or several(logistic, key)]
    keys = [key for key in keys if key not in ("arch", "init")]
    pairs = [
        (one, other) for one in logistic for other in others if not any(several([one, other], key) for key in keys)
    ]
    return pairs if len({id(one) for one, _ in pairs}) == len(logistic) else []


def several(cells: Sequence[Cell], key: str) -> bool:
    return len({cell.params.get(key) for cell in cells}) > 1


def coloured(cells: Sequence[Cell]) -> str:
    """The key that the colours tell: init, or one with more values, of numbers or, with one init alone, of any kind."""
    differing = undecided([cell.params for cell in cells], columns(cells))
    values = {key: {cell.params.get(key, "") for cell in cells} for key in ("init", *differing[::-1])}
    few = {key: found for key, found in values.items() if key == "init" or len(found) <= len(PALETTE)}
    alone = len(values["init"]) == 1
    return max(
        (key for key in few if key == "init" or alone or all(map(numeric, few[key]))), key=lambda key: len(few[key])
    )


def called(key: str, cell: Cell) -> str:
    """What the legend calls the line of a cell."""
    value = cell.params.get(key, "none")
    return value if key == "init" else f"{key}={value}"


def styles(key: str, cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """How the line of each value is drawn, by its name; numbers of a key from dark to bright."""
    values = {cell.params.get(key, "none"): called(key, cell) for cell in cells}
    found = strokes(values[value] for value in ordered(values))
    if key != "init" and all(map(numeric, values)):
        for style, shade in zip(found.values(), np.linspace(0, BRIGHTEST, len(found)), strict=True):
            style["color"] = to_hex(ORDER(shade))
    return found


def zoomed(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """The limits of an axis for all means from the first epoch on, and the intervals at the end.

    None where some curve has come less than a third of the way to the highest by then, or less than `NARROW`.
    """
    later = [one.seen.mean[one.epochs >= 1] for one in curves]
    if not later or not all(map(len, later)):
        return None
    start = max(one.seen.mean[0] for one in curves)
    low, high = (float(bound(map(bound, later))) for bound in (min, max))
    if not low - start > max((high - start) / 3, NARROW):
        return None
    ends = [float(end) for one in curves for end in (one.seen.lower[-1], one.seen.upper[-1]) if np.isfinite(end)]
    low, high = min([low, *ends]), max([high, *ends])
    margin = 0.04 * max(high - low, NARROW / 4)
    return math.floor(100 * max(low - margin, 0)) / 100, min(high + margin, 1.02)


def ending(name: str, curves: Sequence[Curve]) -> str:
    """The name of a curve and where it ends, `default: 97.73% ± 0.11`."""
    ends = [one.seen for one in curves if one.name == name]
    if len(ends) != 1:
        return name
    [seen] = ends
    numbers = (float(part[-1]) for part in (seen.mean, seen.half, seen.lower, seen.upper))
    end = Estimate(int(seen.n[-1]), *numbers).percent(digits=2)
    return f"{short(name, LONGEST - len(': ') - len(end))}: {end}"


def draw_curve(axes: Axes, one: Curve, style: dict[str, Any]) -> None:
    axes.plot(one.epochs, one.seen.mean, **style)
    axes.fill_between(one.epochs, one.seen.lower, one.seen.upper, color=style["color"], alpha=0.18, linewidth=0)


def draws(cell: Cell) -> int:
    return count_units(cell.finished)


def describe_units(cells: Sequence[Cell]) -> str:
    """`mean over n = 3 draws of the init`, and what n counts where the init draws nothing."""
    counts = sorted({draws(cell) for cell in cells if cell.finished})
    others = sorted({what_n_counts(cell.finished) for cell in cells if cell.finished} - {DRAWS})
    more = f", or {' or '.join(others)} where the init draws nothing" if others else ""
    return f"mean over {told(counts)} draws of the init{more}"


def describe_bands(counts: Sequence[int]) -> str:
    """What is drawn about a mean over so many units."""
    interval = ["Student's 95% interval, within 0 to 100%"] if not counts or max(counts) > 2 else []
    values = ["from one value to the other with n = 2"] if 2 in counts else []
    return "; ".join([*interval, *values]) or "none, of n = 1"


def told(counts: Sequence[int]) -> str:
    """`n = 3`, or `n = 2 to 10`."""
    return f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "") if counts else "n = 0"


def decades(last: float, most: int) -> list[int]:
    """0, 1, 10, ... up to the last step, or as many of them."""
    found = [0, 1]
    while found[-1] * 10 <= last:
        found.append(found[-1] * 10)
    return found if len(found) <= most else [0, 1, found[-1]]
