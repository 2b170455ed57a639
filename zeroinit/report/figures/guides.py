"""What surrounds the panels of a figure: texts that fit, ticks, the legend and colour bars."""

import math
import re
from collections.abc import Sequence
from functools import cache
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from zeroinit.report.figures.marks import SMALL, find_colours, read_dash
from zeroinit.report.views.panels import elide, format_power, split_keys
from zeroinit.report.views.view import Mark, Scale, View

TITLE = 11  # points
MIN_LETTERS = 16  # of a text that is shortened
HANDLE = 0.5  # inches of the handle of an entry in the legend, and the space around it


@cache
def measure(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Return the width of a text in inches."""
    if not text:
        return 0.0
    width: float = text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)[0]
    return width / 72


def wrap_keys(text: str, width: float) -> str:
    """Return `key=value, ...` in lines of at most this width in inches, broken between keys or before a long value."""
    lines: list[str] = []
    for part in split_keys(text):
        if lines and measure(f"{lines[-1]}, {part}") <= width:
            lines[-1] += f", {part}"
        else:
            lines += [part] if measure(part) <= width else re.split("(?<==)", part, maxsplit=1)
    return "\n".join(_shorten(line, width) for line in lines if line)


def _shorten(text: str, width: float) -> str:
    """Return a text without as much of its middle as does not fit."""
    length = len(text)
    while measure(elide(text, length)) > width and length > MIN_LETTERS:
        length -= 1
    return elide(text, length)


def wrap_words(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Return a text in lines of at most this width in inches; `n = 2` stays in one line."""
    text = re.sub(r"\bn = (?=\d)", "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}", text)
    letters = int(len(text) * width / max(measure(text, size, weight), 0.1))
    lines = [text]
    while any(measure(line, size, weight) > width for line in lines) and letters > MIN_LETTERS:
        lines, letters = wrap(text, letters), letters - 2
    return "\n".join(lines)


def name_values(scale: Scale) -> list[str]:
    """Return the texts of the values of a band or of a category."""
    return list(scale.labels) or [format_value(value, scale.format) for value in scale.domain]


def format_value(value: Any, kind: str) -> str:
    """Return a value as a scale writes it."""
    if kind == "percent":
        return f"{100 * value:.3g}%"
    if kind == "points":
        return f"{value:+.3g}".replace("-", "\N{MINUS SIGN}") if value else "0"
    if kind == "count":
        return f"{value / 1000:.3g}k" if abs(value) >= 10_000 else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    if kind == "power":
        return format_power(round(value))
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}") if kind == "number" else str(value)


def is_upright(scale: Scale, width: float) -> bool:
    """Return whether the texts of a band are names that have no room side by side."""
    has_names = scale.kind == "band" and scale.format != "count"
    return has_names and 1.1 * max(map(measure, name_values(scale))) * len(scale.domain) > width


def choose_ticks(scale: Scale, size: float, is_across: bool) -> tuple[list[float], list[str]]:
    """Return positions and texts of as many ticks as there is room for in a panel of this size in inches."""
    if scale.kind == "band":
        names = name_values(scale)
        is_wide = is_across and not is_upright(scale, size)
        each = max(map(measure, names)) + 0.08 if is_wide else 0.17
        stride = max(1, math.ceil(len(names) * each / size))
        return list(range(0, len(names), stride)), names[::stride]
    ticks: Sequence[float] = scale.ticks
    if not len(ticks):
        low, high = scale.domain[:2]
        most = max(2, int(size / (0.38 if scale.format == "count" or not is_across else 0.62)))
        factor = 100 if scale.format == "percent" else 1
        locator = MaxNLocator(most, integer=scale.format == "count", steps=[1, 2, 2.5, 5, 10])
        ticks = [tick / factor for tick in locator.tick_values(factor * low, factor * high)]
        ticks = [tick for tick in ticks if low - 1e-9 <= tick <= high + 1e-9]
    texts = list(scale.labels) or [format_value(tick, scale.format) for tick in ticks]
    return _thin_ticks(scale, ticks, texts, size) if is_across else (list(ticks), texts)


def _thin_ticks(
    scale: Scale, ticks: Sequence[float], texts: Sequence[str], size: float
) -> tuple[list[float], list[str]]:
    """Return those of the ticks along an axis whose texts do not touch the one before."""

    def locate(value: float) -> float:
        if scale.kind == "linear" or abs(value) <= 1:
            return value
        return math.copysign(1 + math.log10(abs(value)), value)

    low, high = map(locate, scale.domain[:2])
    chosen: list[tuple[float, str]] = []
    end = -math.inf
    for tick, text in zip(ticks, texts, strict=True):
        middle, half = size * (locate(tick) - low) / (high - low), measure(text) / 2
        if middle - half > end:
            chosen.append((tick, text))
            end = middle + half + 0.06
    return [tick for tick, _ in chosen], [text for _, text in chosen]


def add_legend(figure: Figure, view: View, width: float) -> Any:
    """Add the legend of the lines, and of the marks that have a label; return None if there is nothing to explain."""
    handles = []
    colour = view.colour
    if colour and colour.kind == "category" and colour.label:
        dashes = colour.dashes or [""] * len(colour.domain)
        for name, shade, dash in zip(name_values(colour), colour.colours, dashes, strict=True):
            handles.append(Line2D([], [], color=shade, linestyle=read_dash(dash), linewidth=2, label=name))
    handles += [_make_handle(mark) for mark in view.marks if mark.label]
    if not handles:
        return None
    each = HANDLE + max(measure(str(handle.get_label())) for handle in handles)
    lines = math.ceil(len(handles) / max(1, min(len(handles), int(width / each))))
    columns = math.ceil(len(handles) / lines)
    handles = [handle for column in range(columns) for handle in handles[column::columns]]  # filled by columns
    style: dict[str, Any] = {"frameon": False, "fontsize": SMALL, "borderaxespad": 0, "borderpad": 0.1}
    style |= {"handlelength": 2.2, "columnspacing": 1.2, "ncols": columns, "loc": "upper left"}
    return figure.legend(handles=handles, **style)


def _make_handle(mark: Mark) -> Line2D:
    """Return the entry of a mark in the legend."""
    style: dict[str, Any] = {"color": mark.colour or "black", "linestyle": "", "markersize": min(mark.width or 6, 7)}
    if mark.kind in ("line", "rule", "interval"):
        style |= {"linestyle": read_dash("1 1.5") if mark.dashed else "-", "linewidth": mark.width or 1.6}
    else:
        style["marker"] = {"cross": "x", "tile": "s", "box": "s"}.get(mark.kind, "o")
    if mark.hollow:
        style["markerfacecolor"] = "white"
    return Line2D([], [], label=mark.label, **style)


def list_bars(view: View) -> list[Scale]:
    """Return the colour scales with numbers, each once."""
    used = [mark.scale or view.colour for mark in view.marks if "colour" in mark.channels]
    return list({id(scale): scale for scale in used if scale and scale.kind != "category"}.values())


def add_bars(figure: Figure, scales: Sequence[Scale], bottom: float) -> None:
    """Draw colour bars side by side, this far above the bottom in inches. The stops of a scale are evenly spaced."""
    total, height = figure.get_size_inches()
    width = min((total - 1) / max(len(scales), 1) - 0.5, 4)
    for index, scale in enumerate(scales):
        left = 0.7 + index * (width + 0.6)
        axes = figure.add_axes((left / total, (bottom + 0.42) / height, width / total, 0.12 / height))
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
