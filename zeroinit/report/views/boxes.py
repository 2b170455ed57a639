"""Box plots of each layer's weight gradients in the first steps, after Figure 12 of Schicho (2023)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from zeroinit.report.views.colours import style_inits
from zeroinit.report.views.gradients import describe_silence
from zeroinit.report.views.observed import Observed, describe_runs, order_layers, symmetric_log
from zeroinit.report.views.panels import elide, format_power, split_keys, split_shared_parts, write_caption
from zeroinit.report.views.view import Facet, Mark, Scale, View

MAX_LAYERS = 8
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # whisker, box, median, box, whisker
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
ABSENT = "#F9E0D2"  # exact zeros are red, as in the histograms of gradients
MIN_EXPONENT = -40  # all smaller gradients are next to zero


def make_boxes(cells: Sequence[Observed], labels: Sequence[str], steps: int = 5) -> View:
    """Return the weight gradients of the layers in the first steps that all cells have: cells down, steps along.

    The axis is linear next to zero and logarithmic beyond.

    Args:
        cells: The cells.
        labels: The name of each cell, `key=value, ...`.
        steps: The number of steps.
    """
    common = sorted(set.intersection(*({int(step) for step in cell.gradients.steps} for cell in cells)))[:steps]
    layers = order_layers([cell.gradients.layers for cell in cells], MAX_LAYERS)
    names, shared = split_shared_parts(labels)
    rows = [
        {"row": name, "column": f"step {step}", "init": cell.params["init"], "layer": layer} | part
        for cell, name in zip(cells, names, strict=True)
        for layer in layers
        if layer in cell.gradients.counts
        for step, part in zip(common, _describe_layer(cell, layer, common), strict=True)
    ]
    frame = pd.DataFrame(rows)
    low, high = _choose_range(frame[list(QUANTILES)].to_numpy(float))
    frame[list(QUANTILES)] = symmetric_log(frame[list(QUANTILES)].to_numpy(float), low)
    edge = float(symmetric_log(2.0**high, low))
    frame = frame.assign(zero=0.0, left=-1.1 * edge, right=1.75 * edge)
    inits = list(dict.fromkeys(cell.params["init"] for cell in cells))
    styles = style_inits(init for cell in cells for init in (*cell.inits, cell.params["init"]))
    runs = describe_runs(cells)
    ticks, texts = [-edge, 0, edge], [f"\N{MINUS SIGN}{format_power(high)}", "0", format_power(high)]
    return View(
        "boxes",
        describe_silence(cells[-1], [layer for layer in layers if layer in cells[-1].gradients.counts])
        or f"Weight gradients of the first {len(common)} observed steps",
        write_caption(
            [
                f"All entries of {runs}: box from 25% to 75%, line at the median, whiskers from 5% to 95%",
                "number: the share of exact zeros; shaded, with a cross: nothing but exact zeros",
                f"linear below {format_power(low)}",
                shared,
            ]
        ),
        frame,
        Scale("gradient", "linear", (-1.1 * edge, 1.8 * edge), "text", ticks=ticks, labels=texts),
        Scale("layer", "band", layers, "text", labels=[elide(layer) for layer in layers], reverse=True),
        [
            Mark("tile", {"y": "layer", "low": "left", "high": "right"}, where="is_absent", colour=ABSENT),
            Mark("rule", {"x": "zero"}, colour="#9AA0A6", width=0.8),
            Mark(
                "box",
                {"y": "layer", "colour": "init", "tip": "tip"} | {q: q for q in QUANTILES},
                "has_box",
                opacity=0.6,
            ),
            Mark("cross", {"x": "zero", "y": "layer"}, where="is_absent", colour="#000000", width=6),
            Mark("text", {"x": "right", "y": "layer", "text": "text"}, anchor="end", width=8),
        ],
        Scale("", "category", inits, "text", colours=[styles[init].colour for init in inits]),
        Facet("row", names, [", ".join(map(elide, split_keys(name))) for name in names]) if len(cells) > 1 else None,
        Facet("column", [f"step {step}" for step in common], [f"step {step}" for step in common]),
    )


def _describe_layer(cell: Observed, layer: str, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Return the quantiles and the share of zeros of a layer at each of the steps."""
    gradients = cell.gradients.at(steps)
    quantiles, zeros = gradients.signed_quantiles(layer, SHARES), gradients.zero_share(layer)
    return [
        {
            **dict(zip(QUANTILES, of_step.tolist(), strict=True)),
            "text": _format_share(share),
            "tip": f"{layer}, step {step}: median {of_step[2]:.2g}, exact zeros {_format_share(share)}",
            "is_absent": bool(share == 1),
            "has_box": bool(np.isfinite(of_step).all() and (of_step != 0).any()),
        }
        for step, of_step, share in zip(steps, quantiles, zeros.tolist(), strict=True)
    ]


def _choose_range(quantiles: np.ndarray) -> tuple[int, int]:
    """Return the exponents of an axis that shows all whiskers, and is linear below the smallest box."""
    ends = np.abs(quantiles)
    boxes, whiskers = (np.log2(part[np.isfinite(part) & (part > 0)]) for part in (ends[:, [1, 3]].max(1), ends.max(1)))
    high = int(np.ceil(whiskers.max())) if len(whiskers) else 0
    low = int(np.clip(np.floor(boxes.min()), MIN_EXPONENT, high - 2)) if len(boxes) else high - 10
    return low, high


def _format_share(share: float) -> str:
    """Return a share of zeros in percent, as 0 or 100 only if it is exactly that."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{100 * share:.0f}%"
