"""The metrics that the page shows, the texts of their values, and how many numbers there is room for."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zeroinit.probes.metrics import EVALUATIONS, find_metric
from zeroinit.report.cells import Cell, list_runs
from zeroinit.report.comparisons import Difference
from zeroinit.report.histories import metrics_of
from zeroinit.report.statistics import Estimate, estimate, init_draws
from zeroinit.tracker import Record

OVERFLOW = 1e300  # the size from which a value counts as infinite


class DetailLevel(NamedTuple):
    """How much of each cell the page shows, at most."""

    steps: int  # of its histograms
    points: int  # of each of its curves
    has_seeds: bool  # whether the chart of all inits has a line for each run, too
    runs: int  # that the table lists
    metrics: int | None  # that the map can show; None for all


def curve_metrics(records: Sequence[Record]) -> list[str]:
    """Return the metrics of the records that have a curve, which must be loaded at every step."""
    names = metrics_of(records)
    ordered = dict.fromkeys([*(metric.name for metric in EVALUATIONS if metric.name in names), *names])
    return [name for name in ordered if (metric := find_metric(name)) and metric.has_curve]


def evaluation_metrics(records: Sequence[Record]) -> dict[str, str]:
    """Return {metric of whole networks that has a curve: its description}: those that each run has, then the user's."""
    names = [name for name in curve_metrics(records) if name.partition("/")[0] in ("test", "train")]
    return {name: metric.description for name in names if (metric := find_metric(name))}


def layer_metrics(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return {declared metric of layers, such as `symmetry/{layer}/distinct`: its names} of those that have curves."""
    names: dict[str, list[str]] = {}
    for name in curve_metrics(records):
        if (metric := find_metric(name)) and metric.layer_of(name):
            names.setdefault(metric.name, []).append(name)
    return names


def final_values(cell: Cell) -> dict[str, Estimate]:
    """Return {metric: the estimate of its last value over the runs that have it}; test metrics first."""
    draws, finals = init_draws(cell.finished), {}
    for name in sorted(metrics_of(cell.finished), key=lambda name: (not name.startswith("test/"), name)):
        finals[name] = estimate([record for record in cell.finished if name in record.histories], name, draws)
    return finals


def remove_overflow(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with NaN in place of each overflowed value: MLflow stores infinity as the largest float."""
    histories = (history for cell in cells for record in list_runs(cell) for history in record.histories.values())
    if not any(map(OVERFLOW.__le__, map(abs, chain.from_iterable(history.values() for history in histories)))):
        return list(cells)
    records: dict[int, Record] = {}  # by the ID of the stored one, which both lists of a cell may have

    def clean(record: Record) -> Record:
        values = [value for of_metric in record.histories.values() for value in of_metric.values()]
        if not any(map(OVERFLOW.__le__, map(abs, values))):
            return record
        if id(record) not in records:
            metrics = [
                (name, math.nan if abs(value) >= OVERFLOW else value, step) for name, value, step in record.metrics
            ]
            records[id(record)] = replace(record, metrics=metrics)
        return records[id(record)]

    return [replace(cell, finished=[*map(clean, cell.finished)], newest=[*map(clean, cell.newest)]) for cell in cells]


def list_halves(results: Sequence[Estimate | Difference | None]) -> list[float | None]:
    """Return the half width of each interval; None without one."""
    return [round_number(result.half, 6) if result and result.has_interval else None for result in results]


def round_number(value: ArrayLike, digits: int) -> float | None:
    """Return the number with these significant digits; None, which is null in JSON, if it is not finite."""
    number = float(np.asarray(value))
    return float(f"{number:.{digits}g}") if math.isfinite(number) else None
