"""A view as a figure of matplotlib. It computes, sorts and names nothing."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zeroinit.report.figures.guides import (
    TITLE,
    add_bars,
    add_legend,
    choose_ticks,
    is_upright,
    list_bars,
    measure,
    name_values,
    wrap_keys,
    wrap_words,
)
from zeroinit.report.figures.marks import SMALL, Panel, draw_mark
from zeroinit.report.views.panels import limit_rows
from zeroinit.report.views.view import Facet, Scale, View

DPI = 110  # pixels per inch; with the usual width, MLflow's UI shows 600 to 900 pixels
MAX_ROWS, MAX_ACROSS, MAX_WRAPPED = 12, 5, 3  # lines of panels; panels in a line, and in a line of many
LINE, PAD, BAR = 0.165, 0.08, 0.62  # inches of a line of text, around the parts, and of a colour bar with its texts
TEXT_SHARE = 0.97  # of the width, for title and caption: hinted letters are a little wider than `measure` says


@dataclass(frozen=True)
class Grid:
    """Where the panels are.

    Attributes:
        down: The number of lines of panels.
        across: The number of panels in a line.
        size: About how wide and high a panel is, in inches.
        values: The values of the facets' rows and columns of each panel, by its line and its number there.
        headings: The texts above panels, by the same: those of the line on the left, those of the panel.
    """

    down: int
    across: int
    size: tuple[float, float]
    values: Mapping[tuple[int, int], tuple[str | None, str | None]]
    headings: Mapping[tuple[int, int], tuple[str, str]]


def draw_view(view: View, width: float = 8.0) -> Figure:
    """Return the figure of a view. Its axes may be changed before it is saved.

    At most MAX_ROWS lines of panels are drawn; a note says how many are left out.

    Args:
        view: The view.
        width: The width of the figure in inches.
    """
    view = limit_rows(view, MAX_ROWS, MAX_WRAPPED)
    grid, bars = _arrange(view, width), list_bars(view)
    figure = Figure(figsize=(width, 1), dpi=DPI)
    FigureCanvasAgg(figure)
    text_width = TEXT_SHARE * (width - 2 * PAD)
    words = wrap_words(view.title, text_width, TITLE, "bold")
    title = figure.text(0, 0, words, va="top", fontsize=TITLE, fontweight="bold")
    lines = [wrap_words(text, text_width, SMALL) for text in (view.caption, *view.notes)]
    caption = figure.text(PAD / width, 0, "\n".join(lines), va="bottom", fontsize=SMALL, color="0.25")
    legend = add_legend(figure, view, width - 2 * PAD)
    heights = {part: _measure_height(figure, part) for part in (title, caption, legend) if part}
    top = (len(heights) - 0.5) * PAD + sum(heights.values()) - heights[caption]
    bottom = 3 * PAD + heights[caption] + (BAR if bars else 0) + LINE
    below = 0.25 + (max(map(measure, name_values(view.x))) if is_upright(view.x, grid.size[0]) else 0)
    lines_of_headings = sum(
        max(text.count("\n") + bool(text) for text in map("\n".join, _line(grid, row))) for row in range(grid.down)
    )
    height = top + bottom + below + grid.down * (grid.size[1] + 0.12) + LINE * lines_of_headings
    figure.set_figheight(height)
    title.set_position((PAD / width, 1 - PAD / height))
    caption.set_position((PAD / width, PAD / height))
    if legend:
        legend.set_bbox_to_anchor((PAD / width, 1 - (2 * PAD + heights[title]) / height))
    rect = (LINE / width, bottom / height, 1 - LINE / width, 1 - (top + bottom) / height)
    # the labels of the axes are written once, in the middle of all panels
    x = figure.supxlabel(view.x.label, x=0.5, y=rect[1], va="top", fontsize=SMALL)
    y = figure.supylabel(view.y.label, x=0.04 / width, y=rect[1] + rect[3] / 2, ha="left", fontsize=SMALL)
    for part in (title, caption, legend, x, y):
        if part:
            part.set_in_layout(False)
    figure.set_layout_engine("constrained", rect=rect, w_pad=0.06, h_pad=0.04, wspace=0, hspace=0)
    axes = figure.subplots(grid.down, grid.across, squeeze=False)
    _fill_panels(view, grid, axes)
    _scale_panels(view, grid, axes)
    add_bars(figure, bars, heights[caption] + PAD)
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


def _measure_height(figure: Figure, artist: Any) -> float:
    """Return the height of an artist in inches."""
    canvas: Any = figure.canvas
    height: float = artist.get_window_extent(canvas.get_renderer()).height
    return height / figure.dpi


def _arrange(view: View, width: float) -> Grid:
    """Return where the panels are in a figure of this width."""
    rows: Sequence[Any] = view.rows.values if view.rows else [None]
    columns: Sequence[Any] = view.columns.values if view.columns else [None]
    is_wrapped = len(columns) > MAX_ACROSS and view.rows is None
    across = MAX_WRAPPED if is_wrapped else len(columns)
    down = math.ceil(len(columns) / across) if is_wrapped else len(rows)
    is_band = view.y.kind == "band"
    left = 0.4 + max(map(measure, name_values(view.y))) if is_band else 0.75
    height = max(0.6, 0.27 * len(view.y.domain)) if is_band else 3.0 if down * across == 1 else 1.9 if down < 4 else 1.3
    size = (width - left - 0.12 * across) / across, height
    values, headings = {}, {}
    for row, of_row in enumerate(rows):
        for index, of_column in enumerate(columns):
            position = divmod(index, across) if is_wrapped else (row, index)
            values[position] = (of_row, of_column)
            beside = wrap_keys(view.rows.headings[row], size[0]) if view.rows and not index else ""
            has_heading = view.columns is not None and (is_wrapped or not row)
            above = wrap_keys(view.columns.headings[index], size[0]) if view.columns and has_heading else ""
            headings[position] = (beside, above)
    return Grid(down, across, size, values, headings)


def _line(grid: Grid, row: int) -> list[tuple[str, ...]]:
    """Return the texts above each panel in a line."""
    return [tuple(text for text in grid.headings.get((row, column), ()) if text) for column in range(grid.across)]


def _fill_panels(view: View, grid: Grid, axes: Any) -> None:
    """Draw the marks of each panel, and its headings; panels without marks are hidden."""
    columns = {name: view.frame[name].to_numpy() for name in view.frame.columns}
    width, height = (
        size / len(scale.domain) if scale.kind == "band" else size
        for size, scale in zip(grid.size, (view.x, view.y), strict=True)
    )
    lines = max(
        (text[1].count("\n") + bool(text[1]) for position, text in grid.headings.items() if not position[0]), default=0
    )
    for position in np.ndindex(*axes.shape):
        panel: Axes = axes[position]
        is_here = _select(view, grid, position, columns)
        panel.set_visible(bool(is_here.any()))
        for mark in view.marks if is_here.any() else ():
            chosen = is_here & columns[mark.where].astype(bool) if mark.where else is_here
            if chosen.any():
                rows = {channel: columns[name][chosen] for channel, name in mark.channels.items()}
                draw_mark(Panel(panel, view, (width, height)), mark, rows)
        beside, above = grid.headings.get(position, ("", ""))
        panel.set_title(above, fontsize=SMALL, pad=3)
        if beside:
            panel.set_title(beside + "\n" * (0 if position[0] else lines), fontsize=SMALL, pad=3, loc="left")


def _select(view: View, grid: Grid, position: tuple[int, ...], columns: Mapping[str, Any]) -> Any:
    """Return which rows of the frame a panel has."""
    is_here = np.full(len(view.frame), position in grid.values)
    facets: tuple[Facet | None, ...] = (view.rows, view.columns)
    for facet, value in zip(facets, grid.values.get((position[0], position[1]), ()), strict=False):
        if facet:
            is_here &= columns[facet.column] == value
    return is_here


def _scale_panels(view: View, grid: Grid, axes: Any) -> None:
    """Set the axes of all panels: lines at the ticks of each, ticks and texts at the outer ones, as they are slow."""
    x_ticks, x_texts = choose_ticks(view.x, grid.size[0], is_across=True)
    y_ticks, y_texts = choose_ticks(view.y, grid.size[1], is_across=False)
    for row, column in np.ndindex(*axes.shape):
        panel: Axes = axes[row, column]
        is_lowest = not any(other.get_visible() for other in axes[row + 1 :, column])
        is_first = not any(other.get_visible() for other in axes[row, :column])
        _set_range(view.x, panel.set_xscale, panel.set_xlim)
        _set_range(view.y, panel.set_yscale, panel.set_ylim)
        panel.set_xticks(*((x_ticks, x_texts) if is_lowest else ([], [])), fontsize=SMALL)
        panel.set_yticks(*((y_ticks, y_texts) if is_first else ([], [])), fontsize=SMALL)
        panel.minorticks_off()
        panel.tick_params(length=2.5, pad=2)
        panel.tick_params(axis="x", labelrotation=90 if is_upright(view.x, grid.size[0]) else 0)
        panel.spines[:].set_color("0.6")
        style: dict[str, Any] = {"color": "0.9", "linewidth": 0.6, "zorder": 0}
        if view.x.kind != "band":
            panel.vlines(x_ticks, 0, 1, transform=panel.get_xaxis_transform(), **style)
        if "band" not in (view.x.kind, view.y.kind):
            panel.hlines(y_ticks, 0, 1, transform=panel.get_yaxis_transform(), **style)


def _set_range(scale: Scale, set_kind: Any, set_limits: Any) -> None:
    """Set the kind and the range of an axis."""
    if scale.kind in ("log", "symlog"):
        set_kind(scale.kind, **({"linthresh": 1} if scale.kind == "symlog" else {}))
    ends = (-0.5, len(scale.domain) - 0.5) if scale.kind == "band" else (scale.domain[0], scale.domain[1])
    set_limits(*(ends[::-1] if scale.reverse else ends))
