"""How many different neurons a layer has, over training."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from zeroinit.report.cells import Cell, columns
from zeroinit.report.figures.accuracy import decades, draws, told
from zeroinit.report.figures.style import LINE, SMALL, facets, frame, height_of, label_facets, outer, some, strokes
from zeroinit.report.watched import course, neuron_metrics

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
    shown = [(cell, metric) for cell in cells for metric in metrics if any(cell_has(cell, metric))]
    keys = [key for key in columns(cells) if key != "init"]
    grid = facets([cell.params | {"layer": layer_of(metric)} for cell, metric in shown], [*keys, "layer"])
    how = strokes(cell.params["init"] for cell in cells)
    counts = sorted({draws(cell) for cell, _ in shown})
    lost = f"; {grid.left_out} more panels are left out" if grid.left_out else ""
    figure, axes, _ = frame(
        grid.down,
        grid.across,
        height_of(grid),
        "Distinct neurons of the hidden layers",
        f"Those whose incoming weights and bias differ in a bit; mean of {told(counts)} and the range over runs; "
        f"dotted: the units of the layer{'; ' + grid.shared if grid.shared else ''}{lost}.",
        how,
        right=0.15 + LINE * max((text.count("\n") + 1 for text in grid.beside if text), default=0),
        heading=max((text.count("\n") + 1 for text in grid.above.values()), default=0),
        gap=(0.12, 0.12 if any(grid.beside) or grid.down == 1 else 0.45),
    )
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
    for place, panel in ((place, axes[place]) for place in set(grid.places) if place):
        for count in marked.get(place, ()):
            panel.axhline(count, color="0.3", linestyle=":", linewidth=1)
            panel.text(last, count * 1.12, f"{count:,} units", ha="right", va="bottom", fontsize=SMALL)
        panel.set_xscale("symlog", linthresh=1)
        panel.set_yscale("log", base=2)
        panel.set_xlim(0, last)
        panel.set_ylim(0.8, most * (most**0.2 * 1.2))
        panel.set_xticks(tens, [f"{ten:,}" for ten in tens])
        panel.set_yticks(powers, [f"{count:,}" for count in powers])
        panel.minorticks_off()
        panel.grid(alpha=0.3, linewidth=0.6)
    label_facets(axes, grid)
    outer(axes, "step (log)", "distinct neurons")
    return figure


def cell_has(cell: Cell, metric: str) -> list[bool]:
    return [any(name == metric for name, _, _ in record.metrics) for record in cell.finished]
