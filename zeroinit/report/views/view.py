"""What a view is: a tidy frame, its scales, its marks and its texts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import pandas as pd

DIGITS = 4  # of the numbers of a frame
SCALE_DIGITS = 9  # of the bounds of scales, which may lie close together

Kind = Literal["linear", "log", "symlog", "band", "category", "sequential", "diverging"]
Format = Literal["percent", "points", "count", "number", "power", "text"]
MarkKind = Literal["line", "band", "dot", "interval", "tile", "text", "rule", "box", "cross"]


@dataclass(frozen=True)
class Scale:
    """How a channel of the marks is shown.

    Attributes:
        label: What the values are, with their unit; of a colour scale, empty if it needs no legend.
        kind: band and category have ordered values, the others numbers. symlog is linear up to 1, then logarithmic.
        domain: The ordered values, or the (low, high) numbers that are shown. Of a colour scale with numbers, a number
            for each colour: colours between them are interpolated, and beyond them clamped.
        format: How values are written: shares as percent, points with a sign, counts without digits, powers of two.
        colours: Of a colour scale, a hex colour for each value of the domain.
        dashes: Of a category colour scale of lines, an SVG dash array such as `5 2` for each value; empty if all lines
            are solid. The legend shows them; the marks have a channel dash.
        ticks: Where ticks are; empty to choose them by the space that there is, of a band some of its values.
        labels: Texts in place of the ticks, or, without ticks, of the values of the domain; empty to write the values.
        reverse: Whether the first value of the domain is on top, or at the right.
    """

    label: str
    kind: Kind
    domain: Sequence[Any]
    format: Format = "number"
    colours: Sequence[str] = ()
    dashes: Sequence[str] = ()
    ticks: Sequence[float] = ()
    labels: Sequence[str] = ()
    reverse: bool = False

    def to_data(self) -> dict[str, Any]:
        """Return the scale as values that JSON has."""
        return cast("dict[str, Any]", _plain(vars(self), SCALE_DIGITS))


@dataclass(frozen=True)
class Facet:
    """Panels for the values of a column of the frame.

    A view with columns alone may have many: a renderer then wraps them into several lines, each with its heading.

    Attributes:
        column: The column.
        values: Its values in order.
        headings: The text at the panels of each value.
    """

    column: str
    values: Sequence[str]
    headings: Sequence[str]


@dataclass(frozen=True)
class Mark:
    """One layer of a view.

    Attributes:
        kind: A line through the rows of each group; a band between low and high; a dot; an interval from low to high
            along x or y; a tile; a text; a rule at a value of x or y across the panel; a box with whiskers; a cross.
        channels: {channel: column}. Channels are x, y, low, high, colour, text, group, dash (an SVG dash array, one for
            each group), width (of the line of each group), opacity, tip (a text on hover), and of a box q05, q25, q50,
            q75, q95. What has low and high lacks the channel of the axis along which they are: y of a band, x or y of
            an interval, a tile or a rule. A tile without them fills its band. A rule with low and high is as long as
            that. A box lies along the axis that is no band.
        where: A column of booleans: the rows that have the mark; empty for all rows. The columns of a mark have no NaN
            in these rows, except that a line has a gap there.
        colour: A hex colour if no column decides it.
        scale: The scale of its colours if it is not the view's.
        label: Its entry in the legend; empty for none.
        width: The width of a line, the diameter of a dot or cross, or the size of a text, in points; 0 for the usual.
        opacity: From 0 to 1.
        dashed: Whether a line is dashed.
        anchor: Which part of a text is at x.
        shift: How far a text is to the right of its place, and above it, in points.
        hollow: Whether a dot is white with a coloured edge.
    """

    kind: MarkKind
    channels: Mapping[str, str]
    where: str = ""
    colour: str = ""
    scale: Scale | None = None
    label: str = ""
    width: float = 0
    opacity: float = 1
    dashed: bool = False
    anchor: Literal["start", "middle", "end"] = "middle"
    shift: tuple[float, float] = (0, 0)
    hollow: bool = False


@dataclass(frozen=True)
class View:
    """A chart as data.

    Attributes:
        name: The name of its files and of its place on the page.
        title: The finding as a sentence, or what the chart shows where there is no finding.
        caption: How to read it: what a mark is, n, the interval, and what all cells share.
        frame: A row for each mark, with named columns in units that the scales state.
        x: The horizontal scale.
        y: The vertical scale.
        marks: From the back to the front.
        colour: The scale of the marks' colours; None if each mark has a colour of its own.
        rows: The panels from top to bottom.
        columns: The panels from left to right.
        notes: Further lines below the caption.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    x: Scale
    y: Scale
    marks: Sequence[Mark]
    colour: Scale | None = None
    rows: Facet | None = None
    columns: Facet | None = None
    notes: Sequence[str] = field(default=())

    def to_data(self, digits: int = DIGITS) -> dict[str, Any]:
        """Return the view as values that JSON has: the frame by columns, numbers with `digits` significant digits."""
        used = {column for mark in self.marks for column in (*mark.channels.values(), mark.where) if column}
        used |= {facet.column for facet in (self.rows, self.columns) if facet}
        columns = {str(name): plain_column(self.frame[name], digits) for name in self.frame.columns if name in used}
        parts = {"name": self.name, "title": self.title, "caption": self.caption, "notes": list(self.notes)}
        scales = {"x": self.x, "y": self.y, "colour": self.colour, "rows": self.rows, "columns": self.columns}
        return {
            **parts,
            "frame": columns,
            **{key: _plain(vars(scale), SCALE_DIGITS) if scale else None for key, scale in scales.items()},
            "marks": [
                _plain(vars(mark) | {"scale": vars(mark.scale) if mark.scale else None}, SCALE_DIGITS)
                for mark in self.marks
            ],
        }


def plain_column(column: "pd.Series[Any]", digits: int = DIGITS) -> list[Any]:
    """Return the values of a column as JSON has them, numbers with `digits` significant digits."""
    if column.dtype.kind in "biu":
        return list(column.tolist())
    if column.dtype.kind == "f":
        return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in column.tolist()]
    return [value if isinstance(value, str) else _plain(value, digits) for value in column.tolist()]


def _plain(value: Any, digits: int) -> Any:
    """Return the value as JSON has it; numbers that are not finite are None."""
    if isinstance(value, Mapping):
        return {key: _plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def spread_evenly(low: float, high: float, count: int) -> list[float]:
    """Return `count` numbers at even distances, for the domain of a colour scale with as many colours."""
    return [low + (high - low) * index / (count - 1) for index in range(count)]
