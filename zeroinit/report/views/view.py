"""What a view is: a tidy frame, its scales, its marks and its texts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

Kind = Literal["linear", "log", "symlog", "band", "category", "sequential", "diverging"]
Format = Literal["percent", "points", "count", "number", "power", "text"]
MarkKind = Literal["line", "band", "dot", "interval", "tile", "text", "rule", "box", "cross"]


@dataclass(frozen=True)
class Scale:
    """How a channel of the marks is shown.

    Attributes:
        label: What the values are, with their unit.
        kind: band and category have ordered values, the others numbers. symlog is linear up to 1, then logarithmic.
        domain: The ordered values, or the (low, high) numbers that are shown.
        format: How values are written: shares as percent, points with a sign, counts without digits, powers of two.
        colours: Of a colour scale, a hex colour for each value of the domain, or the stops from low to high.
        ticks: Where ticks are; empty to choose them by the space that there is.
        reverse: Whether the first value of the domain is on top, or at the right.
    """

    label: str
    kind: Kind
    domain: Sequence[Any]
    format: Format = "number"
    colours: Sequence[str] = ()
    ticks: Sequence[float] = ()
    reverse: bool = False


@dataclass(frozen=True)
class Facet:
    """Panels for the values of a column of the frame.

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
        channels: {channel: column}. Channels are x, y, low, high, colour, text, group, dash, tip (a text on hover), and
            of a box q05, q25, q50, q75, q95. An interval has low and high along the axis that it lacks.
        where: A column of booleans: the rows that have the mark; empty for all rows.
        colour: A hex colour if no column decides it.
        width: The width of a line, or the diameter of a dot, in points.
        opacity: From 0 to 1.
        dashed: Whether a line is dashed.
    """

    kind: MarkKind
    channels: Mapping[str, str]
    where: str = ""
    colour: str = ""
    width: float = 1.6
    opacity: float = 1
    dashed: bool = False


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

    def to_data(self, digits: int = 4) -> dict[str, Any]:
        """Return the view as values that JSON has: the frame by columns, numbers with `digits` significant digits."""
        used = {column for mark in self.marks for column in (*mark.channels.values(), mark.where) if column}
        used |= {facet.column for facet in (self.rows, self.columns) if facet}
        columns = {
            str(name): [_plain(value, digits) for value in self.frame[name].tolist()]
            for name in self.frame.columns
            if name in used
        }
        parts = {"name": self.name, "title": self.title, "caption": self.caption, "notes": list(self.notes)}
        scales = {"x": self.x, "y": self.y, "colour": self.colour, "rows": self.rows, "columns": self.columns}
        return {
            **parts,
            "frame": columns,
            **{key: _plain(vars(scale), digits) if scale else None for key, scale in scales.items()},
            "marks": [_plain(vars(mark), digits) for mark in self.marks],
        }


def _plain(value: Any, digits: int) -> Any:
    """Return the value as JSON has it; numbers that are not finite are None."""
    if isinstance(value, Mapping):
        return {key: _plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value
