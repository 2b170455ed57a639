"""The map as a reader of the page sees it: any two keys as its axes, and any metric as its colours."""

from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any

from zeroinit.report.cells import Cell, independent_keys, list_scores, naming_keys
from zeroinit.report.page.charts import ColumnPool
from zeroinit.report.page.metrics import DetailLevel, list_halves, round_number
from zeroinit.report.views.map import (
    OUTCOME,
    Painting,
    arrange_map,
    choose_axes,
    explain_letters,
    explain_mixed,
    find_map_title,
    mark_tiles,
    paint_metric,
    paint_outcomes,
    scale_axis,
)
from zeroinit.report.views.panels import describe_units, write_caption
from zeroinit.report.views.view import SCALE_DIGITS, Scale

if TYPE_CHECKING:
    from zeroinit.report.page.content import Content

MAX_AXES = 6  # keys that may be an axis


def describe_map(content: "Content", level: DetailLevel, pool: ColumnPool) -> dict[str, Any]:
    """Return the axes, the panels for each pair of axes, and the paint of each metric."""
    cells = content.cells
    axes = independent_keys([cell.params for cell in cells], naming_keys(cells))[:MAX_AXES]
    pairs = [("", ""), *((key, "") for key in axes), *(("", key) for key in axes), *permutations(axes, 2)]
    chosen = [key if key in axes else "" for key in choose_axes(cells)]
    no_axis = Scale("", "band", [""], "text").to_data()
    return {
        "axes": {key: _describe_axis(cells, key, pool) for key in axes},
        "no_axis": {"x": no_axis, "y": no_axis, "column": pool.add([""] * len(cells))},
        "panels": {f"{x} {y}": _describe_panels(cells, (x, y), pool) for x, y in pairs},
        "default": dict(zip(("x", "y"), chosen, strict=True)),
        "paints": _describe_paints(content, level, pool),
        "marks": [vars(mark) for mark in mark_tiles()],
        "title": find_map_title(cells),
        "letters": explain_letters(cells),
    }


def _describe_axis(cells: Sequence[Cell], key: str, pool: ColumnPool) -> dict[str, Any]:
    """Return the scales of a key, and the column with its value of each cell."""
    scales = {"x": scale_axis(cells, key).to_data(), "y": scale_axis(cells, key, is_vertical=True).to_data()}
    return scales | {"column": pool.add([cell.params.get(key, "") for cell in cells])}


def _describe_panels(cells: Sequence[Cell], axes: tuple[str, str], pool: ColumnPool) -> dict[str, Any]:
    """Return the panels for the keys that are no axis."""
    panels = arrange_map(cells, axes)
    return {
        "rows": vars(panels.rows) if panels.rows else None,
        "columns": vars(panels.columns) if panels.columns else None,
        "row": pool.add(panels.row_of),
        "column": pool.add(panels.column_of),
    }


def _describe_paints(content: "Content", level: DetailLevel, pool: ColumnPool) -> dict[str, Any]:
    """Return the tiles of the outcome and of each metric, with the columns that the table shows of a metric."""
    cells, finals = content.cells, content.finals
    known = dict.fromkeys(name for of_cell in finals for name in of_cell)
    ordered = [name for name in dict.fromkeys([*(score.test for score in list_scores(cells)), *known]) if name in known]
    units = describe_units(cells)
    paints = {OUTCOME: _describe_painting(paint_outcomes(cells), cells, pool)}
    for metric in ordered[: level.metrics]:
        results = [of_cell.get(metric) for of_cell in finals]
        paints[metric] = _describe_painting(paint_metric(cells, results, metric, units), cells, pool) | {
            "estimates": pool.add([result.format(metric) if result else "" for result in results]),
            "halves": pool.add(list_halves(results)),
            "means": pool.add([round_number(result.mean, 6) if result else None for result in results]),
        }
    return paints


def _describe_painting(painting: Painting, cells: Sequence[Cell], pool: ColumnPool) -> dict[str, Any]:
    """Return the tiles as the page stores them."""
    columns = dict(painting.columns)
    columns["value"] = [
        round_number(value, SCALE_DIGITS) if isinstance(value, float) else value for value in columns["value"]
    ]
    return {
        "label": painting.label,
        "colour": painting.scale.to_data(),
        "frame": {name: pool.add(column) for name, column in columns.items()},
        "caption": write_caption([painting.caption, explain_mixed(cells)]),
    }
