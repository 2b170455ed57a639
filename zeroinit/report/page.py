"""The page of a sweep: one HTML file with its data, its scripts and nothing that it loads."""

import base64
import gzip
import html
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zeroinit.report.asked import Asked
from zeroinit.report.cells import (
    FATES,
    Cell,
    Row,
    by_seed,
    caption,
    columns,
    mean_and_interval,
    ordered,
    rows,
    undecided,
)
from zeroinit.report.watched import EXPONENTS, Gradients, arrivals, course, predicted
from zeroinit.tracker import Record

TEMPLATE = Path(__file__).parent / "page"
LARGEST = 1_900_000  # bytes of the page
# how much of each cell is shown, the most that LARGEST has room for: steps of its histograms, points of its curves,
# runs of which the reason is told
ROOM = ((40, 50, 20), (20, 25, 10), (10, 25, 5), (0, 25, 5), (0, 10, 1), (0, 0, 1))
MOST = 8_000_000  # numbers in all histograms
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


def as_html(
    name: str, asked: Asked, found: Sequence[Cell], seen: Sequence[Gradients | None], notes: Sequence[str]
) -> bytes:
    """The HTML of a sweep's cells, with what was seen of each, below LARGEST bytes.

    The records must have the courses of `curves_of`.
    """
    entries = sum(look(one) for one in seen if one)
    for room in ROOM:
        if room[0] * entries > MOST:  # which takes long to pack, and does not fit
            continue
        made = filled_in(name, data(name, asked, found, seen, notes, room))
        if len(made) <= LARGEST:
            break
    return made


def look(found: Gradients) -> int:
    """Numbers in the histograms of one step."""
    first, last = used(found)
    return 2 * (last - first) * min(len(found.layers), DEEPEST)


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
    name: str,
    asked: Asked,
    found: Sequence[Cell],
    seen: Sequence[Gradients | None],
    notes: Sequence[str],
    room: tuple[int, int, int],
) -> dict[str, Any]:
    """What the page is made of, as JSON has it: numbers that are undefined are null."""
    keys = columns(found)
    varying = undecided([cell.params for cell in found], keys)
    listed = rows(found)
    metrics = curves_of([cell.finished[0] for cell in found if cell.finished])
    looks, points, told = room
    left_out = []
    if looks < ROOM[0][0]:
        left_out.append(f"histograms at {looks} steps a cell" if looks else "no histograms")
    if points < ROOM[0][1]:
        left_out.append(f"curves of {points} points" if points else "no curves")
    return {
        "sweep": name,
        "question": asked.question or question(found, varying),
        "command": asked.command,
        "conditions": caption(found),
        "notes": list(notes),
        "left_out": left_out,
        "fates": {word: colour for word, (_, colour) in FATES.items()},
        "keys": keys,
        "axes": {key: ordered(cell.params[key] for cell in found if key in cell.params) for key in varying},
        "cells": [
            of_cell(cell, row, watched and thinned(watched, looks), metrics, points, told, keys)
            for cell, row, watched in zip(found, listed, seen, strict=True)
        ],
    }


def question(found: Sequence[Cell], varying: Sequence[str]) -> str:
    """What a grid from the command line asks."""
    asked = ", ".join(varying) or "one configuration"
    where = {cell.params.get("dataset", "") for cell in found}
    return f"What becomes of {asked} on {' and '.join(sorted(where))}?"


def of_cell(
    cell: Cell,
    row: Row,
    watched: Gradients | None,
    metrics: Sequence[str],
    points: int,
    told: int,
    keys: Sequence[str],
) -> dict[str, Any]:
    return {
        "params": {key: cell.params[key] for key in keys if key in cell.params},
        "n": row["n"],
        "became": row["became"],
        "verdict": cell.fates.most_common(1)[0][0] if cell.fates else "not run",
        "last": finals(cell),
        "runs_planned": cell.fates.total(),
        "runs": [of_run(record) for record in sorted(cell.newest, key=seed)[:told]],
        "curves": {name: drawn for name in metrics if points and (drawn := curve(cell, name, points))},
        "arrivals": {layer: [min(steps), max(steps), len(steps)] for layer, steps in arrivals(cell.finished).items()},
        "predicted": predicted(cell.finished),
        "gradients": watched and histograms(watched),
    }


def seed(record: Record) -> int:
    return int(record.params["seeds.init"])


def of_run(record: Record) -> list[Any]:
    """Seeds, accuracy, what became of it and why."""
    word = record.tags.get("verdict", record.status.lower())
    why = record.tags.get("reason") or record.tags.get("error", "")
    return [record.params["seeds.init"], number(record.last("test/accuracy")), word, why]


def finals(cell: Cell) -> dict[str, list[float | None]]:
    """Of each metric the last value: mean and half width of its interval."""
    last = {id(record): {name: value for name, value, _ in record.metrics} for record in cell.finished}
    found = {}
    for name in sorted(set().union(*last.values())):
        having = [record for record in cell.finished if name in last[id(record)]]
        _, mean, half = mean_and_interval(by_seed(having, lambda record: last[id(record)][name]))  # noqa: B023
        found[name] = [number(mean), number(half)]
    return found


def curve(cell: Cell, name: str, points: int) -> list[list[Any]] | None:
    """Steps, means and half widths of a metric, at so many steps at most."""
    found = course(cell.finished, name)
    if found is None:
        return None
    kept = spaced(len(found.steps), points)
    return [found.steps[kept].tolist(), numbers(found.mean[kept]), numbers(found.half[kept])]


def spaced(length: int, most: int) -> list[int]:
    """At most so many places of a row, at even distances, its ends included."""
    places: list[int] = np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int)).tolist()
    return places


def thinned(found: Gradients, looks: int) -> Gradients | None:
    """The same at so many of its steps, and of the layers of a deep net some from its first to its last."""
    if not looks:
        return None
    kept = spaced(len(found.steps), looks)
    layers = [found.layers[place] for place in spaced(len(found.layers), DEEPEST)]
    counts, zeros = ({layer: of[layer][kept] for layer in layers} for of in (found.counts, found.zeros))
    return Gradients(found.steps[kept], counts, zeros, found.runs)


def histograms(found: Gradients) -> dict[str, Any]:
    """Of each layer and step: the median of log2 |g| of the entries that are not zero, the share of exact zeros, and
    the thousandths of all entries in each power of two, negative ones first, from the power `low`.
    """
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
    return {"steps": found.steps.tolist(), "runs": found.runs, "low": int(EXPONENTS[first]), "layers": layers}


def used(found: Gradients) -> tuple[int, int]:
    """From which of the bins to before which one there is anything."""
    there = np.flatnonzero(np.sum([counts.sum(axis=(0, 1)) for counts in found.counts.values()], axis=0))
    return (int(there.min()), int(there.max()) + 1) if len(there) else (0, 0)


def number(value: ArrayLike) -> float | None:
    """Four digits of it; null where it is not finite."""
    one = float(np.asarray(value))
    return float(f"{one:.4g}") if math.isfinite(one) else None


def numbers(found: Sequence[float] | np.ndarray[Any, Any]) -> list[float | None]:
    return [number(value) for value in found]
