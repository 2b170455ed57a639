"""How many different neurons a layer has, over training."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from zeroinit.report.cells import Cell, columns
from zeroinit.report.figures.accuracy import decades, describe_units
from zeroinit.report.figures.facets import facet_frame, facets, scale
from zeroinit.report.figures.style import SMALL, some, strokes, thousands
from zeroinit.report.histories import course, neuron_metrics

LAYERS = 4  # side by side, at most


def layer_of(metric: str) -> str:
    return metric.removeprefix("symmetry/").removesuffix("/distinct")


def neurons_figure(cells: Sequence[Cell], units: Sequence[Mapping[str, int]] = ()) -> Figure:
    """Distinct neurons of each hidden layer over steps: a colour an init, panels for layers and for what else differs.

    `units` {layer: how many there are} of each cell are marked, where they are known. The records hold the whole
    course of the metrics that `neuron_metrics` names.
    """
    found = neuron_metrics([record for cell in cells for record in cell.finished])
    known = list(dict.fromkeys(f"symmetry/{layer}/distinct" for each in units for layer in each))
    metrics = some([name for name in known if name in found] or found, LAYERS)  # a store has them by name
    shown = [(cell, metric) for cell in cells for metric in metrics if has(cell, metric)]
    keys = [key for key in columns(cells) if key != "init"]
    grid = facets([cell.params | {"layer": layer_of(metric)} for cell, metric in shown], [*keys, "layer"])
    how = strokes(cell.params["init"] for cell in cells)
    said = (
        f"Those whose incoming weights and bias differ in a bit; {describe_units([cell for cell, _ in shown])}; band: "
        "the range of the runs; dotted: the units of the layer"
    )
    figure, axes = facet_frame(grid, "Distinct neurons of the hidden layers", said, how)
    of_cell = {id(cell): each for cell, each in zip(cells, units, strict=False)}
    marked: dict[tuple[int, int], set[int]] = {}
    last, most = 1, 1.0
    for (cell, metric), place in zip(shown, grid.places, strict=True):
        seen = course(cell.finished, metric)
        if not place or seen is None:
            continue
        style = how[cell.params["init"]]
        axes[place].plot(seen.steps, seen.mean, **style)
        axes[place].fill_between(seen.steps, seen.low, seen.high, color=style["color"], alpha=0.18, linewidth=0)
        of_layer = of_cell.get(id(cell), {}).get(layer_of(metric))
        marked.setdefault(place, set()).update([of_layer] if of_layer else [])
        last, most = max(last, int(seen.steps.max())), max(most, float(seen.high.max()), of_layer or 1)
    tens, powers = decades(last, 4 if grid.across > 3 else 9), [1]
    while powers[-1] * 4 <= most:
        powers.append(powers[-1] * 4)
    for place in {place for place in grid.places if place}:
        panel = axes[place]
        for count in marked.get(place, ()):
            panel.axhline(count, color="0.3", linestyle=":", linewidth=1)
            where = panel.get_yaxis_transform()
            panel.text(0.97, count * 1.12, f"{count:,} units", transform=where, ha="right", va="bottom", fontsize=SMALL)
        panel.set_xscale("symlog", linthresh=1)
        panel.set_yscale("log", base=2)
        panel.set_xlim(0, last)
        panel.set_ylim(0.8, most * (most**0.2 * 1.2))
    steps, counted = (tens, list(map(thousands, tens))), (powers, [f"{count:,}" for count in powers])
    scale(axes, steps, counted, "step (log)", "distinct neurons")
    return figure


def has(cell: Cell, metric: str) -> bool:
    return any(name == metric for record in cell.finished for name, _, _ in record.metrics)
