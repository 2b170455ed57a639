"""The marks of a view on the axes of matplotlib."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from zeroinit.report.views.view import Mark, Scale, View

SMALL = 9  # points of the smallest text but that on tiles
MIN_TEXT = 5.5  # points of the smallest text on a tile; what needs less is left out
LETTER = 0.62  # of its size, the width of a letter on average
USUAL_WIDTHS = {"line": 1.6, "dot": 5, "cross": 5, "interval": 1.6, "rule": 1, "text": SMALL}
PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}  # below a text beside a mark
ALIGNMENTS = {"start": "left", "middle": "center", "end": "right"}

Rows = Mapping[str, NDArray[Any]]  # {channel: values} of the rows that have a mark


class Panel(NamedTuple):
    """The axes of a panel, the view, and the size of a tile in inches."""

    axes: Axes
    view: View
    tile: tuple[float, float]


def draw_mark(panel: Panel, mark: Mark, rows: Rows) -> None:
    """Draw a mark for each of the rows."""
    DRAWERS[mark.kind](panel, mark, rows)


def locate(scale: Scale, values: NDArray[Any]) -> NDArray[Any]:
    """Return the positions of values on an axis: of a band, the index in its domain."""
    if scale.kind != "band":
        return values.astype(float)
    index = {value: position for position, value in enumerate(scale.domain)}
    return np.array([index[value] for value in values], float)


def find_colours(scale: Scale, values: NDArray[Any]) -> NDArray[Any]:
    """Return the colours (n, 3) of values: those of a category, or interpolated between the numbers of the domain."""
    palette = np.array([to_rgb(colour) for colour in scale.colours])
    if scale.kind == "category":
        index = {value: position for position, value in enumerate(scale.domain)}
        return palette[[index[value] for value in values]]
    numbers = values.astype(float)
    return np.stack([np.interp(numbers, scale.domain, channel) for channel in palette.T], axis=1)


def _colour_rows(panel: Panel, mark: Mark, rows: Rows) -> NDArray[Any]:
    """Return the colours (n, 4) of the rows."""
    count = len(next(iter(rows.values())))
    scale = mark.scale or panel.view.colour
    if "colour" in rows and scale:
        colours = find_colours(scale, rows["colour"])
    else:
        colours = np.tile(to_rgb(mark.colour or "black"), (count, 1))
    opacity = mark.opacity * rows.get("opacity", np.ones(count)).astype(float)
    return np.column_stack([colours, opacity])


def _positions(panel: Panel, rows: Rows) -> tuple[Any, Any]:
    """Return x and y of the rows; None for a channel that they lack."""
    x, y = (rows.get(channel) for channel in ("x", "y"))
    return (
        None if x is None else locate(panel.view.x, x),
        None if y is None else locate(panel.view.y, y),
    )


def _width(mark: Mark) -> float:
    """Return the width or the size of a mark in points."""
    return mark.width or USUAL_WIDTHS.get(mark.kind, 1)


def read_dash(dash: str) -> Any:
    """Return the line style of an SVG dash array."""
    return (0, [float(part) for part in dash.split()]) if dash else "-"


def _groups(rows: Rows) -> list[NDArray[Any]]:
    """Return the indices of the rows of each group."""
    if "group" not in rows:
        return [np.arange(len(next(iter(rows.values()))))]
    return [np.flatnonzero(rows["group"] == group) for group in dict.fromkeys(rows["group"])]


def _draw_line(panel: Panel, mark: Mark, rows: Rows) -> None:
    x, y = _positions(panel, rows)
    colours = _colour_rows(panel, mark, rows)
    for group in _groups(rows):
        dash = str(rows["dash"][group[0]]) if "dash" in rows else "5 2" if mark.dashed else ""
        width = rows["width"][group[0]] if "width" in rows else _width(mark)
        style: dict[str, Any] = {"linewidth": width, "linestyle": read_dash(dash)}
        panel.axes.plot(x[group], y[group], color=colours[group[0]], label=mark.label or "_line", **style)


def _draw_band(panel: Panel, mark: Mark, rows: Rows) -> None:
    x, _ = _positions(panel, rows)
    colours = _colour_rows(panel, mark, rows)
    for group in _groups(rows):
        bounds = (rows[bound][group].astype(float) for bound in ("low", "high"))
        panel.axes.fill_between(x[group], *bounds, color=colours[group[0]], linewidth=0)


def _draw_dot(panel: Panel, mark: Mark, rows: Rows) -> None:
    x, y = _positions(panel, rows)
    colours = _colour_rows(panel, mark, rows)
    style: dict[str, Any] = {"s": _width(mark) ** 2, "zorder": 3, "linewidths": 1.2 if mark.hollow else 0}
    style |= {"edgecolors": colours, "c": "white" if mark.hollow else colours}
    panel.axes.scatter(x, y, **style)


def _draw_cross(panel: Panel, mark: Mark, rows: Rows) -> None:
    x, y = _positions(panel, rows)
    size = min(_width(mark), 55 * min(panel.tile))
    style: dict[str, Any] = {"s": size**2, "marker": "x", "linewidths": 0.9, "zorder": 3}
    panel.axes.scatter(x, y, c=_colour_rows(panel, mark, rows), **style)


def _draw_interval(panel: Panel, mark: Mark, rows: Rows) -> None:
    x, y = _positions(panel, rows)
    low, high = (rows[bound].astype(float) for bound in ("low", "high"))
    style: dict[str, Any] = {"colors": _colour_rows(panel, mark, rows), "linewidth": _width(mark)}
    if x is None:
        panel.axes.hlines(y, low, high, **style)
    else:
        panel.axes.vlines(x, low, high, **style)


def _draw_rule(panel: Panel, mark: Mark, rows: Rows) -> None:
    x, y = _positions(panel, rows)
    style: dict[str, Any] = {"color": mark.colour or "black", "linewidth": _width(mark), "alpha": mark.opacity}
    style["linestyle"] = read_dash("1 1.5") if mark.dashed else "-"
    if "low" in rows:  # ends in the middle between two places of a band, or at numbers
        low, high = (rows[bound].astype(float) for bound in ("low", "high"))
        draw = panel.axes.vlines if y is None else panel.axes.hlines
        draw(x if y is None else y, low, high, **style)
        return
    for value in np.unique(x if y is None else y):
        (panel.axes.axvline if y is None else panel.axes.axhline)(value, **style)


def _draw_tile(panel: Panel, mark: Mark, rows: Rows) -> None:
    """Draw tiles as the cells of a mesh, whose edges are those of all tiles."""
    colours = _colour_rows(panel, mark, rows)
    edges = []
    for channel, scale in (("x", panel.view.x), ("y", panel.view.y)):
        if channel in rows:
            middle = locate(scale, rows[channel])
            edges.append((middle - 0.5, middle + 0.5))
        else:
            edges.append((rows["low"].astype(float), rows["high"].astype(float)))
    (left, right), (bottom, top) = edges
    across, down = np.unique([left, right]), np.unique([bottom, top])
    mesh = np.zeros((len(down) - 1, len(across) - 1, 4))
    columns, lines = np.searchsorted(across, left), np.searchsorted(down, bottom)
    spans = np.searchsorted(down, top)
    if (spans == lines + 1).all():
        mesh[lines, columns] = colours
    else:
        for line, span, column, colour in zip(lines, spans, columns, colours, strict=True):
            mesh[line:span, column] = colour
    gap = 0.6 if len(rows[next(iter(rows))]) < 400 and mark.width else 0
    style: dict[str, Any] = {"edgecolors": "white", "linewidth": gap} if gap else {}
    panel.axes.pcolormesh(across, down, mesh, rasterized=mesh.size > 8000, zorder=1, **style)


def _draw_text(panel: Panel, mark: Mark, rows: Rows) -> None:
    x, y = _positions(panel, rows)
    size = _width(mark)
    is_on_tile = panel.view.x.kind == "band" and mark.anchor == "middle"
    if is_on_tile:  # all panels have texts of one size
        lines = [line for text in panel.view.frame[mark.channels["text"]] for line in str(text).split("\n")]
        size = min(size, 72 * panel.tile[0] / (LETTER * max(map(len, lines), default=1)))
    if size < MIN_TEXT:
        return
    style: dict[str, Any] = {"ha": ALIGNMENTS[mark.anchor], "va": "center", "fontsize": size, "linespacing": 0.95}
    style |= {"zorder": 4, "clip_on": True, "textcoords": "offset points", "xytext": mark.shift}
    style["bbox"] = None if is_on_tile else PLATE
    for left, height, text, colour in zip(x, y, rows["text"], _colour_rows(panel, mark, rows), strict=True):
        panel.axes.annotate(str(text), (left, height), color=colour, **style)


def _draw_box(panel: Panel, mark: Mark, rows: Rows) -> None:
    is_flat = "y" in rows
    x, y = _positions(panel, rows)
    at = y if is_flat else x
    q05, q25, q50, q75, q95 = (rows[channel].astype(float) for channel in ("q05", "q25", "q50", "q75", "q95"))
    along, across = (panel.axes.hlines, panel.axes.vlines) if is_flat else (panel.axes.vlines, panel.axes.hlines)
    for end, edge in ((q05, q25), (q95, q75)):
        along(at, end, edge, color="0.3", linewidth=1)
        across(end, at - 0.14, at + 0.14, color="0.3", linewidth=1)
    style: dict[str, Any] = {
        "color": _colour_rows(panel, mark, rows),
        "edgecolor": "0.2",
        "linewidth": 0.8,
        "zorder": 2,
    }
    if is_flat:
        panel.axes.barh(at, q75 - q25, 0.56, q25, **style)
    else:
        panel.axes.bar(at, q75 - q25, 0.56, q25, **style)
    across(q50, at - 0.28, at + 0.28, color="black", linewidth=2, zorder=3)


DRAWERS: Mapping[str, Callable[[Panel, Mark, Rows], None]] = {
    "line": _draw_line,
    "band": _draw_band,
    "dot": _draw_dot,
    "cross": _draw_cross,
    "interval": _draw_interval,
    "rule": _draw_rule,
    "tile": _draw_tile,
    "text": _draw_text,
    "box": _draw_box,
}
