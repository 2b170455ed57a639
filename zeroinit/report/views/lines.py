"""Which line of a chart over training each cell has: its panel, its name and its style."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zeroinit.report.cells import Cell, independent_keys, inits_of, is_number, naming_keys, sort_values
from zeroinit.report.views.colours import BASELINE_STYLE, OTHER_COLOURS, PLASMA, LineStyle, interpolate, style_inits
from zeroinit.report.views.panels import Panels, arrange_panels

LOGISTIC = "logistic (baseline)"
DASH = "5 2"  # of logistic regression that has the colours of the inits
MAX_COLOURS = len(OTHER_COLOURS)


class Placed(NamedTuple):
    """A cell in a panel, under the name of its line."""

    cell: Cell
    row: str
    column: str
    name: str


def place_lines(cells: Sequence[Cell]) -> tuple[str, Panels, list[Placed]]:
    """Return the key that has the colours, the panels, and the cells in them."""
    pairs = _pair_logistic(cells)
    of_baselines = {id(baseline) for baseline, _ in pairs}
    subjects = [cell for cell in cells if id(cell) not in of_baselines]
    key = _choose_coloured_key(subjects)
    panels = arrange_panels([cell.params for cell in subjects], [name for name in naming_keys(subjects) if name != key])
    panel_of = dict(zip(map(id, subjects), zip(panels.row_of, panels.column_of, strict=True), strict=True))
    beneath = {(panel_of[id(other)], id(baseline)): baseline for baseline, other in pairs}
    lines = [Placed(cell, *panel_of[id(cell)], _name_line(key, cell)) for cell in subjects]
    has_single_init = not _has_several([baseline for baseline, _ in pairs], "init")
    lines += [
        Placed(cell, *panel, LOGISTIC if has_single_init else f"logistic, {_name_line(key, cell)}")
        for (panel, _), cell in beneath.items()
    ]
    return key, panels, lines


def _pair_logistic(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
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


def _choose_coloured_key(cells: Sequence[Cell]) -> str:
    """Return the key whose values have colours: init, or a numeric key with more values; any key if there is one init.

    Other keys than init need no more values than there are colours.
    """
    differing = independent_keys([cell.params for cell in cells], naming_keys(cells))
    values = {key: {cell.params.get(key, "") for cell in cells} for key in ("init", *differing[::-1])}
    few = {key: of_key for key, of_key in values.items() if key == "init" or len(of_key) <= MAX_COLOURS}
    has_single_init = len(values["init"]) == 1
    keys = (key for key in few if key == "init" or has_single_init or all(map(is_number, few[key])))
    return max(keys, key=lambda key: len(few[key]))


def _name_line(key: str, cell: Cell) -> str:
    """Return the name of a cell's line in the legend."""
    value = cell.params.get(key, "none")
    return value if key == "init" else f"{key}={value}"


def style_lines(key: str, cells: Sequence[Cell]) -> dict[str, LineStyle]:
    """Return the style of each line by its name; numbers of a key go from dark to bright."""
    names = {cell.params.get(key, "none"): _name_line(key, cell) for cell in cells}
    if key == "init":
        of_inits = style_inits(inits_of(cells))
        styles = {names[value]: of_inits[value] for value in sort_values(names)}
    elif all(map(is_number, names)):
        shares = np.linspace(0, 1, len(names)) if len(names) > 1 else [0.0]
        styles = {
            names[value]: LineStyle(interpolate(PLASMA, float(share)))
            for value, share in zip(sort_values(names), shares, strict=True)
        }
    else:
        styles = {
            names[value]: LineStyle(OTHER_COLOURS[index % MAX_COLOURS])
            for index, value in enumerate(sort_values(names))
        }
    dashed = {f"logistic, {name}": LineStyle(style.colour, DASH) for name, style in styles.items()}
    return styles | dashed | {LOGISTIC: BASELINE_STYLE}
