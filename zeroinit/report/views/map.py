"""The map of a sweep: the accuracy of each cell as colour and its outcome as a letter, over any two keys."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from zeroinit.report.cells import (
    NOT_RUN,
    OUTCOMES,
    Cell,
    commonest,
    independent_keys,
    is_number,
    naming_keys,
    sort_values,
)
from zeroinit.report.statistics import estimate, explain_intervals
from zeroinit.report.views.colours import CIVIDIS, EMPTY, interpolate, is_dark
from zeroinit.report.views.panels import (
    arrange_panels,
    describe_fixed,
    describe_units,
    elide,
    join_words,
    write_caption,
)
from zeroinit.report.views.view import Mark, Scale, View, spread_evenly
from zeroinit.tracker import TEST_ACCURACY

MAX_WIDE_TILES = 8  # side by side, which have room for intervals
MAX_OUTCOMES = 4  # that a title counts
UNKNOWN = "?"  # the letter of an outcome that OUTCOMES lacks
VERBS = {  # of a cell, and of several
    "learned": ("learns", "learn"),
    "learns": ("learns", "learn"),
    "partly-learned": ("learns in part", "learn in part"),
    "stuck-at-prior": ("stays at the prior", "stay at the prior"),
    "still-waking": ("is still waking", "are still waking"),
    "dead-layer": ("has a dead layer", "have a dead layer"),
    "diverged": ("diverged", "diverged"),
    "failed": ("failed", "failed"),
    NOT_RUN: ("has not run", "have not run"),
}


def choose_axes(cells: Sequence[Cell]) -> tuple[str, str]:
    """Return the keys of the x and the y axis: the two with the most values, a numeric key first.

    If fewer than two keys differ, the rest do not differ.
    """
    differing = independent_keys([cell.params for cell in cells], naming_keys(cells))
    values = {key: sort_values(cell.params.get(key, "") for cell in cells) for key in naming_keys(cells)}
    first, second = sorted(values, key=lambda key: (key not in differing, -len(values[key])))[:2]
    is_first_along = all(map(is_number, values[first])) or not all(map(is_number, values[second]))
    return (first, second) if is_first_along else (second, first)


def make_map(cells: Sequence[Cell], x: str = "", y: str = "") -> View:
    """Return the map of the cells.

    Args:
        cells: The cells.
        x: The key along the map; empty to choose it.
        y: The key up the map; empty to choose it.
    """
    first, second = choose_axes(cells)
    x = x or (first if first != y else second)
    y = y or (second if second != x else first)
    along, up = (sort_values(cell.params.get(key, "") for cell in cells) for key in (x, y))
    params = [cell.params for cell in cells]
    panels = arrange_panels(params, [key for key in independent_keys(params, naming_keys(cells)) if key not in (x, y)])
    has_intervals = len(along) * (len(panels.columns.values) if panels.columns else 1) <= MAX_WIDE_TILES
    rows = [
        {"row": row, "column": column, "x": cell.params.get(x, ""), "y": cell.params.get(y, "")}
        | _describe_tile(cell, has_intervals)
        for cell, row, column in zip(cells, panels.row_of, panels.column_of, strict=True)
    ]
    return View(
        "map",
        _find_title(cells),
        _describe(cells, (x, y), has_intervals),
        pd.DataFrame(rows),
        Scale(x, "band", along, "text", labels=[elide(value) for value in along]),
        # numbers grow upwards, names go down
        Scale(y, "band", up, "text", labels=[elide(value) for value in up], reverse=not all(map(is_number, up))),
        mark_tiles("accuracy", "has_accuracy", width=1),
        Scale(
            "test accuracy",
            "sequential",
            spread_evenly(0, 1, len(CIVIDIS)),
            "percent",
            colours=CIVIDIS,
            ticks=[0, 0.25, 0.5, 0.75, 1],
        ),
        panels.rows,
        panels.columns,
    )


def _describe_tile(cell: Cell, has_interval: bool) -> dict[str, Any]:
    """Return what the tile of a cell shows: its accuracy from 0 to 1, and its outcome."""
    accuracy = estimate(cell.finished, TEST_ACCURACY)
    count, total = commonest(cell)[1], cell.outcomes.total() - cell.outcomes[NOT_RUN]
    letter = letter_of(cell) + (f" {count}/{total}" if count < total else "")
    is_known = math.isfinite(accuracy.mean)
    has_dark_tile = is_known and is_dark(interpolate(CIVIDIS, accuracy.mean))
    number = accuracy.percent(digits=1, sign="") if has_interval else f"{100 * accuracy.mean:.1f}"
    return {
        "accuracy": accuracy.mean,
        "text": f"{number}\n{letter}" if is_known else letter or "\N{EN DASH}",
        "tip": f"{accuracy.percent(digits=1)} (n = {accuracy.n}); {count_outcomes(cell)}",
        "has_accuracy": is_known,
        "is_empty": not is_known,
        "is_dark": has_dark_tile,
        "is_bright": not has_dark_tile,
    }


def mark_tiles(colour: str, where: str, width: float = 0) -> list[Mark]:
    """Return the marks of a map: tiles with a colour or without, and their texts in white or in black.

    Args:
        colour: The column that has the colour.
        where: The column that says which tiles have one.
        width: The width of the line around a tile.
    """
    tile = {"x": "x", "y": "y"}
    return [
        Mark("tile", tile | {"colour": colour, "tip": "tip"}, where=where, width=width),
        Mark("tile", tile | {"tip": "tip"}, where="is_empty", colour=EMPTY, width=width),
        Mark("text", tile | {"text": "text"}, where="is_dark", colour="#FFFFFF"),
        Mark("text", tile | {"text": "text"}, where="is_bright", colour="#000000"),
    ]


def letter_of(cell: Cell) -> str:
    """Return the letter of the cell's most frequent outcome; empty without a run."""
    outcome = commonest(cell)[0]
    return "" if outcome == NOT_RUN else OUTCOMES[outcome].letter if outcome in OUTCOMES else UNKNOWN


def count_outcomes(cell: Cell) -> str:
    """Return `2 learned, 1 symmetric`."""
    return ", ".join(f"{count} {word}" for word, count in cell.outcomes.most_common() if count)


def _find_title(cells: Sequence[Cell]) -> str:
    """Return how many cells have the outcomes that are the most frequent."""
    outcomes: dict[str, int] = {}
    for cell in cells:
        outcome = commonest(cell)[0]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    ranked = sorted(outcomes.items(), key=lambda item: -item[1])
    if len(ranked) == 1:
        does = _do(*ranked[0]).partition(" ")[2]
        return f"All {len(cells)} cells {does}" if len(cells) > 1 else f"The cell {does}"
    parts = [_do(*item) for item in ranked]
    if len(ranked) > MAX_OUTCOMES:
        rest = sum(count for _, count in ranked[MAX_OUTCOMES - 1 :])
        parts = [*parts[: MAX_OUTCOMES - 1], f"{rest} have other outcomes"]
    return f"Of {len(cells)} cells, {join_words(parts)}"


def _do(outcome: str, count: int) -> str:
    """Return `1 learns`, or `2 are symmetric`."""
    word = "of another outcome" if outcome == UNKNOWN else outcome
    return f"{count} {VERBS.get(outcome, (f'is {word}', f'are {word}'))[count > 1]}"


def _describe(cells: Sequence[Cell], axes: tuple[str, str], has_intervals: bool) -> str:
    """Return the caption, with the legend of the letters."""
    outcomes = {commonest(cell)[0] for cell in cells}
    letters = [f"{OUTCOMES[outcome].letter} {outcome}" for outcome in OUTCOMES if outcome in outcomes]
    letters += [f"{UNKNOWN} another"] if UNKNOWN in outcomes else []
    totals = [(commonest(cell)[1], cell.outcomes.total() - cell.outcomes[NOT_RUN]) for cell in cells]
    is_mixed = any(count < total for count, total in totals)
    estimates = [estimate(cell.finished, TEST_ACCURACY) for cell in cells]
    parts = [
        f"Test accuracy in percent after the last step, {describe_units(cells)}",
        explain_intervals(estimates, digits=1) if has_intervals else "",
        f"letters: {', '.join(letters)}" if letters else "",
        "2/3: two of three runs have this outcome" if is_mixed else "",
        "grey: no finished run" if not all(cell.finished for cell in cells) else "",
        describe_fixed(cells, axes),
    ]
    return write_caption(parts)
