"""The map of a sweep: panels over any two keys, and of each metric the colours and texts of the cells' tiles."""

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any

from zeroinit.probes.metrics import find_metric
from zeroinit.report.cells import (
    OUTCOMES,
    Cell,
    commonest,
    independent_keys,
    is_number,
    naming_keys,
    sort_values,
)
from zeroinit.report.page.charts import ColumnPool
from zeroinit.report.page.metrics import DetailLevel, format_estimate, format_value, list_halves
from zeroinit.report.statistics import Estimate, is_share
from zeroinit.report.views.colours import CIVIDIS, EMPTY, interpolate, is_dark
from zeroinit.report.views.curves import name_metric
from zeroinit.report.views.map import count_outcomes, letter_of, make_map, mark_tiles
from zeroinit.report.views.panels import arrange_panels, describe_units, elide, write_caption
from zeroinit.report.views.view import SCALE_DIGITS, Scale, spread_evenly
from zeroinit.tracker import TEST_ACCURACY

if TYPE_CHECKING:
    from zeroinit.report.page.content import Content

MAX_AXES = 6  # keys that may be an axis
MIN_SPAN = 1e-9  # of the values of a metric, relative to the highest; closer values have one colour
LOG_RATIO = 1000  # a range with a larger ratio has a logarithmic scale
OUTCOME = "outcome"


def describe_map(content: "Content", level: DetailLevel, pool: ColumnPool) -> dict[str, Any]:
    """Return the axes, the panels for each pair of axes, and the paint of each metric."""
    cells = content.cells
    params = [cell.params for cell in cells]
    independent = independent_keys(params, naming_keys(cells))
    axes = independent[:MAX_AXES]
    values = {key: sort_values(cell.get(key, "") for cell in params) for key in axes}
    metrics = dict.fromkeys(name for of_cell in content.finals for name in of_cell)
    units = describe_units(cells)
    paints = {OUTCOME: _paint_outcomes(cells, pool)}
    for metric in [name for name in dict.fromkeys([TEST_ACCURACY, *metrics]) if name in metrics][: level.metrics]:
        paints[metric] = _paint_metric(cells, content.finals, metric, units, pool)
    pairs = [("", ""), *((key, "") for key in axes), *(("", key) for key in axes), *permutations(axes, 2)]
    return {
        "axes": {key: _describe_axis(key, values[key], params, pool) for key in axes},
        "no_axis": {
            "x": (none := vars(Scale("", "band", [""], "text"))),
            "y": none,
            "column": pool.add([""] * len(cells)),
        },
        "panels": {f"{x} {y}": _arrange(params, independent, (x, y), pool) for x, y in pairs},
        "default": dict(zip(("x", "y"), _choose_axes(values), strict=True)),
        "paints": paints,
        "marks": [vars(mark) for mark in mark_tiles("value", "has_value")],
        "title": make_map(cells).title,
        "letters": _explain_letters(cells),
    }


def _choose_axes(values: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the two keys with the most values: numbers go along, names go down."""
    first, second = [*sorted(values, key=lambda key: -len(values[key])), "", ""][:2]
    if second and not all(map(is_number, values[first])) and all(map(is_number, values[second])):
        return second, first
    return first, second


def _describe_axis(
    key: str, values: Sequence[str], params: Sequence[Mapping[str, str]], pool: ColumnPool
) -> dict[str, Any]:
    """Return the scales of a key, and the column with its value of each cell; a cell that lacks the key has `none`."""
    labels = [elide(value) or "none" for value in values]
    is_up = all(map(is_number, values))  # numbers grow upwards, names go down
    return {
        "x": vars(Scale(key, "band", values, "text", labels=labels)),
        "y": vars(Scale(key, "band", values, "text", labels=labels, reverse=not is_up)),
        "column": pool.add([cell.get(key, "") for cell in params]),
    }


def _arrange(
    params: Sequence[Mapping[str, str]], keys: Sequence[str], pair: tuple[str, str], pool: ColumnPool
) -> dict[str, Any]:
    """Return the panels for the keys that are no axis."""
    panels = arrange_panels(params, [key for key in keys if key not in pair])
    return {
        "rows": vars(panels.rows) if panels.rows else None,
        "columns": vars(panels.columns) if panels.columns else None,
        "row": pool.add(panels.row_of),
        "column": pool.add(panels.column_of),
    }


def _paint_metric(
    cells: Sequence[Cell], finals: Sequence[Mapping[str, Estimate]], metric: str, units: str, pool: ColumnPool
) -> dict[str, Any]:
    """Return the colours, texts and labels of the tiles for a metric."""
    results = [of_cell.get(metric) for of_cell in finals]
    values = [result.mean if result and math.isfinite(result.mean) else None for result in results]
    scale = _scale_values(metric, [value for value in values if value is not None])
    texts = [format_value(metric, math.nan if value is None else value).removesuffix("%") for value in values]
    labels = [
        f"{format_estimate(metric, result)} (n = {result.n})" if result and result.n else "no value"
        for result in results
    ]
    colours = [_colour_of(scale, value) if value is not None else EMPTY for value in values]
    declared = find_metric(metric)
    unit = f", {declared.unit}" if declared and declared.unit and not is_share(metric) else ""
    unit = " in percent" if is_share(metric) else unit
    name = name_metric(metric)
    return _paint(name, scale, values, texts, labels, colours, cells, pool) | {
        "caption": write_caption([f"{name[0].upper()}{name[1:]}{unit} after the last step, {units}"]),
        "estimates": pool.add([format_estimate(metric, result) if result else "" for result in results]),
        "halves": pool.add(list_halves(results)),
        "means": pool.add([None if value is None else float(f"{value:.6g}") for value in values]),
    }


def _paint_outcomes(cells: Sequence[Cell], pool: ColumnPool) -> dict[str, Any]:
    """Return the colours, texts and labels of the tiles for the outcome."""
    words = [commonest(cell)[0] for cell in cells]
    known = [word for word in OUTCOMES if word in words]
    scale = Scale(OUTCOME, "category", known, "text", colours=[OUTCOMES[word].colour for word in known], labels=known)
    values = [word if word in OUTCOMES else None for word in words]
    colours = [OUTCOMES[word].colour if word in OUTCOMES else EMPTY for word in words]
    counts = [f"{commonest(cell)[1]}/{cell.outcomes.total()}" for cell in cells]
    paint = _paint(OUTCOME, scale, values, counts, list(map(count_outcomes, cells)), colours, cells, pool)
    caption = "Outcome of the runs; of a cell with several, the most frequent, with the number of its runs."
    return paint | {"caption": caption}


def _paint(
    label: str,
    scale: Scale,
    values: Sequence[float | str | None],
    texts: Sequence[str],
    labels: Sequence[str],
    colours: Sequence[str],
    cells: Sequence[Cell],
    pool: ColumnPool,
) -> dict[str, Any]:
    """Return the columns of the tiles; a text is below the letter of the outcome."""
    letters, counted = map(letter_of, cells), list(map(count_outcomes, cells))
    tips = [f"{text}; {counts}" for text, counts in zip(labels, counted, strict=True)]
    are_dark = [is_dark(colour) for colour in colours]
    frame: dict[str, Sequence[Any]] = {
        "value": [float(f"{value:.{SCALE_DIGITS}g}") if isinstance(value, float) else value for value in values],
        "text": [f"{text}\n{letter}".strip() for text, letter in zip(texts, letters, strict=True)],
        "tip": labels if label == OUTCOME else tips,
        "has_value": [value is not None for value in values],
        "is_empty": [value is None for value in values],
        "is_dark": are_dark,
        "is_bright": [not dark for dark in are_dark],
    }
    return {
        "label": label,
        "colour": vars(scale),
        "frame": {name: pool.add(column) for name, column in frame.items()},
    }


def _explain_letters(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Return (letter, outcome) of the outcomes of these cells."""
    words = {commonest(cell)[0] for cell in cells}
    return [(style.letter, word) for word, style in OUTCOMES.items() if word in words]


def _scale_values(metric: str, values: Sequence[float]) -> Scale:
    """Return the colour scale of a metric: from 0 to 1 for an accuracy, else over the values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if metric.endswith("accuracy"):
        low, high = 0.0, 1.0
    count = len(CIVIDIS) - 1
    if low > 0 and high / low > LOG_RATIO:
        domain = [float(f"{low * (high / low) ** (index / count):.4g}") for index in range(count + 1)]
        ticks = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    else:
        high = high if high - low > MIN_SPAN * abs(high) else low + max(1, MIN_SPAN * abs(low))
        decimals = 4 - math.floor(math.log10(high - low))  # so that close bounds stay apart
        domain = [round(value, decimals) for value in spread_evenly(low, high, count + 1)]
        ticks = [low, (low + high) / 2, high]
    shown = "percent" if is_share(metric) else "number"
    return Scale(
        name_metric(metric),
        "sequential",
        domain,
        shown,  # type: ignore[arg-type]
        colours=CIVIDIS,
        ticks=ticks,
        labels=[format_value(metric, tick) for tick in ticks],
    )


def _colour_of(scale: Scale, value: float) -> str:
    """Return the colour of a value of a sequential scale."""
    domain, colours = scale.domain, scale.colours
    index = max(0, min(len(domain) - 2, sum(value > bound for bound in domain[1:])))
    share = (value - domain[index]) / (domain[index + 1] - domain[index])
    return interpolate(colours[index : index + 2], share)
