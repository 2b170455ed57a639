"""A view as a figure of matplotlib: its panels, axes, legend and texts. It computes, sorts and names nothing."""

import io
import math
import re
from collections.abc import Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from zeroinit.report.figures.marks import SMALL, Panel, draw_mark, find_colours, read_dash
from zeroinit.report.views.panels import elide, format_power, limit_rows
from zeroinit.report.views.view import Mark, Scale, View

WIDTH, DPI = 8.0, 110  # inches, and pixels per inch: MLflow's UI shows 600 to 900 pixels
LETTER, WIDE_LETTER = 0.07, 0.082  # inches of a letter of small text, on average and at worst
MAX_ROWS, MAX_WRAPPED = 12, 3  # lines of panels, and panels in a line of many
MIN_LETTERS = 16  # of a line of a heading
PAD = 0.08  # inches around the parts
BAR = 0.62  # inches of a colour bar with its texts
AXIS = 0.2  # inches of the name of an axis


class Grid(NamedTuple):
    """The panels (down, across): their size in inches, and the (row, column) values of the facets of each."""

    down: int
    across: int
    size: tuple[float, float]
    values: dict[tuple[int, int], tuple[str | None, str | None]]


def draw_view(view: View) -> Figure:
    """Return the figure of a view. Its axes may be changed before it is saved.

    At most MAX_ROWS lines of panels are drawn; a note says how many are left out.
    """
    view = limit_rows(view, MAX_ROWS, MAX_WRAPPED)
    grid = _arrange(view)
    scales = _list_bars(view)
    figure = Figure(figsize=(WIDTH, 1), dpi=DPI)
    FigureCanvasAgg(figure)
    texts = _add_texts(figure, view)
    legend = _add_legend(figure, view)
    head, foot = _measure(figure, [texts[0], legend]), _measure(figure, [texts[1]])
    space = [sum(head) + PAD * len(head), sum(foot) + 2 * PAD + (BAR if scales else 0) + (AXIS if view.x.label else 0)]
    height = sum(space) + grid.down * (grid.size[1] + _heading_height(view, grid)) + _label_height(view, grid)
    figure.set_figheight(height)
    _stack(texts, legend, head, height)
    rect = (AXIS / WIDTH, space[1] / height, 1 - AXIS / WIDTH, 1 - sum(space) / height)
    figure.set_layout_engine("constrained", rect=rect, w_pad=0.04, h_pad=0.04, wspace=0, hspace=0)
    _name_axes(figure, view, rect)
    axes = figure.subplots(grid.down, grid.across, squeeze=False)
    _fill_panels(view, grid, axes)
    _add_bars(figure, scales, sum(foot) + PAD)
    return figure


def save_figure(figure: Figure, kind: str = "png") -> bytes:
    """Return the figure as png, svg or pdf."""
    content = io.BytesIO()
    if engine := figure.get_layout_engine():  # by itself, it would draw all twice
        engine.execute(figure)
        figure.set_layout_engine("none")
    if kind == "png":  # savefig would go through all artists twice
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(content)
    else:
        figure.savefig(content, format=kind, dpi=DPI)
    figure.set_layout_engine(engine)
    return content.getvalue()


def format_value(value: Any, kind: str) -> str:
    """Return a value as a scale writes it."""
    if kind == "percent":
        return f"{100 * value:.3g}%"
    if kind == "points":
        return f"{value:+.3g}".replace("-", "\N{MINUS SIGN}") if value else "0"
    if kind == "count":
        return f"{value / 1000:.3g}k" if abs(value) >= 10_000 else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    if kind == "power":
        return format_power(round(value))
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}") if kind == "number" else str(value)


# ---- panels


def _arrange(view: View) -> Grid:
    """Return the panels."""
    rows: Sequence[str | None] = view.rows.values if view.rows else [None]
    columns: Sequence[str | None] = view.columns.values if view.columns else [None]
    is_wrapped = view.rows is None and len(columns) > 5
    across = MAX_WRAPPED if is_wrapped else len(columns)
    down = math.ceil(len(columns) / across) if is_wrapped else len(rows)
    values = {
        (divmod(index, across) if is_wrapped else (row, index)): (rows[row], column)
        for row in range(len(rows))
        for index, column in enumerate(columns)
    }
    return Grid(down, across, _panel_size(view, down, across), values)


def _panel_size(view: View, down: int, across: int) -> tuple[float, float]:
    """Return about how large a panel is, in inches."""
    left = 0.8 if view.y.kind != "band" else 0.4 + WIDE_LETTER * max(map(len, _names(view.y)))
    width = (WIDTH - left - 0.3) / across
    if view.y.kind == "band":
        height = max(0.75, 0.27 * len(view.y.domain))
    else:
        height = 3.0 if down * across == 1 else 1.9 if down < 4 else 1.3
    parts = (part for heading in (view.rows.headings if view.rows else ()) for part in re.split("(?<==)|, ", heading))
    return width, max([height, *(0.1 + LETTER * len(part) for part in parts)])


def _heading_height(view: View, grid: Grid) -> float:
    """Return the height above each line of panels, in inches."""
    is_repeated = view.rows is None and view.columns is not None
    lines = max((len(_wrap(text, grid.size[0])) for text in view.columns.headings), default=0) if view.columns else 0
    return 0.08 + (0.17 * lines if is_repeated else 0.17 * lines / grid.down)


def _label_height(view: View, grid: Grid) -> float:
    """Return the height of the ticks and labels below the panels, in inches."""
    return 0.25 + (LETTER * max(map(len, _names(view.x)), default=0) if _is_upright(view.x, grid.size[0]) else 0)


def _names(scale: Scale) -> list[str]:
    """Return the texts along a band."""
    return list(scale.labels) or [format_value(value, scale.format) for value in scale.domain]


def _is_upright(scale: Scale, width: float) -> bool:
    """Return whether the texts along a band of all values have no room side by side."""
    if scale.kind != "band" or scale.format == "count":
        return False
    return max(map(len, _names(scale))) * LETTER * 1.15 * len(scale.domain) > width


def _wrap(text: str, width: float) -> list[str]:
    """Return a heading in lines of at most this width in inches, broken between its keys, or before a long value."""
    lines: list[str] = []
    for part in text.split(", "):
        if lines and LETTER * (len(lines[-1]) + len(part) + 2) <= width:
            lines[-1] += f", {part}"
        else:
            lines += [part] if LETTER * len(part) <= width else re.split("(?<==)", part, maxsplit=1)
    longest = max(MIN_LETTERS, int(width / WIDE_LETTER))
    return [elide(line, longest) for line in lines if line]


def _fill_panels(view: View, grid: Grid, axes: Any) -> None:
    """Draw the marks of each panel, and its headings."""
    columns = {name: view.frame[name].to_numpy() for name in view.frame.columns}
    everything = np.ones(len(view.frame), bool)
    tile = tuple(
        size / len(scale.domain) if scale.kind == "band" else size
        for size, scale in zip(grid.size, (view.x, view.y), strict=True)
    )
    headings = {facet.column: dict(zip(facet.values, facet.headings, strict=True)) for facet in _facets(view)}
    for position in np.ndindex(*axes.shape):
        panel: Axes = axes[position]
        if position not in grid.values:
            panel.set_visible(False)
            continue
        row, column = grid.values[position]
        is_here = everything
        for facet, value in ((view.rows, row), (view.columns, column)):
            is_here = is_here & (columns[facet.column] == value) if facet else is_here
        if not is_here.any():
            panel.set_visible(False)
            continue
        for mark in view.marks:
            chosen = is_here & columns[mark.where].astype(bool) if mark.where else is_here
            if chosen.any():
                rows = {channel: columns[name][chosen] for channel, name in mark.channels.items()}
                draw_mark(Panel(panel, view, (tile[0], tile[1])), mark, rows)
        if view.columns and (view.rows is None or not position[0]):
            text = "\n".join(_wrap(headings[view.columns.column][str(column)], grid.size[0]))
            panel.set_title(text, fontsize=SMALL, pad=3)
        if view.rows and position[1] == grid.across - 1:
            text = "\n".join(_wrap(headings[view.rows.column][str(row)], grid.size[1]))
            style: dict[str, Any] = {"rotation": -90, "va": "center", "ha": "left", "fontsize": SMALL}
            panel.annotate(text, (1, 0.5), (4, 0), xycoords="axes fraction", textcoords="offset points", **style)
    _scale_panels(view, grid, axes)


def _facets(view: View) -> list[Any]:
    """Return the facets that the view has."""
    return [facet for facet in (view.rows, view.columns) if facet]


def _scale_panels(view: View, grid: Grid, axes: Any) -> None:
    """Set the axes of all panels: lines at the ticks of each, ticks and labels at the outer ones, as they are slow."""
    x_ticks, x_texts = _choose_ticks(view.x, grid.size[0], is_across=True)
    y_ticks, y_texts = _choose_ticks(view.y, grid.size[1], is_across=False)
    for row, column in np.ndindex(*axes.shape):
        panel: Axes = axes[row, column]
        is_lowest = not any(other.get_visible() for other in axes[row + 1 :, column])
        is_first = not any(other.get_visible() for other in axes[row, :column])
        _set_limits(panel, view)
        panel.set_xticks(*((x_ticks, x_texts) if is_lowest else ([], [])), fontsize=SMALL)
        panel.set_yticks(*((y_ticks, y_texts) if is_first else ([], [])), fontsize=SMALL)
        panel.minorticks_off()
        panel.tick_params(length=2.5, pad=2, labelrotation=0)
        if _is_upright(view.x, grid.size[0]):
            panel.tick_params(axis="x", labelrotation=90)
        panel.spines[:].set_color("0.6")
        if view.x.kind != "band":
            panel.vlines(x_ticks, 0, 1, transform=panel.get_xaxis_transform(), color="0.9", linewidth=0.6, zorder=0)
        if "band" not in (view.x.kind, view.y.kind):
            panel.hlines(y_ticks, 0, 1, transform=panel.get_yaxis_transform(), color="0.9", linewidth=0.6, zorder=0)


def _set_limits(panel: Axes, view: View) -> None:
    """Set the kind and the range of the axes of a panel."""
    scales: list[tuple[Scale, Any, Any]] = [
        (view.x, panel.set_xscale, panel.set_xlim),
        (view.y, panel.set_yscale, panel.set_ylim),
    ]
    for scale, set_scale, set_limits in scales:
        if scale.kind == "symlog":
            set_scale("symlog", linthresh=1)
        elif scale.kind == "log":
            set_scale("log")
        ends = (-0.5, len(scale.domain) - 0.5) if scale.kind == "band" else (scale.domain[0], scale.domain[1])
        set_limits(*(ends[::-1] if scale.reverse else ends))


def _choose_ticks(scale: Scale, size: float, is_across: bool) -> tuple[list[float], list[str]]:
    """Return positions and texts of as many ticks as there is room for."""
    if scale.kind == "band":
        names = _names(scale)
        each = LETTER * 1.4 * max(map(len, names)) if is_across and not _is_upright(scale, size) else 0.17
        stride = max(1, math.ceil(len(names) * each / size))
        return list(range(0, len(names), stride)), names[::stride]
    if len(scale.ticks):
        ticks: Sequence[float] = scale.ticks
    else:
        low, high = scale.domain[:2]
        most = max(2, int(size / (0.38 if scale.format == "count" or not is_across else 0.62)))
        factor = 100 if scale.format == "percent" else 1
        locator = MaxNLocator(most, integer=scale.format == "count", steps=[1, 2, 2.5, 5, 10])
        ticks = [tick / factor for tick in locator.tick_values(factor * low, factor * high)]
        ticks = [tick for tick in ticks if low - 1e-9 <= tick <= high + 1e-9]
    return list(ticks), list(scale.labels) or [format_value(tick, scale.format) for tick in ticks]


# ---- texts, legend and colour bars


def _add_texts(figure: Figure, view: View) -> list[Any]:
    """Add the title and the caption."""
    caption = [line for text in (view.caption, *view.notes) for line in wrap(text, 112)]
    return [
        figure.text(0, 0, "\n".join(wrap(view.title, 82)), va="top", fontsize=11, fontweight="bold"),
        figure.text(0, 0, "\n".join(caption), va="bottom", fontsize=SMALL, color="0.25"),
    ]


def _name_axes(figure: Figure, view: View, rect: tuple[float, float, float, float]) -> None:
    """Write the labels of the axes once, in the middle of all panels, which are in `rect`."""
    left, bottom, width, height = rect
    x = figure.supxlabel(view.x.label, x=left + 0.5 * width, y=bottom, va="top", fontsize=SMALL)
    y = figure.supylabel(view.y.label, x=0.04 / WIDTH, y=bottom + 0.5 * height, ha="left", fontsize=SMALL)
    for text in (x, y):
        text.set_in_layout(False)


def _add_legend(figure: Figure, view: View) -> Any:
    """Add the legend of the lines and of the marks that have a label; None if there is nothing to explain."""
    handles = []
    colour = view.colour
    if colour and colour.kind == "category" and colour.label:
        dashes = colour.dashes or [""] * len(colour.domain)
        for name, shade, dash in zip(_names(colour), colour.colours, dashes, strict=True):
            handles.append(Line2D([], [], color=shade, linestyle=read_dash(dash), linewidth=2, label=name))
    handles += [_make_handle(mark) for mark in view.marks if mark.label]
    if not handles:
        return None
    longest = max(len(str(handle.get_label())) for handle in handles)
    most = max(1, min(len(handles), int(WIDTH / (0.62 + LETTER * longest))))
    columns = math.ceil(len(handles) / math.ceil(len(handles) / most))
    handles = [handle for column in range(columns) for handle in handles[column::columns]]  # filled by columns
    style: dict[str, Any] = {"frameon": False, "fontsize": SMALL, "borderaxespad": 0, "borderpad": 0.1}
    style |= {"handlelength": 2.2, "columnspacing": 1.2, "ncols": columns, "loc": "upper left"}
    legend = figure.legend(handles=handles, bbox_to_anchor=(0, 0), **style)
    legend.set_in_layout(False)
    return legend


def _make_handle(mark: Mark) -> Line2D:
    """Return the entry of a mark in the legend."""
    colour = mark.colour or "black"
    style: dict[str, Any] = {"color": colour, "linestyle": "", "markersize": min(mark.width or 6, 7)}
    if mark.kind in ("line", "rule", "interval"):
        style |= {"linestyle": read_dash("1 1.5") if mark.dashed else "-", "linewidth": mark.width or 1.6}
    else:
        style["marker"] = {"cross": "x", "tile": "s", "box": "s"}.get(mark.kind, "o")
        style |= {"markeredgecolor": "0.5"} if mark.kind in ("tile", "box") else {"markeredgecolor": colour}
    if mark.hollow:
        style["markerfacecolor"] = "white"
    return Line2D([], [], label=mark.label, **style)


def _measure(figure: Figure, artists: Sequence[Any]) -> list[float]:
    """Return the heights of the artists in inches."""
    canvas: Any = figure.canvas
    renderer = canvas.get_renderer()
    return [artist.get_window_extent(renderer).height / figure.dpi for artist in artists if artist]


def _stack(texts: Sequence[Any], legend: Any, heights: Sequence[float], total: float) -> None:
    """Move title, legend and caption to their places, heights in inches."""
    title, caption = texts
    title.set_position((PAD / WIDTH, 1 - PAD / total))
    caption.set_position((PAD / WIDTH, PAD / total))
    for text in texts:
        text.set_in_layout(False)
    if legend:
        legend.set_bbox_to_anchor((PAD / WIDTH, 1 - (2 * PAD + heights[0]) / total))


def _list_bars(view: View) -> list[Scale]:
    """Return the colour scales with numbers, each once."""
    used = [mark.scale or view.colour for mark in view.marks if "colour" in mark.channels]
    return list({id(scale): scale for scale in used if scale and scale.kind != "category"}.values())


def _add_bars(figure: Figure, scales: Sequence[Scale], bottom: float) -> None:
    """Draw colour bars side by side, this far above the bottom in inches. The stops of a scale are evenly spaced."""
    height = figure.get_figheight()
    width = min((WIDTH - 1) / max(len(scales), 1) - 0.5, 4)
    for index, scale in enumerate(scales):
        left = 0.7 + index * (width + 0.6)
        axes = figure.add_axes((left / WIDTH, (bottom + 0.42) / height, width / WIDTH, 0.12 / height))
        axes.set_in_layout(False)
        stops = np.arange(len(scale.domain))
        values = np.interp(np.linspace(0, stops[-1], 256), stops, scale.domain)
        axes.imshow(find_colours(scale, values)[None], aspect="auto", extent=(0, stops[-1], 0, 1))
        ticks = list(scale.ticks) or list(scale.domain)
        texts = list(scale.labels) or [format_value(tick, scale.format) for tick in ticks]
        axes.set_xticks(np.interp(ticks, scale.domain, stops), texts, fontsize=SMALL)
        axes.set_yticks([])
        axes.tick_params(length=2.5, pad=2)
        axes.set_xlabel(scale.label, fontsize=SMALL, labelpad=1)
