"""Views as the page stores them: equal columns once, and of a chart a view for each choice of its controls."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from zeroinit.report.cells import Cell
from zeroinit.report.page.metrics import DetailLevel, evaluation_metrics
from zeroinit.report.views.colours import EMPTY, PALE, PURPLE_ORANGE, REDS, brighten
from zeroinit.report.views.curves import collect_curves
from zeroinit.report.views.view import View, plain_column
from zeroinit.tracker.tags import Tag

CONTROLS: dict[str, dict[str, str]] = {  # of the chart of all inits: {name: {value: label}}
    "along": {"epoch": "epoch", "step": "step"},
    "axis": {"linear": "linear", "log": "logarithmic"},
    "lines": {"mean": "mean with band", "runs": "single seeds"},
}
# On a dark page, what is near the background is small: the middle of differences, few exact zeros, tiles without value.
DARK_TILES = {PALE: "#30363C", EMPTY: "#8E959D"}  # the letters on an empty tile are dark
DARK_SCALES = {
    ",".join(PURPLE_ORANGE): ("#FFD08A", "#F0962E", "#8A5A22", "#262B31", "#5A4A8C", "#9A82E0", "#D9CCFF"),
    ",".join(REDS): ("#2A2020", "#5C2720", "#8F3226", "#BC3A2B", "#E5452F"),
}


class ColumnPool:
    """The columns of all frames of a page; equal columns are stored once."""

    def __init__(self) -> None:
        """Begin without columns."""
        self.columns: list[list[Any] | dict[str, list[Any]]] = []
        self._indices: dict[str, int] = {}
        self._of_frames: dict[tuple[int, str], int] = {}  # by the id of a frame and the name of a column
        self._frames: dict[int, Any] = {}  # the frames, so that no other gets the id of one of them

    def add(self, values: Sequence[Any]) -> int:
        """Return the index of the column with these values."""
        key = json.dumps(values)
        if key not in self._indices:
            self._indices[key] = len(self.columns)
            self.columns.append(_shorten(values))
        return self._indices[key]

    def add_view(self, view: View) -> dict[str, Any]:
        """Return the data of a view, with the index of each of its columns."""
        data = replace(view, frame=view.frame[:0]).to_data()
        self._frames[id(view.frame)] = view.frame
        for name in data["frame"]:
            key = id(view.frame), name
            if key not in self._of_frames:
                self._of_frames[key] = self.add(plain_column(view.frame[name]))
            data["frame"][name] = self._of_frames[key]
        return data


def _shorten(values: Sequence[Any]) -> list[Any] | dict[str, list[Any]]:
    """Return the column; one of few texts as these texts, and the index of each value among them."""
    texts = dict.fromkeys(values) if values and isinstance(values[0], str) else {}
    if not texts or len(texts) > len(values) / 3:
        return list(values)
    indices = {text: index for index, text in enumerate(texts)}
    return {"texts": list(texts), "indices": [indices[value] for value in values]}


def describe_curves(cells: Sequence[Cell], level: DetailLevel, pool: ColumnPool) -> dict[str, Any] | None:
    """Return the views of the curves of all inits, for each choice of metric, axis and lines; None without curves."""
    metrics = evaluation_metrics([record for cell in cells for record in cell.finished])
    if not metrics or not level.points:
        return None
    controls = {"metric": metrics, **CONTROLS}
    if not level.has_seeds:
        controls["lines"] = {"mean": CONTROLS["lines"]["mean"]}
    lengths = {record.tags.get(Tag.STEPS_PER_EPOCH) for cell in cells for record in cell.finished}
    if None in lengths or lengths == {"1"}:  # epochs are unknown, or each is a step
        controls["along"] = {"step": "step"}
    views, is_log = {}, False
    for metric in metrics:
        curves = collect_curves(cells, metric, level.points, level.has_seeds)
        is_log = curves.are_of_one_batch
        for along, axis, lines in product(*(controls[name] for name in CONTROLS)):
            view = curves.make_view(along, axis == "log", lines == "runs")  # type: ignore[arg-type]
            views[f"{metric} {along} {axis} {lines}"] = pool.add_view(view)
    default = {name: next(iter(options)) for name, options in controls.items()}
    return {
        "controls": [
            {"name": name, "options": [{"value": value, "label": label} for value, label in options.items()]}
            for name, options in controls.items()
        ],
        "default": default | {"axis": "log" if is_log else "linear"},
        "views": views,
    }


def list_dark_colours(texts: Iterable[str]) -> dict[str, str]:
    """Return {hex colour: its variant for a dark background} for the colours among the texts."""
    return {text: brighten(text) for text in dict.fromkeys(texts) if len(text) == 7 and text.startswith("#")}
