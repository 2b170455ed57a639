"""Which figures of a sweep are drawn at its end, and of which cells."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zeroinit.report.cells import Cell, columns
from zeroinit.report.confounding import lines
from zeroinit.report.histories import Gradients, arrivals, gradients, histograms_kept, layers, neuron_metrics, predicted
from zeroinit.tracker import TEST_ACCURACY, Tracker

WAVES = 12  # cells of which the waves are drawn

Each = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterable[Any]]
Arrivals = dict[str, list[int]]
Watched = tuple[
    str, Sequence[bytes], Arrivals, dict[str, int]
]  # label, histograms.npz, first gradients, predicted ones


def draw(found: list[Cell], tracker: Tracker, each: Each, axes: Sequence[str]) -> dict[str, bytes]:
    """{file name: PNG}: comparison and map of all cells, the waves of some, their neurons, gradients of a telling pair.

    `each` draws them; `axes` are the map's two keys, or none to have them chosen. What cannot be drawn is told, and
    costs none of the others.
    """
    done = [cell for cell in found if cell.finished]
    if not done:
        return {}
    recalled = [record for cell in done for record in cell.finished]
    neurons = neuron_metrics(recalled)
    tracker.load_histories(recalled, [TEST_ACCURACY, *neurons])
    keys = columns(found)
    tasks: list[tuple[Any, ...]] = [("comparison", found), ("map", found, *axes)]
    if neurons:
        tasks.append(("neurons", found, units(found, tracker)))
    pair = telling(found)
    groups = around(found, pair[-1])
    if waves := histograms_of([cell for group in groups for cell in group], keys, tracker):
        widest = max(map(len, groups))
        tasks.append(("wave", waves, widest if len(groups) > 1 and widest <= 4 else None))
    if watched := histograms_of(pair, keys, tracker):
        tasks += [("gradients", watched), ("boxes", watched)]
    drawn = {}
    try:
        for (name, *_), one in zip(tasks, each(drawn_figure, tasks), strict=True):
            if isinstance(one, bytes):
                drawn[f"{name}.png"] = one
            else:
                sys.stderr.write(f"zeroinit: no {name}.png: {one}\n")
    except RuntimeError as error:  # of a worker that died; the table must not be lost for it
        sys.stderr.write(f"zeroinit: no figures: {str(error).strip().splitlines()[-1]}\n")
    return drawn


def drawn_figure(name: str, *data: Any) -> bytes | str:
    """The PNG of a figure, or why there is none."""
    import zeroinit.report.figures as figures  # after training, never before

    try:
        if name in ("comparison", "map", "neurons"):
            return figures.png(getattr(figures, f"{name}_figure")(*data))
        seen, *more = added(data[0]), *data[1:]
        if not seen:
            return "its runs saw no step together"
        if name == "wave":
            return figures.png(figures.wave_figure(seen, *more))
        pair = [(label, one) for label, one, *_ in seen]
        of_each = [(set(one.steps), set(one.layers)) for _, one in pair]
        if not all(set.intersection(*parts) for parts in zip(*of_each, strict=True)):
            pair = pair[-1:]  # they have no step or no layer in common
        if name == "boxes":
            return figures.png(figures.boxes_figure(pair))
        return figures.png(figures.difference_figure(*pair) if len(pair) == 2 else figures.gradient_figure(*pair[0]))
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())


def added(watched: Sequence[Watched]) -> list[tuple[str, Gradients, Arrivals, dict[str, int]]]:
    """The same with the runs' histograms as one, where the runs of a cell saw a step together."""
    return [(label, found, came, theory) for label, contents, came, theory in watched if (found := gradients(contents))]


def telling(found: Sequence[Cell]) -> list[Cell]:
    """The cell whose last layer wakes last, after its counterpart of the first init where there is one.

    Of cells in which some layer wakes after the first step: those in which every layer has a gradient go before those
    in which some never have.
    """
    keys = [key for key in columns(found) if key != "init"]

    def woke(cell: Cell) -> tuple[bool, bool, int]:
        came = arrivals(cell.finished)
        steps = [step for of_layer in came.values() for step in of_layer]
        return max(steps, default=0) <= 1, len(came) < len(layers(cell.finished)), -max(steps, default=0)

    last = min((cell for cell in found if cell.finished), key=woke)
    for cell in found:
        alike = all(cell.params.get(key) == last.params.get(key) for key in keys)
        if cell.finished and alike and cell is not last and cell.params["init"] == found[0].params["init"]:
            return [cell, last]
    return [last]


def around(found: Sequence[Cell], chosen: Cell) -> list[list[Cell]]:
    """The chosen cell with those of other inits, and as many more such groups as there is space for.

    A group has all in common but the init. The nearest go first: of the same arch, alike in most keys.
    """
    keys = [key for key in columns(found) if key != "init"]
    groups: dict[tuple[str | None, ...], list[Cell]] = {}
    for cell in found:
        if cell.finished:
            groups.setdefault(tuple(cell.params.get(key) for key in keys), []).append(cell)

    def far(values: tuple[str | None, ...]) -> tuple[bool, int]:
        differing = [key for key, value in zip(keys, values, strict=True) if value != chosen.params.get(key)]
        return any(key.startswith("arch") for key in differing), len(differing)

    nearest = sorted(groups, key=far)
    kept = [nearest[0]]
    for values in nearest[1:]:
        if sum(len(groups[one]) for one in kept) + len(groups[values]) <= WAVES:
            kept.append(values)
    return [some_of(group, chosen) for values, group in groups.items() if values in kept]


def some_of(group: list[Cell], chosen: Cell) -> list[Cell]:
    """No more than there is space for, the chosen one among them."""
    others = [cell for cell in group if cell is not chosen]
    return group if len(group) <= WAVES else [*others[: WAVES - 1], chosen]


def histograms_of(some: Sequence[Cell], keys: Sequence[str], tracker: Tracker) -> list[Watched]:
    """What the figures of gradients are drawn from; of those cells that have any."""
    found: list[Watched] = []
    for cell in some:
        if contents := histograms_kept(cell.finished, tracker):
            found.append((cell.label(keys), contents, arrivals(cell.finished), predicted(cell.finished)))
    return found


def units(found: Sequence[Cell], tracker: Tracker) -> list[dict[str, int]]:
    """{layer: its units} of each cell, from an init.csv of each arch and data set."""
    known: dict[tuple[tuple[str, str], ...], dict[str, int]] = {}
    of_each = []
    for cell in found:
        kind = tuple((key, value) for key, value in cell.params.items() if key.startswith(("arch", "dataset")))
        if kind not in known and (content := cell.finished and tracker.read_file(cell.finished[0], "init.csv")):
            shapes = {line["parameter"]: line["shape"] for line in lines(content)}
            weights = {name: shape for name, shape in shapes.items() if name.endswith(".weight")}
            known[kind] = {name.removesuffix(".weight"): int(shape.split("x")[0]) for name, shape in weights.items()}
        of_each.append(known.get(kind, {}))
    return of_each
