"""The wavefront: the step at which each layer has its first gradient, from the output to the input."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from zeroinit.report.cells import join_words
from zeroinit.report.views.colours import PALE, VIRIDIS
from zeroinit.report.views.observed import Observed, choose_steps, choose_stride, describe_runs, order_layers
from zeroinit.report.views.panels import arrange_panels, elide, name_values, write_caption
from zeroinit.report.views.view import Mark, Scale, View, spread_evenly

MAX_LAYERS = 16
MAX_NAMED = 3  # layers that a title names
THEORY = "#D55E00"
MAX_PALENESS = 0.75  # of a tile nearly all of whose entries are zero


def make_wavefront(cells: Sequence[Observed], keys: Sequence[str], chosen_steps: Sequence[int] | None = None) -> View:
    """Return the wavefront of cells: a panel for each, its layers from the output down, its first observed steps along.

    Args:
        cells: The cells.
        keys: The keys that may differ between them.
        chosen_steps: The observed steps to show; None to choose them by the first gradients of the cells.
    """
    layers = order_layers([cell.gradients.layers for cell in cells], MAX_LAYERS)
    steps = choose_steps(cells) if chosen_steps is None else chosen_steps
    panels = arrange_panels([cell.params for cell in cells], keys)
    rows: list[dict[str, Any]] = []
    for cell, row, column in zip(cells, panels.row_of, panels.column_of, strict=True):
        rows += [{"row": row, "column": column} | part for part in _describe_cell(cell, layers, steps)]
    flags = ["is_tile", "is_zero", "is_first", "is_theory"]
    names = ["row", "column", "step", "layer", "median", "opacity", "tip", "text"]
    frame = pd.DataFrame(rows).reindex(columns=[*names, *flags])
    frame[flags] = frame[flags].eq(True)
    frame["has_text"] = [isinstance(text, str) and text != "" for text in frame["text"]]
    return View(
        "wave",
        _find_title(cells, layers, keys),
        write_caption(
            [
                "The first observed steps; colour: median |gradient| of the entries that are not zero, "
                "pale to the share of exact zeros",
                "text: the range over the runs, or how many of them have one" if frame["has_text"].any() else "",
                describe_runs(cells),
                panels.shared,
            ]
        ),
        frame,
        Scale("observed step", "band", steps, "count"),
        Scale("layer", "band", layers, "text", labels=[elide(layer) for layer in layers], reverse=True),
        _make_marks(frame),
        _scale_sizes(frame["median"]),
        panels.rows,
        panels.columns,
    )


def _make_marks(frame: pd.DataFrame) -> list[Mark]:
    """Return the marks: tiles, crosses where all is zero, and the first gradients in theory and in the runs."""
    tile = {"x": "step", "y": "layer"}
    return [
        Mark("tile", tile | {"colour": "median", "opacity": "opacity", "tip": "tip"}, where="is_tile"),
        Mark("tile", tile | {"tip": "tip"}, where="is_zero", colour=PALE),
        Mark(
            "cross",
            tile,
            where="is_zero",
            colour="#6F757B",
            label="every entry is exactly 0" if frame["is_zero"].any() else "",
            width=4,
        ),
        Mark(
            "dot",
            tile,
            "is_theory",
            THEORY,
            label="first gradient in theory" if frame["is_theory"].any() else "",
            width=9,
            hollow=True,
        ),
        Mark("dot", tile, "is_first", "#000000", label="first gradient (median)", width=4.5),
        Mark("text", tile | {"text": "text"}, where="has_text", anchor="start", shift=(7, 0)),
    ]


def _scale_sizes(medians: Any) -> Scale:
    """Return the colours of the medians of log2 |gradient|."""
    finite = medians[np.isfinite(medians.astype(float))]
    low, high = (int(np.floor(finite.min())), int(np.ceil(finite.max()))) if len(finite) else (-1, 0)
    high = max(high, low + 1)
    stride = choose_stride(high - low, 8)
    ticks = [exponent for exponent in range(-300, 300) if low <= exponent <= high and exponent % stride == 0]
    domain = spread_evenly(low, high, len(VIRIDIS))
    label = "median |gradient| of the entries that are not zero"
    return Scale(label, "sequential", domain, "power", colours=VIRIDIS, ticks=ticks)


def _describe_cell(cell: Observed, layers: Sequence[str], steps: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row for each observed step of each layer, for its first gradient, and for that in theory."""
    rows: list[dict[str, Any]] = []
    gradients = cell.gradients.at(steps)
    for layer in layers:
        if layer not in gradients.counts:
            continue
        medians, zeros = gradients.quantiles(layer, [0.5])[:, 0], gradients.zero_share(layer)
        for step, median, share in zip(gradients.steps.tolist(), medians.tolist(), zeros.tolist(), strict=True):
            is_zero = share == 1
            size = "every entry is exactly 0" if is_zero else f"median |g| {2**median:.3g}, exact zeros {share:.1%}"
            rows.append(
                {
                    "step": step,
                    "layer": layer,
                    "median": median,
                    "opacity": 1 - MAX_PALENESS * share,
                    "tip": f"{layer}, step {step}: {size}",
                    "is_tile": bool(np.isfinite(median)),
                    "is_zero": is_zero,
                }
            )
        rows += _mark_first(cell, layer, gradients.steps)
    return rows


def _mark_first(cell: Observed, layer: str, steps: Any) -> list[dict[str, Any]]:
    """Return the rows of the first gradients of a layer: the observed step at which, or after which, each is."""
    rows: list[dict[str, Any]] = []
    first, theory = sorted(cell.first.get(layer, ())), cell.theory.get(layer)
    if first and (step := _find_step(steps, float(np.median(first)))) is not None:
        low, high = first[0], first[-1]
        text = f"{len(first)} of {cell.gradients.runs}" if len(first) < cell.gradients.runs else ""
        text = text or (f"{low}\N{EN DASH}{high}" if low < high else "")
        rows.append({"step": step, "layer": layer, "is_first": True, "text": text})
    if theory is not None and (step := _find_step(steps, theory)) is not None:
        rows.append({"step": step, "layer": layer, "is_theory": True})
    return rows


def _find_step(steps: Any, value: float) -> int | None:
    """Return the first of the steps that is not before the value; None if there is none."""
    index = int(np.searchsorted(steps, value))
    return int(steps[index]) if index < len(steps) else None


def _find_title(cells: Sequence[Observed], layers: Sequence[str], keys: Sequence[str]) -> str:
    """Return how the cell wakes whose last layer wakes last, or that all wake at once, or which never do."""
    last = max(cells, key=lambda cell: (cell.latest, -len(cell.params["init"])))
    first = {layer: int(np.median(last.first[layer])) for layer in layers if layer in last.first}
    name = elide(last.params["init"])
    if len(set(first.values())) > 1:
        shown = list(first.items())
        shown = shown if len(shown) <= MAX_NAMED else [shown[0], shown[1], shown[-1]]
        order = " layer by layer" if list(first.values()) == sorted(first.values()) else ""
        return f"{name} wakes{order}: {join_words([f'{layer} at step {step}' for layer, step in shown])}"
    if first and last.latest > 1:
        return f"{name} wakes at step {last.latest}"
    silent = list(dict.fromkeys(cell.params["init"] for cell in cells if not cell.first))
    if silent and len(silent) <= MAX_NAMED:
        verb = "has" if len(silent) == 1 else "have"
        return f"{join_words([elide(init) for init in silent])} {verb} no weight gradient at any observed step"
    where = f" ({name_values(['init'], [name])})" if len(cells) == 1 and "init" in keys else ""
    return f"Every layer has weight gradients from the first step on{where}" if first else "No layer has a gradient"
