"""The figures at the end of a sweep: which of them to draw, and from which cells."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroinit.report.cells import Cell, list_scores, naming_keys
from zeroinit.report.confounding import read_init_csv
from zeroinit.report.histories import (
    first_gradients,
    gradient_layers,
    neuron_metrics,
    read_histograms,
    sum_histograms,
    theoretical_first_gradients,
)
from zeroinit.tracker import RunReader

if TYPE_CHECKING:
    from zeroinit.report.views import Observed, View

MAX_WAVES = 12  # cells that the figure of waves shows

# calls a function with each of some argument tuples, maybe in other processes, and returns the results in order
MapFunction = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterable[Any]]


class ObservedCell(NamedTuple):
    """What the figures of gradients are drawn from: the contents of histograms.npz, the first gradients, the inits."""

    params: dict[str, str]
    label: str
    contents: Sequence[bytes]
    first_gradients: dict[str, list[int]]
    theory: dict[str, int]
    inits: Sequence[str]


def draw(
    cells: list[Cell], tracker: RunReader, map_function: MapFunction, axes: Sequence[str], baseline: str
) -> dict[str, bytes]:
    """Return {file name: PNG} of the figures of a sweep.

    They are the comparison, the differences from the baseline and the map of all cells, the neurons, the waves of some
    cells, and the gradients of the cell that wakes last.

    A figure that cannot be drawn is reported on stderr, and the others are drawn.

    Args:
        cells: The cells of the sweep.
        tracker: Where their runs are.
        map_function: Draws the figures, maybe in other processes.
        axes: The two keys of the map; empty to choose them here.
        baseline: The init with which the others are compared.
    """
    records = [record for cell in cells for record in cell.finished]
    if not records:
        return {}
    neurons = neuron_metrics(records)
    tracker.load_histories(records, [*(score.test for score in list_scores(cells)), *neurons])
    keys = naming_keys(cells)
    tasks: list[tuple[Any, ...]] = [("comparison", cells), ("differences", cells, baseline), ("map", cells, *axes)]
    if neurons:
        tasks.append(("neurons", cells, units_of_layers(cells, tracker)))
    pair = last_to_wake_with_reference(cells)
    groups = nearest_cells(cells, pair[-1])
    if waves := observe_cells([cell for group in groups for cell in group], keys, tracker):
        tasks.append(("wave", waves, keys))
    if observed := observe_cells(pair, keys, tracker):
        tasks += [("gradients", observed), ("boxes", observed)]
    files = {}
    try:
        for (name, *_), figure in zip(tasks, map_function(draw_figure, tasks), strict=True):
            if isinstance(figure, bytes):
                files[f"{name}.png"] = figure
            elif figure:
                sys.stderr.write(f"zeroinit: no {name}.png: {figure}\n")
    except RuntimeError as error:  # a worker died, which must not cost the table
        sys.stderr.write(f"zeroinit: no figures: {str(error).strip().splitlines()[-1]}\n")
    return files


def draw_figure(name: str, *data: Any) -> bytes | str:
    """Return the PNG of a figure, or why there is none; an empty text if it has nothing to show."""
    # matplotlib and pandas take time to import, and training must not wait for them
    from zeroinit.report.figures import draw_view, save_figure

    try:
        view = make_view(name, *data)
        return view if isinstance(view, str) else save_figure(draw_view(view)) if view else ""
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())


def make_view(name: str, *data: Any) -> "View | str | None":
    """Return the view of a figure, or why there is none; None if it has nothing to show."""
    from zeroinit.report import views

    if name in ("comparison", "differences", "map", "neurons"):
        makers: dict[str, Callable[..., View | None]] = {
            "comparison": views.make_curves,
            "differences": views.make_differences,
            "map": views.make_map,
            "neurons": views.make_neurons,
        }
        return makers[name](*data)
    labels, cells = sum_observed(data[0])
    if not cells:
        return "its runs were observed at no common step"
    if name == "wave":
        return views.make_wavefront(cells, data[1])
    steps_and_layers = [(set(cell.gradients.steps.tolist()), set(cell.gradients.layers)) for cell in cells]
    if not all(set.intersection(*parts) for parts in zip(*steps_and_layers, strict=True)):
        labels, cells = labels[-1:], cells[-1:]  # they have no step or no layer in common
    return (views.make_boxes if name == "boxes" else views.make_gradients)(cells, labels)


def sum_observed(cells: Sequence[ObservedCell]) -> "tuple[list[str], list[Observed]]":
    """Return the labels and the gradients of the cells whose runs were observed at a common step."""
    from zeroinit.report.views import Observed

    summed = [
        (cell.label, Observed(cell.params, gradients, cell.first_gradients, cell.theory, cell.inits))
        for cell in cells
        if (gradients := sum_histograms(cell.contents))
    ]
    return [label for label, _ in summed], [cell for _, cell in summed]


def last_to_wake_with_reference(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cell whose last layer wakes last, after its counterpart of the first init if there is one.

    Only cells in which a layer wakes after the first step are considered, if there are any. Among them, cells in which
    every layer has a gradient go first.
    """
    keys = [key for key in naming_keys(cells) if key != "init"]

    def rank(cell: Cell) -> tuple[bool, bool, int]:
        first = first_gradients(cell.finished)
        latest = max((step for steps in first.values() for step in steps), default=0)
        return latest <= 1, len(first) < len(gradient_layers(cell.finished)), -latest

    last = min((cell for cell in cells if cell.finished), key=rank)
    for cell in cells:
        is_counterpart = all(cell.params.get(key) == last.params.get(key) for key in keys)
        if cell.finished and is_counterpart and cell is not last and cell.params["init"] == cells[0].params["init"]:
            return [cell, last]
    return [last]


def nearest_cells(cells: Sequence[Cell], chosen: Cell) -> list[list[Cell]]:
    """Return the group of the chosen cell, and as many of the nearest other groups as MAX_WAVES leaves room for.

    The cells of a group differ in nothing but the init. Groups that agree in most keys are nearest. All have one arch.
    """
    keys = [key for key in naming_keys(cells) if key != "init"]
    groups: dict[tuple[str | None, ...], list[Cell]] = {}
    for cell in cells:
        if cell.finished:
            groups.setdefault(tuple(cell.params.get(key) for key in keys), []).append(cell)

    def differing(values: tuple[str | None, ...]) -> list[str]:
        return [key for key, value in zip(keys, values, strict=True) if value != chosen.params.get(key)]

    alike = [values for values in groups if not any(key.startswith("arch") for key in differing(values))]
    nearest = sorted(alike, key=lambda values: len(differing(values)))
    shown = [nearest[0]]
    for values in nearest[1:]:
        if sum(len(groups[other]) for other in shown) + len(groups[values]) <= MAX_WAVES:
            shown.append(values)
    return [_limit_group(group, chosen) for values, group in groups.items() if values in shown]


def _limit_group(group: list[Cell], chosen: Cell) -> list[Cell]:
    """Return at most MAX_WAVES cells of the group, the chosen cell included."""
    others = [cell for cell in group if cell is not chosen]
    return group if len(group) <= MAX_WAVES else [*others[: MAX_WAVES - 1], chosen]


def observe_cells(cells: Sequence[Cell], keys: Sequence[str], tracker: RunReader) -> list[ObservedCell]:
    """Return what the figures of gradients are drawn from, for those of the cells that have it."""
    observed: list[ObservedCell] = []
    for cell in cells:
        if contents := read_histograms(cell.finished, tracker):
            steps = first_gradients(cell.finished), theoretical_first_gradients(cell.finished)
            params = {key: cell.params[key] for key in keys if key in cell.params}
            observed.append(ObservedCell(params, cell.label(keys), contents, *steps, cell.inits))
    return observed


def units_of_layers(cells: Sequence[Cell], tracker: RunReader) -> list[dict[str, int]]:
    """Return {layer: its number of units} of each cell, read from one init.csv for each arch and data set."""
    known: dict[tuple[tuple[str, str], ...], dict[str, int]] = {}
    units = []
    for cell in cells:
        net = tuple((key, value) for key, value in cell.params.items() if key.startswith(("arch", "dataset")))
        if net not in known and (content := cell.finished and tracker.read_file(cell.finished[0], "init.csv")):
            shapes = {line["parameter"]: line["shape"] for line in read_init_csv(content)}
            weights = {name: shape for name, shape in shapes.items() if name.endswith(".weight")}
            known[net] = {name.removesuffix(".weight"): int(shape.split("x")[0]) for name, shape in weights.items()}
        units.append(known.get(net, {}))
    return units
