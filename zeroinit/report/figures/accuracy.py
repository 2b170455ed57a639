"""Test accuracy over epochs."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeroinit.report.cells import Cell, columns
from zeroinit.report.figures.style import LINE, SMALL, facets, frame, height_of, label_facets, outer, strokes
from zeroinit.report.watched import course
from zeroinit.tracker import COURSE


def comparison_figure(cells: Sequence[Cell]) -> Figure:
    """Test accuracy over epochs: a colour an init, a panel for what else differs, a 95% band over draws of the init."""
    grid = facets([cell.params for cell in cells], [key for key in columns(cells) if key != "init"])
    how = strokes(cell.params["init"] for cell in cells)
    counts = sorted({draws(cell) for cell in cells if cell.finished})
    said = f"Test accuracy after each epoch, mean of {told(counts)} and Student's 95% interval"
    lost = f"; {grid.left_out} more panels are left out" if grid.left_out else ""
    figure, axes, _ = frame(
        grid.down,
        grid.across,
        height_of(grid),
        "Test accuracy over training",
        f"{said}{'; ' + grid.shared if grid.shared else ''}{lost}.",
        how,
        right=0.15 + LINE * max((text.count("\n") + 1 for text in grid.beside if text), default=0),
        heading=max((text.count("\n") + 1 for text in grid.above.values()), default=0),
        gap=(0.12, 0.12 if any(grid.beside) or grid.down == 1 else 0.45),
    )
    shown: dict[tuple[int, int], set[int]] = {}
    for cell, place in zip(cells, grid.places, strict=True):
        if place and cell.finished:
            draw_course(axes[place], cell, how[cell.params["init"]])
            shown.setdefault(place, set()).add(draws(cell))
    logarithmic = any(cell.finished and cell.finished[0].tags["steps_per_epoch"] == "1" for cell in cells)
    last = max((max(line.get_xdata(), default=0) for panel in axes.flat for line in panel.lines), default=1)
    for place, panel in ((place, axes[place]) for place in set(grid.places) if place):
        panel.set_ylim(0, 1.02)
        panel.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        panel.grid(alpha=0.3, linewidth=0.6)
        if logarithmic:
            panel.set_xscale("symlog", linthresh=1)
            panel.set_xlim(0, max(last, 1))
            panel.set_xticks(tens := decades(last, 3 if grid.across > 3 else 9), [f"{ten:,}" for ten in tens])
            panel.minorticks_off()
        if len(counts) > 1:
            panel.text(
                0.97, 0.04, told(sorted(shown.get(place, {0}))), transform=panel.transAxes, ha="right", fontsize=SMALL
            )
    label_facets(axes, grid)
    outer(axes, "epoch (log)" if logarithmic else "epoch", "test accuracy")
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
