"""The table of a page: a row for each cell or for each run, with texts to show and numbers to sort by."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zeroinit.report.cells import (
    NOT_RUN,
    Cell,
    independent_keys,
    is_number,
    list_runs,
    list_scores,
    naming_keys,
    outcome_of,
    sort_values,
)
from zeroinit.report.page.charts import ColumnPool
from zeroinit.report.page.metrics import DetailLevel, list_halves
from zeroinit.report.tables import mark_n
from zeroinit.report.views.metrics import format_value
from zeroinit.tracker import TEST_LOSS, Record
from zeroinit.tracker.tags import Tag

if TYPE_CHECKING:
    from zeroinit.report.page.content import Content


def describe_table(content: "Content", level: DetailLevel, pool: ColumnPool) -> dict[str, Any]:
    """Return the columns of the table of cells and of that of runs. A column is (name, texts, sort keys)."""
    cells = content.cells
    keys = naming_keys(cells)
    differing = [key for key in keys if len({cell.params.get(key) for cell in cells}) > 1] or keys[:2]
    return {
        "metrics": [
            *(score.test for score in list_scores(cells)),
            TEST_LOSS,
        ],  # of those of the map, the metrics that have a column of their own
        "cells": _describe_cell_columns(content, differing, pool),
        "runs": _describe_run_columns(content, differing, level.runs, pool),
    }


def _describe_cell_columns(content: "Content", keys: Sequence[str], pool: ColumnPool) -> list[dict[str, Any]]:
    """Return the columns of the table of cells."""
    rows, cells = content.rows, content.cells
    columns = _describe_keys(keys, cells, cells, pool)
    counts = [mark_n(row.result.n, row.counted) for row in rows]
    columns.append(_column("n", counts, [row.result.n for row in rows], pool))
    results = [content.format_result(row) for row in rows]
    halves = list_halves([row.result for row in rows])
    columns.append(_column(f"test {content.score}", results, [row.result.mean for row in rows], pool, halves))
    if any(row.difference for row in rows):
        texts = [_minus(row.difference.format()) if row.difference else "" for row in rows]
        means = [row.difference.mean if row.difference else math.nan for row in rows]
        halves = list_halves([row.difference for row in rows])
        columns.append(_column(f"minus {content.manifest.baseline}", texts, means, pool, halves))
    losses = [format_value(TEST_LOSS, row.loss) for row in rows]
    columns.append(_column("test loss", losses, [row.loss for row in rows], pool))
    columns.append(_sort_texts("outcome", [row.outcomes for row in rows], pool))
    return columns


def _describe_keys(
    keys: Sequence[str], rows: Sequence[Cell], cells: Sequence[Cell], pool: ColumnPool
) -> list[dict[str, Any]]:
    """Return the columns of the keys; a key that another determines is shown on demand only.

    Args:
        keys: The keys.
        rows: The cell of each row.
        cells: All cells.
        pool: Where the columns are.
    """
    independent = independent_keys([cell.params for cell in cells], keys) or keys
    columns = []
    for key in keys:
        column = _sort_texts(key, [cell.params.get(key, "") for cell in rows], pool)
        columns.append(column | {"is_key": True, "is_extra": key not in independent})
    return columns


def _describe_run_columns(content: "Content", keys: Sequence[str], most: int, pool: ColumnPool) -> dict[str, Any]:
    """Return the columns of the table of runs, the cell of each run, and its ID and link."""
    runs = [(index, record) for index, cell in enumerate(content.cells) for record in sort_runs(cell)[:most]]
    cells = content.cells
    columns = _describe_keys(keys, [cells[index] for index, _ in runs], cells, pool)
    seeds = [record.params["seeds.init"] for _, record in runs]
    columns.append(_sort_texts("seed", seeds, pool))
    scores = [record.score.test for _, record in runs]
    for name, metrics in ((f"test {content.score}", scores), ("test loss", [TEST_LOSS] * len(runs))):
        values = [record.last(metric) for metric, (_, record) in zip(metrics, runs, strict=True)]
        texts = [format_value(metric, value) for metric, value in zip(metrics, values, strict=True)]
        columns.append(_column(name, texts, values, pool))
    differences = _subtract_baselines(content, runs)
    if any(not math.isnan(value) for value in differences):
        texts = ["" if math.isnan(value) else _minus(f"{value:+.2f}") for value in differences]
        columns.append(_column(f"minus {content.manifest.baseline}", texts, differences, pool))
    columns.append(_sort_texts("outcome", [outcome_of(record) for _, record in runs], pool))
    columns.append(_sort_texts("reason", [reason_of(record) for _, record in runs], pool) | {"is_extra": True})
    return {
        "columns": columns,
        "cell": pool.add([index for index, _ in runs]),
        "run_id": pool.add([record.run_id for _, record in runs]),
        "left_out": sum(cell.outcomes[NOT_RUN] + len(list_runs(cell)) for cell in cells) - len(runs),
    }


def sort_runs(cell: Cell) -> list[Record]:
    """Return the runs of a cell by seed."""
    return sorted(list_runs(cell), key=lambda record: int(record.params["seeds.init"]))


def reason_of(record: Record) -> str:
    """Return why the run has its outcome."""
    outcome = outcome_of(record)
    return record.tags.get(Tag.OUTCOME_REASON if outcome == record.tags.get(Tag.OUTCOME) else Tag.ERROR, "")


def _subtract_baselines(content: "Content", runs: Sequence[tuple[int, Record]]) -> list[float]:
    """Return of each run its score minus that of the baseline with the same seeds, in percentage points, or NaN."""
    differences = []
    by_baseline: dict[int, dict[Any, float]] = {}
    for index, record in runs:
        baseline = content.comparisons[index].baseline
        if baseline and id(baseline) not in by_baseline:
            values = {other.seeds: other.last(other.score.test) for other in baseline.finished}
            by_baseline[id(baseline)] = values
        value = by_baseline[id(baseline)].get(record.seeds, math.nan) if baseline else math.nan
        differences.append(100 * (record.last(record.score.test) - value))
    return differences


def _column(
    name: str,
    texts: Sequence[str],
    numbers: Sequence[float],
    pool: ColumnPool,
    halves: Sequence[float | None] = (),
) -> dict[str, Any]:
    """Return a column of numbers; `interval` has the half widths of their intervals, if any has one."""
    order = [float(f"{number:.6g}") if math.isfinite(number) else None for number in numbers]
    column = {"name": name, "is_number": True, "texts": pool.add(texts), "order": pool.add(order)}
    return column | ({"interval": pool.add(halves)} if any(half is not None for half in halves) else {})


def _sort_texts(name: str, texts: Sequence[str], pool: ColumnPool) -> dict[str, Any]:
    """Return a column of texts: numbers are sorted by size, others by the alphabet, and empty ones are last."""
    known = {*texts} - {""}
    ordered = sort_values(known) if all(map(is_number, known)) else sorted(known)
    ranks = {text: rank for rank, text in enumerate(ordered)}
    order = [ranks.get(text) for text in texts]
    return {"name": name, "is_number": False, "texts": pool.add(texts), "order": pool.add(order)}


def _minus(text: str) -> str:
    """Return the text with a typographic minus."""
    return text.replace("-", "\N{MINUS SIGN}")
