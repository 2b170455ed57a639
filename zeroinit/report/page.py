"""The page of a sweep: one HTML file with its data, its scripts and nothing that it loads."""

import base64
import gzip
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroinit.report.cells import (
    FATES,
    NOT_RUN,
    Cell,
    Row,
    accuracy_of,
    caption,
    columns,
    commonest,
    explain_marks,
    fate_of,
    marked_n,
    ordered,
    rows,
    undecided,
)
from zeroinit.report.claims import judge
from zeroinit.report.histories import EXPONENTS, Course, Gradients, arrivals, course, predicted
from zeroinit.report.manifest import Asked, commands_of
from zeroinit.report.statistics import estimate, init_draws, is_share
from zeroinit.tracker import Record

TEMPLATE = Path(__file__).parent / "template"
LARGEST = 1_900_000  # bytes of the page
# how much of each cell is shown, the most that LARGEST has room for: steps of its histograms, points of its curves,
# runs of which the reason is told, metrics that a map may be of
ROOM = ((40, 50, 20, None), (20, 25, 10, None), (10, 25, 5, None), (0, 25, 5, None), (0, 10, 1, None), (0, 0, 1, 20))
MOST = 8_000_000  # numbers in all histograms
NO_RESULT = (
    "failed",
    "killed",
    "running",
    "incomplete",
    NOT_RUN,
    "diverged",
)  # fates of runs that have no number at their end
CURVES = ("test/accuracy", "train/accuracy", "test/loss", "train/loss")
OF_LAYERS = {  # metrics of each layer that have a curve
    "symmetry": ("distinct", "clusters", "rank"),
    "activation": ("saturated", "dead", "variance"),
    "weight": ("update", "angle"),
}
DEEPEST = 16  # layers that have histograms and curves


def curves_of(records: Sequence[Record]) -> list[str]:
    """The metrics that have a curve, of those that the records have: what is to be recalled."""
    has = dict.fromkeys(name for record in records for name, _, _ in record.metrics)
    found = [name for name in CURVES if name in has]
    for name in has:
        kind, _, rest = name.partition("/")
        if rest.rpartition("/")[2] in OF_LAYERS.get(kind, ()):
            found.append(name)
    return found


@dataclass(frozen=True)
class Shown:
    """A cell with all that the page may show of it."""

    cell: Cell
    last: dict[str, list[float | int | str | None]]
    curves: dict[str, Course]
    watched: Gradients | None
    deep: int  # layers that it has, of which some are shown


def as_html(
    name: str, asked: Asked, found: Sequence[Cell], seen: Sequence[Gradients | None], notes: Sequence[str]
) -> bytes:
    """The HTML of a sweep's cells, with what was seen of each: below LARGEST bytes, of a thousand cells at least.

    The records must have the courses of `curves_of`, and those by which claims are judged.
    """
    shown = []
    for cell, watched in zip(found, seen, strict=True):
        drawn = {metric: drawn for metric in curves_of(cell.finished) if (drawn := course(cell.finished, metric))}
        shown.append(
            Shown(cell, finals(cell), drawn, watched and shallow(watched), len(watched.layers) if watched else 0)
        )
    entries = sum(look(one.watched) for one in shown if one.watched)
    for room in ROOM:
        if room[0] * entries > MOST:  # which takes long to pack, and does not fit
            continue
        made = filled_in(name, data(name, asked, shown, notes, room))
        if len(made) <= LARGEST:
            break
    return made


def look(found: Gradients) -> int:
    """Numbers in the histograms of one step."""
    first, last = used(found)
    return 2 * (last - first) * len(found.layers)


def filled_in(name: str, content: dict[str, Any]) -> bytes:
    """The template with the data, which the browser unpacks, and the scripts in their places."""
    made = (TEMPLATE / "page.html").read_text()
    packed = gzip.compress(json.dumps(content, separators=(",", ":"), allow_nan=False).encode(), mtime=0)
    parts = {path.name: path.read_text() for path in TEMPLATE.iterdir() if path.suffix in (".css", ".js")}
    parts |= {"title": html.escape(f"{name} - zeroinit"), "data": base64.b64encode(packed).decode()}
    for place, text in parts.items():
        made = made.replace("{{" + place + "}}", text)
    return made.encode()


def data(
    name: str, asked: Asked, shown: Sequence[Shown], notes: Sequence[str], room: tuple[int, int, int, int | None]
) -> dict[str, Any]:
    """What the page is made of, as JSON has it: numbers that are undefined are null."""
    found = [one.cell for one in shown]
    keys = columns(found)
    varying = undecided([cell.params for cell in found], keys)
    fixed = [f"{key}={found[0].params[key]}" for key in keys if len({cell.params.get(key) for cell in found}) == 1]
    commands, unknown = commands_of(asked, found)
    lines, judged = rows(found), judge(asked.claims, found)
    counted = explain_marks(str(row["counted"]) for row in (*lines, *judged))
    left_out = []
    if room[0] < ROOM[0][0]:
        left_out.append(f"histograms at {room[0]} steps a cell" if room[0] else "no histograms")
    if room[1] < ROOM[0][1]:
        left_out.append(f"curves of {room[1]} points" if room[1] else "no curves")
    if room[3] is not None:
        left_out.append(f"{room[3]} metrics")
    return {
        "sweep": name,
        "question": asked.question or question(found, varying),
        "commands": commands,
        "conditions": " ".join([*fixed, caption(found)]),
        "notes": [*unfinished(found), *counted, *note_unknown_commands(unknown), *asked.notes, *notes],
        "left_out": left_out,
        "claims": [{key: json_of(value) for key, value in row.items()} | {"n": marked_n(row)} for row in judged],
        "fates": {word: colour for word, (_, colour) in FATES.items()},
        "keys": keys,
        "axes": {key: ordered(cell.params[key] for cell in found if key in cell.params) for key in varying},
        "cells": [of_cell(one, row, room, keys) for one, row in zip(shown, lines, strict=True)],
    }


def unfinished(found: Sequence[Cell]) -> list[str]:
    """A line on a sweep that still trains, was cut short, or of which runs failed."""
    planned = sum(cell.fates.total() for cell in found)
    missing = planned - sum(count for cell in found for fate, count in cell.fates.items() if fate not in NO_RESULT)
    return [f"{planned - missing} of {planned} runs have finished."] if missing else []


def note_unknown_commands(count: int) -> list[str]:
    """A line on runs that no command on the page trains."""
    runs = "1 run was" if count == 1 else f"{count} runs were"
    return [f"{runs} trained by an earlier command that was not recorded."] if count else []


def question(found: Sequence[Cell], varying: Sequence[str]) -> str:
    """What a grid from the command line asks."""
    asked = ", ".join(varying) or "one configuration"
    where = {cell.params.get("dataset", "") for cell in found}
    return f"What becomes of {asked} on {' and '.join(sorted(where))}?"


def of_cell(shown: Shown, row: Row, room: tuple[int, int, int, int | None], keys: Sequence[str]) -> dict[str, Any]:
    cell, (looks, points, told, metrics) = shown.cell, room
    word, agreeing = commonest(cell)
    came, theory = arrivals(cell.finished), predicted(cell.finished)
    latest = max([0, *theory.values(), *(step for steps in came.values() for step in steps)])
    return {
        "params": {key: cell.params[key] for key in keys if key in cell.params},
        "n": row["n"],
        "marked_n": marked_n(row),
        "accuracy": accuracy_of(row).percent(digits=1),
        "became": row["became"],
        "verdict": next(iter(cell.fates), NOT_RUN) if word == "?" else word,
        "last": dict(list(shown.last.items())[:metrics]),
        "agreeing": agreeing,
        "runs_planned": cell.fates.total(),
        "runs": [of_run(record) for record in sorted(cell.newest, key=seed)[:told]],
        "curves": {metric: curve(drawn, points) for metric, drawn in shown.curves.items() if points},
        "arrivals": {layer: [min(steps), max(steps), len(steps)] for layer, steps in came.items()},
        "predicted": theory,
        "gradients": histograms(shown.watched, looks, latest, shown.deep) if shown.watched and looks else None,
    }


def seed(record: Record) -> int:
    return int(record.params["seeds.init"])


def of_run(record: Record) -> list[Any]:
    """Seeds, accuracy, what became of it and why."""
    word = fate_of(record)
    why = record.tags.get("reason" if word == record.tags.get("verdict") else "error", "")
    return [record.params["seeds.init"], number(record.last("test/accuracy"), 6), word, why]


def finals(cell: Cell) -> dict[str, list[float | int | str | None]]:
    """Of each metric the last value: its mean, over how many units, and what is shown beside it; accuracy first."""
    last = {id(record): {name for name, _, _ in record.metrics} for record in cell.finished}
    draws, found = init_draws(cell.finished), {}
    for name in sorted(set().union(*last.values()), key=lambda name: (not name.startswith("test/"), name)):
        having = [record for record in cell.finished if name in last[id(record)]]
        made = estimate(having, name, draws)
        spread = made.percent_spread(digits=1) if is_share(name) else made.spread()
        found[name] = [number(made.mean, 6), made.n, spread]  # the page shows fewer digits of the mean
    return found


def curve(drawn: Course, points: int) -> list[list[Any]]:
    """Steps, means, and from where to where the band is, of a metric, at so many steps at most."""
    kept = spaced(len(drawn.steps), points)
    return [drawn.steps[kept].tolist(), *(numbers(part[kept]) for part in (drawn.mean, drawn.lower, drawn.upper))]


def spaced(length: int, most: int) -> list[int]:
    """At most so many places of a row, at even distances, its ends included."""
    places: list[int] = np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int)).tolist()
    return places


def shallow(found: Gradients) -> Gradients:
    """The same of as many layers as are shown, from the first to the last."""
    layers = [found.layers[place] for place in spaced(len(found.layers), DEEPEST)]
    counts, zeros = ({layer: of[layer] for layer in layers} for of in (found.counts, found.zeros))
    return Gradients(found.steps, counts, zeros, found.runs)


def thinned(steps: NDArray[np.int64], most: int, latest: int) -> NDArray[np.int64]:
    """So many of the steps at most: each up to the latest first gradient, where they leave room for as many again."""
    until = int(np.searchsorted(steps, latest, side="right"))
    until = until if until <= most // 2 else 0
    rest = steps[until:]
    return np.concatenate([steps[:until], rest[spaced(len(rest), most - until)]])


def histograms(watched: Gradients, looks: int, latest: int, deep: int) -> dict[str, Any]:
    """Of each layer and step: the median of log2 |g| of the entries that are not zero, the share of exact zeros, and
    the thousandths of all entries in each power of two, negative ones first, from the power `low`. Of `deep` layers.
    """
    found = watched.at(thinned(watched.steps, looks, latest))
    first, last = used(found)
    layers = {}
    for layer in found.layers:
        entries = found.nonzero(layer) + found.zeros[layer]
        shares = found.counts[layer][:, :, first:last] / np.maximum(entries, 1)[:, None, None]
        # what is there but rounds to nothing is still to be seen
        thousandths = np.where(shares > 0, np.maximum(1, np.rint(1000 * shares)), 0).astype(int)
        layers[layer] = {
            "median": numbers(found.quantiles(layer, [0.5])[:, 0]),
            "zeros": numbers(found.zero_share(layer)),
            "shares": thousandths.reshape(len(thousandths), -1).tolist(),
        }
    seen = {"steps": found.steps.tolist(), "observed": len(watched.steps), "runs": found.runs, "deep": deep}
    return seen | {"low": int(EXPONENTS[first]), "layers": layers}


def used(found: Gradients) -> tuple[int, int]:
    """From which of the bins to before which one there is anything."""
    there = np.flatnonzero(np.sum([counts.sum(axis=(0, 1)) for counts in found.counts.values()], axis=0))
    return (int(there.min()), int(there.max()) + 1) if len(there) else (0, 0)


def number(value: ArrayLike, digits: int) -> float | None:
    """So many digits of it; null where it is not finite."""
    one = float(np.asarray(value))
    return float(f"{one:.{digits}g}") if math.isfinite(one) else None


def json_of(value: str | int | float) -> str | int | float | None:
    return number(value, 6) if isinstance(value, float) else value


def numbers(found: Sequence[float] | np.ndarray[Any, Any]) -> list[float | None]:
    return [number(value, 4) for value in found]
