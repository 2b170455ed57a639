"""The number of distinct neurons of each layer over training."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from zeroinit.probes.symmetry import DISTINCT_NEURONS
from zeroinit.report.cells import Cell, naming_keys
from zeroinit.report.figures.accuracy import decades, describe_units
from zeroinit.report.figures.facets import Position, facet_frame, facets, scale
from zeroinit.report.figures.style import SMALL, choose_evenly, line_styles, thousands
from zeroinit.report.histories import average_history, neuron_metrics

MAX_LAYERS = 4  # side by side


class Extent(NamedTuple):
    """The range of the axes: the last step, and the largest number of neurons."""

    last: int
    most: float


def neurons_figure(cells: Sequence[Cell], units: Sequence[Mapping[str, int]] = ()) -> Figure:
    """Return the figure of the distinct neurons of each hidden layer over steps.

    Inits have colours, layers and other keys have panels. The records must have the metrics of `neuron_metrics` at
    every step.

    Args:
        cells: The cells.
        units: {layer: its number of units} of each cell, which are marked if they are known.
    """
    metrics = neuron_metrics([record for cell in cells for record in cell.finished])
    # the order of the net's layers, as a store has metrics by name
    known = list(dict.fromkeys(DISTINCT_NEURONS.of(layer) for of_cell in units for layer in of_cell))
    metrics = choose_evenly([name for name in known if name in metrics] or metrics, MAX_LAYERS)
    lines = [(cell, metric) for cell in cells for metric in metrics if _has_metric(cell, metric)]
    keys = [key for key in naming_keys(cells) if key != "init"]
    grid = facets(
        [cell.params | {"layer": DISTINCT_NEURONS.layer_of(metric)} for cell, metric in lines], [*keys, "layer"]
    )
    styles = line_styles(cell.params["init"] for cell in cells)
    caption = (
        "Two neurons are distinct if their incoming weights or biases differ in any bit; "
        f"{describe_units([cell for cell, _ in lines])}; band: the range of the runs; dotted: the units of the layer"
    )
    figure, axes = facet_frame(grid, "Distinct neurons of the hidden layers", caption, styles)
    units_of = {id(cell): of_cell for cell, of_cell in zip(cells, units, strict=False)}
    marks: dict[Position, set[int]] = {}  # the numbers of units in each panel
    last, most = 1, 1.0
    for (cell, metric), position in zip(lines, grid.positions, strict=True):
        history = average_history(cell.finished, metric)
        if not position or history is None:
            continue
        style, panel = styles[cell.params["init"]], axes[position]
        panel.plot(history.steps, history.mean, **style)
        panel.fill_between(history.steps, history.low, history.high, color=style["color"], alpha=0.18, linewidth=0)
        count = units_of.get(id(cell), {}).get(DISTINCT_NEURONS.layer_of(metric))
        marks.setdefault(position, set()).update([count] if count else [])
        last, most = max(last, int(history.steps.max())), max(most, float(history.high.max()), count or 1)
    positions = {position for position in grid.positions if position}
    _scale_panels(axes, positions, marks, Extent(last, most))
    return figure


def _scale_panels(axes: Any, positions: set[Position], marks: Mapping[Position, set[int]], extent: Extent) -> None:
    """Set the axes of all panels, and mark the numbers of units.

    Args:
        axes: The panels, as an array (down, across).
        positions: The panels that have lines.
        marks: The numbers of units in each panel.
        extent: The range of the axes.
    """
    last, most = extent
    ticks, powers = decades(last, 4 if axes.shape[1] > 3 else 9), [1]
    while powers[-1] * 4 <= most:
        powers.append(powers[-1] * 4)
    for position in positions:
        panel = axes[position]
        along = panel.get_yaxis_transform()
        for count in marks.get(position, ()):
            panel.axhline(count, color="0.3", linestyle=":", linewidth=1)
            label = f"{count:,} units"
            panel.text(0.97, count * 1.12, label, transform=along, ha="right", va="bottom", fontsize=SMALL)
        panel.set_xscale("symlog", linthresh=1)
        panel.set_yscale("log", base=2)
        panel.set_xlim(0, last)
        panel.set_ylim(0.8, most * (most**0.2 * 1.2))
    x, y = (ticks, list(map(thousands, ticks))), (powers, [f"{count:,}" for count in powers])
    scale(axes, x, y, "step (log)", "distinct neurons")


def _has_metric(cell: Cell, metric: str) -> bool:
    """Return whether a finished run of the cell has the metric."""
    return any(name == metric for record in cell.finished for name, _, _ in record.metrics)
