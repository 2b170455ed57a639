"""The map of a sweep: the score of each cell as colour and its outcome as a letter, over any two keys."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from zeroinit.report.cells import (
    NOT_RUN,
    OUTCOMES,
    Cell,
    commonest,
    independent_keys,
    is_number,
    join_words,
    list_scores,
    naming_keys,
    sort_values,
)
from zeroinit.report.statistics import Estimate, estimate, explain_intervals, is_share
from zeroinit.report.views.colours import CIVIDIS, EMPTY, interpolate, is_dark
from zeroinit.report.views.metrics import describe_metric, format_value, name_metric
from zeroinit.report.views.panels import (
    Panels,
    arrange_panels,
    describe_fixed,
    describe_units,
    elide,
    write_caption,
)
from zeroinit.report.views.view import Format, Mark, Scale, View, spread_evenly
from zeroinit.tracker.scores import SCORES

MAX_WIDE_TILES = 8  # side by side, which have room for intervals
MAX_OUTCOMES = 4  # that a title counts
UNKNOWN = "?"  # the letter of an outcome that OUTCOMES lacks
MIXED = "mixed"  # of a title: the runs of a cell have several outcomes
OUTCOME = "outcome"
MIN_SPAN = 1e-9  # of the values of a metric, relative to the highest; closer values have one colour
LOG_RATIO = 1000  # a range with a larger ratio has a logarithmic scale
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
    MIXED: ("is mixed", "are mixed"),
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
    """Return the map of the cells. If some have accuracy and others R², the latter have an outcome alone.

    Args:
        cells: The cells.
        x: The key along the map; empty to choose it.
        y: The key up the map; empty to choose it.
    """
    first, second = choose_axes(cells)
    x = x or (first if first != y else second)
    y = y or (second if second != x else first)
    scales = scale_axis(cells, x), scale_axis(cells, y, is_vertical=True)
    panels = arrange_map(cells, (x, y))
    tiles_across = len(scales[0].domain) * (len(panels.columns.values) if panels.columns else 1)
    score, *others = list_scores(cells)
    results = [None if cell.score in others else estimate(cell.finished, score.test) for cell in cells]
    painting = paint_metric(cells, results, score.test, describe_units(cells), tiles_across <= MAX_WIDE_TILES)
    places = {"row": panels.row_of, "column": panels.column_of}
    places |= {axis: [cell.params.get(key, "") for cell in cells] for axis, key in (("x", x), ("y", y))}
    frame = pd.DataFrame({**places, **painting.columns})
    without = [f"grey: the score is {other.label}" for other in others]
    parts = [painting.caption, *_explain_tiles(cells), *without, describe_fixed(cells, (x, y))]
    title, caption = find_map_title(cells), write_caption(parts)
    return View("map", title, caption, frame, *scales, mark_tiles(1), painting.scale, panels.rows, panels.columns)


def scale_axis(cells: Sequence[Cell], key: str, is_vertical: bool = False) -> Scale:
    """Return the scale of a key: vertical, numbers grow upwards and names go down."""
    values = sort_values(cell.params.get(key, "") for cell in cells)
    is_reverse = is_vertical and not all(map(is_number, values))
    return Scale(key, "band", values, "text", labels=[elide(value) or "none" for value in values], reverse=is_reverse)


def arrange_map(cells: Sequence[Cell], axes: tuple[str, str]) -> Panels:
    """Return the panels of a map, for the keys that are no axis."""
    params = [cell.params for cell in cells]
    return arrange_panels(params, [key for key in independent_keys(params, naming_keys(cells)) if key not in axes])


def mark_tiles(width: float = 0) -> list[Mark]:
    """Return the marks of a map: tiles with a colour or without, and their texts in white or in black.

    Args:
        width: The width of the line around a tile.
    """
    tile = {"x": "x", "y": "y"}
    return [
        Mark("tile", tile | {"colour": "value", "tip": "tip"}, where="has_value", width=width),
        Mark("tile", tile | {"tip": "tip"}, where="is_empty", colour=EMPTY, width=width),
        Mark("text", tile | {"text": "text"}, where="is_dark", colour="#FFFFFF"),
        Mark("text", tile | {"text": "text"}, where="is_bright", colour="#000000"),
    ]


class Painting(NamedTuple):
    """The tiles of a map for a metric or for the outcome.

    Attributes:
        label: What is shown.
        scale: The scale of the colours.
        columns: {column of the frame: a value of each cell}.
        caption: What the number on a tile is, without a full stop.
    """

    label: str
    scale: Scale
    columns: dict[str, list[Any]]
    caption: str


def paint_metric(
    cells: Sequence[Cell], results: Sequence[Estimate | None], metric: str, units: str, has_intervals: bool = False
) -> Painting:
    """Return the tiles for the last value of a metric.

    Args:
        cells: The cells.
        results: The estimate of each cell; None without one.
        metric: The metric.
        units: What the means are over, as of `describe_units`.
        has_intervals: Whether the tiles of a score have room for intervals.
    """
    values = [result.mean if result and math.isfinite(result.mean) else None for result in results]
    scale = scale_values(metric, [value for value in values if value is not None])
    tips = [f"{result.format(metric)} (n = {result.n})" if result and result.n else "no value" for result in results]
    tips = [f"{tip}; {count_outcomes(cell)}" for tip, cell in zip(tips, cells, strict=True)]
    texts = ["" if value is None else format_value(metric, value).removesuffix("%") for value in values]
    if has_intervals:
        texts = [
            result.percent(digits=1, sign="") if text and result else text
            for result, text in zip(results, texts, strict=True)
        ]
    shares = np.interp(np.array(values, float), scale.domain, np.linspace(0, 1, len(scale.domain))).tolist()
    colours = [
        "" if value is None else interpolate(scale.colours, share) for value, share in zip(values, shares, strict=True)
    ]
    known = [result for result in results if result]
    is_below = is_share(metric) and any(value < 0 for value in values if value is not None)
    parts = [
        f"{describe_metric(metric, cells)} after the last step, {units}",
        explain_intervals(known, digits=1) if has_intervals else "",
        "values below 0 have the colour of 0" if is_below else "",
    ]
    columns = _paint_tiles(cells, values, texts, colours) | {"tip": tips}
    return Painting(name_metric(metric), scale, columns, "; ".join(part for part in parts if part))


def paint_outcomes(cells: Sequence[Cell]) -> Painting:
    """Return the tiles for the outcome."""
    words = [commonest(cell)[0] for cell in cells]
    known = [word for word in OUTCOMES if word in words]
    colours = [OUTCOMES[word].colour for word in known]
    scale = Scale(OUTCOME, "category", known, "text", colours=colours, labels=known)
    values = [word if word in OUTCOMES else None for word in words]
    of_cells = [OUTCOMES[word].colour if word else "" for word in values]
    columns = _paint_tiles(cells, values, [""] * len(cells), of_cells) | {"tip": list(map(count_outcomes, cells))}
    return Painting(OUTCOME, scale, columns, "Outcome of the runs; of a cell with several, the most frequent")


def _paint_tiles(
    cells: Sequence[Cell], values: Sequence[float | str | None], texts: Sequence[str], colours: Sequence[str]
) -> dict[str, list[Any]]:
    """Return the columns of tiles with these values, texts and colours; a tile without a value has no colour."""
    letters = map(_letter_of, cells)
    are_known = [value is not None for value in values]
    are_dark = [bool(colour) and is_dark(colour) for colour in colours]
    return {
        "value": list(values),
        "text": [f"{text}\n{letter}".strip() or "\N{EN DASH}" for text, letter in zip(texts, letters, strict=True)],
        "has_value": are_known,
        "is_empty": [not known for known in are_known],
        "is_dark": are_dark,
        "is_bright": [not dark for dark in are_dark],
    }


def scale_values(metric: str, values: Sequence[float]) -> Scale:
    """Return the colours of a metric: from 0 to 1 for a score, else over the values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    count, labels = len(CIVIDIS), []
    if metric.endswith(tuple(score.name for score in SCORES)):
        domain, ticks = spread_evenly(0, 1, count), [0, 0.25, 0.5, 0.75, 1]
    elif low > 0 and high / low > LOG_RATIO:
        domain = [float(f"{low * (high / low) ** (index / (count - 1)):.4g}") for index in range(count)]
        ticks = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    else:
        high = high if high - low > MIN_SPAN * abs(high) else low + max(1, MIN_SPAN * abs(low))
        decimals = 4 - math.floor(math.log10(high - low))  # so that close bounds stay apart
        domain = [round(value, decimals) for value in spread_evenly(low, high, count)]
        ticks = [low, (low + high) / 2, high]
        labels = [format_value(metric, tick) for tick in ticks]
    form: Format = "percent" if is_share(metric) else "number"
    return Scale(name_metric(metric), "sequential", domain, form, colours=CIVIDIS, ticks=ticks, labels=labels)


def _letter_of(cell: Cell) -> str:
    """Return the letter of the cell's most frequent outcome, `L 2/3` if not all runs have it; empty without a run."""
    outcome, count = commonest(cell)
    if outcome == NOT_RUN:
        return ""
    letter = OUTCOMES[outcome].letter if outcome in OUTCOMES else UNKNOWN
    return f"{letter} {count}/{_count_runs(cell)}" if is_mixed(cell) else letter


def _count_runs(cell: Cell) -> int:
    """Return the number of runs of the cell that were started."""
    return cell.outcomes.total() - cell.outcomes[NOT_RUN]


def is_mixed(cell: Cell) -> bool:
    """Return whether the runs of the cell have several outcomes."""
    return commonest(cell)[1] < _count_runs(cell)


def count_outcomes(cell: Cell) -> str:
    """Return `2 learned, 1 symmetric`."""
    return ", ".join(f"{count} {word}" for word, count in cell.outcomes.most_common() if count)


def find_map_title(cells: Sequence[Cell]) -> str:
    """Return how many cells have which outcome; a cell whose runs have several outcomes counts as mixed."""
    outcomes = Counter(MIXED if is_mixed(cell) else commonest(cell)[0] for cell in cells)
    ranked = outcomes.most_common()
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


def explain_letters(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Return (letter, outcome) of the outcomes on the tiles."""
    words = {commonest(cell)[0] for cell in cells}
    letters = [(style.letter, word) for word, style in OUTCOMES.items() if word in words]
    return letters + ([(UNKNOWN, "another")] if UNKNOWN in words else [])


def _explain_tiles(cells: Sequence[Cell]) -> list[str]:
    """Return the parts of a caption on the letters and on what is grey."""
    letters = ", ".join(f"{letter} {word}" for letter, word in explain_letters(cells))
    return [
        f"letters: {letters}" if letters else "",
        explain_mixed(cells),
        "grey: no finished run" if not all(cell.finished for cell in cells) else "",
    ]


def explain_mixed(cells: Sequence[Cell]) -> str:
    """Return what the fraction beside a letter is; empty if no cell has one."""
    is_shown = any(map(is_mixed, cells))
    return "2/3: two of three runs have this outcome, and the title counts the cell as mixed" if is_shown else ""
