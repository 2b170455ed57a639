"""Test accuracy over epochs."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zeroinit.report.cells import Cell, columns
from zeroinit.report.figures.facets import facet_frame, facets, scale
from zeroinit.report.figures.style import SMALL, strokes, thousands
from zeroinit.report.watched import course
from zeroinit.tracker import COURSE


def comparison_figure(cells: Sequence[Cell]) -> Figure:
    """Test accuracy over epochs: a colour an init, a panel for what else differs, a 95% band over draws of the init."""
    grid = facets([cell.params for cell in cells], [key for key in columns(cells) if key != "init"])
    how = strokes(cell.params["init"] for cell in cells)
    counts = sorted({draws(cell) for cell in cells if cell.finished})
    said = f"Test accuracy after each epoch, mean and Student's 95% interval over {told(counts)} draws of the init"
    figure, axes = facet_frame(grid, "Test accuracy over training", said, how)
    shown: dict[tuple[int, int], set[int]] = {}
    for cell, place in zip(cells, grid.places, strict=True):
        if place and cell.finished:
            draw_course(axes[place], cell, how[cell.params["init"]])
            shown.setdefault(place, set()).add(draws(cell))
    logarithmic = any(cell.finished and cell.finished[0].tags["steps_per_epoch"] == "1" for cell in cells)
    last = max(1, *(max(line.get_xdata(), default=0) for panel in axes.flat for line in panel.lines))
    tens = (
        decades(last, 3 if grid.across > 3 else 9) if logarithmic else MaxNLocator(4, integer=True).tick_values(0, last)
    )
    for panel in axes.flat:
        panel.set_ylim(0, 1.02)
        if logarithmic:
            panel.set_xscale("symlog", linthresh=1)
        panel.set_xlim(0 if logarithmic else -0.02 * last, 1.02 * last)
    shares = [0, 0.25, 0.5, 0.75, 1]
    epochs = [ten for ten in tens if ten <= last]
    scale(
        axes,
        (epochs, list(map(thousands, epochs))),
        (shares, [f"{share:.0%}" for share in shares]),
        "epoch (log)" if logarithmic else "epoch",
        "test accuracy",
    )
    if len(counts) > 1:
        for place, some in shown.items():
            axes[place].text(
                0.97, 0.04, told(sorted(some)), transform=axes[place].transAxes, ha="right", fontsize=SMALL
            )
    return figure


def draws(cell: Cell) -> int:
    return len({record.params["seeds.init"] for record in cell.finished})


def told(counts: Sequence[int]) -> str:
    """`n = 3`, or `n = 2 to 10`."""
    return f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "") if counts else "n = 0"


def decades(last: float, most: int) -> list[int]:
    """0, 1, 10, ... up to the last step, or as many of them."""
    found = [0, 1]
    while found[-1] * 10 <= last:
        found.append(found[-1] * 10)
    return found if len(found) <= most else [0, 1, found[-1]]


def draw_course(axes: Axes, cell: Cell, how: dict[str, Any]) -> None:
    found = course(cell.finished, COURSE)
    if found is None:
        return
    epochs = found.steps / int(cell.finished[0].tags["steps_per_epoch"])
    axes.plot(epochs, found.mean, **how)
    axes.fill_between(
        epochs, found.mean - found.half, found.mean + found.half, color=how["color"], alpha=0.18, linewidth=0
    )
