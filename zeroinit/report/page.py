"""The page of a sweep: one HTML file that contains its data and its scripts, and loads nothing."""

import base64
import gzip
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zeroinit.probes.metrics import EVALUATIONS, find_metric
from zeroinit.report.cells import (
    NOT_RUN,
    OUTCOMES,
    Cell,
    commonest,
    independent_keys,
    naming_keys,
    outcome_of,
    sort_values,
)
from zeroinit.report.histories import (
    EXPONENTS,
    GradientHistograms,
    History,
    average_history,
    bin_range,
    first_gradients,
    limit_layers,
    space_evenly,
    theoretical_first_gradients,
    thin_steps,
)
from zeroinit.report.judgements import Judgement, judge
from zeroinit.report.manifest import Manifest, training_commands
from zeroinit.report.statistics import estimate, init_draws, is_share
from zeroinit.report.tables import CellRow, caption, explain_marks, mark_n, summarize_cells
from zeroinit.tracker import TEST_ACCURACY, Record
from zeroinit.tracker.tags import Tag


class DetailLevel(NamedTuple):
    """How much of each cell the page shows, at most."""

    steps: int  # of its histograms
    points: int  # of each of its curves
    runs: int  # whose outcome has a reason
    metrics: int | None  # that the map can show; None for all


TEMPLATE = Path(__file__).parent / "template"
MAX_PAGE_BYTES = 1_900_000
DETAIL_LEVELS = (  # the first level that fits into MAX_PAGE_BYTES is used
    DetailLevel(40, 50, 20, None),
    DetailLevel(20, 25, 10, None),
    DetailLevel(10, 25, 5, None),
    DetailLevel(0, 25, 5, None),
    DetailLevel(0, 10, 1, None),
    DetailLevel(0, 0, 1, 20),
)
MAX_HISTOGRAM_NUMBERS = 8_000_000  # in all histograms; more take long to compress, and do not fit
# outcomes of runs that have no number at their end
OUTCOMES_WITHOUT_RESULT = ("failed", "killed", "running", "incomplete", NOT_RUN, "diverged")
MAX_LAYERS = 16  # layers that have histograms and curves


def curve_metrics(records: Sequence[Record]) -> list[str]:
    """Return the metrics of the records that have a curve, which must be loaded at every step."""
    names = dict.fromkeys(name for record in records for name, _, _ in record.metrics)
    names = {metric.name: None for metric in EVALUATIONS if metric.name in names} | names
    return [name for name in names if (metric := find_metric(name)) and metric.has_curve]


@dataclass(frozen=True)
class CellView:
    """A cell with all that the page may show of it."""

    cell: Cell
    last: dict[str, list[float | int | str | None]]  # by metric: the last mean, n, and the text beside the mean
    curves: dict[str, History]  # by metric
    histograms: GradientHistograms | None  # of MAX_LAYERS layers at most
    layer_count: int  # how many layers its nets have


def render_page(
    name: str,
    manifest: Manifest,
    cells: Sequence[Cell],
    histograms: Sequence[GradientHistograms | None],
    notes: Sequence[str],
) -> bytes:
    """Return the HTML of a sweep, smaller than MAX_PAGE_BYTES for a thousand cells at least.

    The records must have the metrics of `curve_metrics`, and those by which claims are judged, at every step.

    Args:
        name: The sweep's name.
        manifest: What it asks and plans.
        cells: Its cells.
        histograms: The weight gradients of each cell.
        notes: What a reader should know before comparing the cells.
    """
    views = []
    for cell, of_cell in zip(cells, histograms, strict=True):
        histories = ((metric, average_history(cell.finished, metric)) for metric in curve_metrics(cell.finished))
        curves = {metric: history for metric, history in histories if history}
        layers = len(of_cell.layers) if of_cell else 0
        views.append(CellView(cell, _final_values(cell), curves, of_cell and limit_layers(of_cell, MAX_LAYERS), layers))
    entries = sum(_count_numbers(view.histograms) for view in views if view.histograms)
    for level in DETAIL_LEVELS:
        if level.steps * entries > MAX_HISTOGRAM_NUMBERS:
            continue
        page = _fill_template(name, _page_data(name, manifest, views, notes, level))
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _count_numbers(histograms: GradientHistograms) -> int:
    """Return how many numbers the histograms of one step have."""
    first, last = bin_range(histograms)
    return 2 * (last - first) * len(histograms.layers)


def _fill_template(name: str, data: dict[str, Any]) -> bytes:
    """Return the template with the scripts, the styles and the data, which the browser decompresses."""
    page = (TEMPLATE / "page.html").read_text()
    packed = gzip.compress(json.dumps(data, separators=(",", ":"), allow_nan=False).encode(), mtime=0)
    parts = {path.name: path.read_text() for path in TEMPLATE.iterdir() if path.suffix in (".css", ".js")}
    parts |= {"title": html.escape(f"{name} - zeroinit"), "data": base64.b64encode(packed).decode()}
    for key, text in parts.items():
        page = page.replace("{{" + key + "}}", text)
    return page.encode()


def _page_data(
    name: str, manifest: Manifest, views: Sequence[CellView], notes: Sequence[str], level: DetailLevel
) -> dict[str, Any]:
    """Return the data of the page as page.js reads them; numbers that are undefined are null."""
    cells = [view.cell for view in views]
    keys = naming_keys(cells)
    varying = independent_keys([cell.params for cell in cells], keys)
    fixed = [f"{key}={cells[0].params[key]}" for key in keys if len({cell.params.get(key) for cell in cells}) == 1]
    commands, unknown = training_commands(manifest, cells)
    rows, judgements = summarize_cells(cells), judge(manifest.claims, cells)
    marks = explain_marks(rows, judgements)
    return {
        "sweep": name,
        "question": manifest.question or _compose_question(cells, varying),
        "commands": commands,
        "conditions": " ".join([*fixed, caption(cells)]),
        "notes": [*_note_unfinished(cells), *marks, *_note_unknown_commands(unknown), *manifest.notes, *notes],
        "omissions": _describe_omissions(level),
        "claims": [_claim_data(judgement) for judgement in judgements],
        "outcome_colours": {outcome: style.colour for outcome, style in OUTCOMES.items()},
        "metrics": _describe_metrics(views),
        "keys": keys,
        "axes": {key: sort_values(cell.params[key] for cell in cells if key in cell.params) for key in varying},
        "cells": [_cell_data(view, row, level, keys) for view, row in zip(views, rows, strict=True)],
    }


def _describe_metrics(views: Sequence[CellView]) -> dict[str, dict[str, str]]:
    """Return {metric of a cell: its unit and description}, as declared."""
    declared = {name: find_metric(name) for view in views for name in view.last}
    return {
        name: {"unit": metric.unit, "description": metric.description} for name, metric in declared.items() if metric
    }


def _describe_omissions(level: DetailLevel) -> list[str]:
    """Return what the page leaves out to stay small."""
    omissions, full = [], DETAIL_LEVELS[0]
    if level.steps < full.steps:
        omissions.append(f"histograms at {level.steps} steps a cell" if level.steps else "no histograms")
    if level.points < full.points:
        omissions.append(f"curves of {level.points} points" if level.points else "no curves")
    if level.metrics is not None:
        omissions.append(f"{level.metrics} metrics")
    return omissions


def _note_unfinished(cells: Sequence[Cell]) -> list[str]:
    """Return a line on a sweep some of whose runs have no result, because they still train, failed or never ran."""
    planned = sum(cell.outcomes.total() for cell in cells)
    missing = sum(cell.outcomes[outcome] for cell in cells for outcome in OUTCOMES_WITHOUT_RESULT)
    return [f"{planned - missing} of {planned} runs have finished."] if missing else []


def _note_unknown_commands(count: int) -> list[str]:
    """Return a line on the runs that no command on the page trains."""
    runs = "1 run was" if count == 1 else f"{count} runs were"
    return [f"{runs} trained by an earlier command that was not recorded."] if count else []


def _compose_question(cells: Sequence[Cell], varying: Sequence[str]) -> str:
    """Return the question of a grid from the command line."""
    data = " and ".join(sorted({cell.params.get("dataset", "") for cell in cells}))
    if not varying:
        return f"How does one configuration train on {data}?"
    return f"How {'does' if len(varying) == 1 else 'do'} {', '.join(varying)} affect training on {data}?"


def _claim_data(judgement: Judgement) -> dict[str, str | int | float | None]:
    """Return the data of a judgement."""
    columns = judgement.columns()
    data = {key: _round_number(value, 6) if isinstance(value, float) else value for key, value in columns.items()}
    return data | {"n": mark_n(judgement.answer.n, judgement.counted)}


def _cell_data(view: CellView, row: CellRow, level: DetailLevel, keys: Sequence[str]) -> dict[str, Any]:
    """Return the data of a cell."""
    cell = view.cell
    outcome, agreeing = commonest(cell)
    first, theory = first_gradients(cell.finished), theoretical_first_gradients(cell.finished)
    latest = max([0, *theory.values(), *(step for steps in first.values() for step in steps)])
    histograms = view.histograms if level.steps else None
    by_seed = sorted(cell.newest, key=lambda record: int(record.params["seeds.init"]))
    return {
        "params": {key: cell.params[key] for key in keys if key in cell.params},
        "n": row.accuracy.n,
        "marked_n": mark_n(row.accuracy.n, row.counted),
        "accuracy": row.accuracy.percent(digits=1),
        "outcomes": row.outcomes,
        "outcome": next(iter(cell.outcomes), NOT_RUN) if outcome == "?" else outcome,
        "last": dict(list(view.last.items())[: level.metrics]),
        "agreeing": agreeing,
        "runs_planned": cell.outcomes.total(),
        "runs": [_run_data(record) for record in by_seed[: level.runs]],
        "curves": {metric: curve_data(curve, level.points) for metric, curve in view.curves.items() if level.points},
        "first_gradients": {layer: [min(steps), max(steps), len(steps)] for layer, steps in first.items()},
        "first_gradients_predicted": theory,
        "gradients": _histogram_data(histograms, level.steps, latest, view.layer_count) if histograms else None,
    }


def _run_data(record: Record) -> list[Any]:
    """Return seed, accuracy, outcome and its reason."""
    outcome = outcome_of(record)
    reason = record.tags.get(Tag.OUTCOME_REASON if outcome == record.tags.get(Tag.OUTCOME) else Tag.ERROR, "")
    return [record.params["seeds.init"], _round_number(record.last(TEST_ACCURACY), 6), outcome, reason]


def _final_values(cell: Cell) -> dict[str, list[float | int | str | None]]:
    """Return for each metric the mean of its last values, n, and the text beside the mean; test metrics first."""
    names = {id(record): {name for name, _, _ in record.metrics} for record in cell.finished}
    draws, finals = init_draws(cell.finished), {}
    for name in sorted(set().union(*names.values()), key=lambda name: (not name.startswith("test/"), name)):
        records = [record for record in cell.finished if name in names[id(record)]]
        result = estimate(records, name, draws)
        spread = result.percent_spread(digits=1) if is_share(name) else result.spread()
        finals[name] = [_round_number(result.mean, 6), result.n, spread]  # the page shows fewer digits of the mean
    return finals


def curve_data(history: History, points: int) -> list[list[Any]]:
    """Return steps, means, and lower and upper bounds of the band of a metric, at `points` steps at most."""
    indices = space_evenly(len(history.steps), points)
    bands = (_round_numbers(part[indices]) for part in (history.mean, history.lower, history.upper))
    return [history.steps[indices].tolist(), *bands]


def _histogram_data(histograms: GradientHistograms, most: int, latest: int, layer_count: int) -> dict[str, Any]:
    """Return the histograms of each layer at `most` steps at most.

    Each step has the median of log2 |g| over the nonzero entries, the share of exact zeros, and the thousandths of all
    entries in each power of two from `low` on, negative entries first.
    """
    thinned = histograms.at(thin_steps(histograms.steps, most, latest))
    first, last = bin_range(thinned)
    layers = {}
    for layer in thinned.layers:
        entries = thinned.nonzero(layer) + thinned.zeros[layer]
        shares = thinned.counts[layer][:, :, first:last] / np.maximum(entries, 1)[:, None, None]
        # a bin with any entry stays visible, though its share may round to nothing
        thousandths = np.where(shares > 0, np.maximum(1, np.rint(1000 * shares)), 0).astype(int)
        layers[layer] = {
            "median": _round_numbers(thinned.quantiles(layer, [0.5])[:, 0]),
            "zeros": _round_numbers(thinned.zero_share(layer)),
            "shares": thousandths.reshape(len(thousandths), -1).tolist(),
        }
    data = {"steps": thinned.steps.tolist(), "observed": len(histograms.steps), "runs": thinned.runs}
    return data | {"layer_count": layer_count, "low": int(EXPONENTS[first]), "layers": layers}


def _round_number(value: ArrayLike, digits: int) -> float | None:
    """Return the number with these significant digits; None, which is null in JSON, if it is not finite."""
    number = float(np.asarray(value))
    return float(f"{number:.{digits}g}") if math.isfinite(number) else None


def _round_numbers(values: Sequence[float] | np.ndarray[Any, Any]) -> list[float | None]:
    """Return the numbers with four significant digits."""
    return [_round_number(value, 4) for value in values]
