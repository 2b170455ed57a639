"""What views share: panels for the keys that differ between cells, and the words of captions."""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from zeroinit.report.cells import Cell, independent_keys, naming_keys, sort_values
from zeroinit.report.histories import space_evenly
from zeroinit.report.statistics import DRAWS, value_range
from zeroinit.report.views.view import Facet, View

MAX_COLUMNS = 5  # values of a key that have columns
MAX_LETTERS = 40  # of a name


@dataclass(frozen=True)
class Panels:
    """The panel of each of some params.

    Attributes:
        rows: The panels from top to bottom; None if there is one row.
        columns: The panels from left to right; without rows there may be many, which a renderer wraps.
        row_of: The value of the rows of each of the params.
        column_of: The value of the columns of each of the params.
        shared: The keys with one value in all panels, `key=value, ...`.
    """

    rows: Facet | None
    columns: Facet | None
    row_of: list[str]
    column_of: list[str]
    shared: str

    @property
    def is_single(self) -> bool:
        """Whether there is one panel."""
        return self.rows is None and self.columns is None


def arrange_panels(params: Sequence[Mapping[str, str]], keys: Iterable[str]) -> Panels:
    """Return a panel for each combination of the keys that distinguish these params.

    The last key with few values has columns, and the other keys have rows. Without one, all panels have columns.
    """
    values = {key: sort_values(cell[key] for cell in params if key in cell) for key in keys}
    varying = independent_keys(params, values)
    shared = ", ".join(elide(f"{key}={of_key[0]}") for key, of_key in values.items() if len(of_key) == 1)
    combinations = [tuple(cell.get(key, "") for key in varying) for cell in params]

    def rank(combination: tuple[str, ...]) -> list[int]:
        pairs = zip(varying, combination, strict=True)
        return [values[key].index(value) if value in values[key] else -1 for key, value in pairs]

    ordered = sorted(dict.fromkeys(combinations), key=rank)
    few = [key for index, key in enumerate(varying) if len({values[index] for values in ordered}) <= MAX_COLUMNS]
    column_keys = few[-1:] or varying
    row_keys = [key for key in varying if key not in column_keys]

    def take(keys: Sequence[str], combination: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value for key, value in zip(varying, combination, strict=True) if key in keys)

    in_columns = sorted(ordered, key=lambda combination: [rank(combination)[varying.index(key)] for key in column_keys])
    rows = _make_facet("row", row_keys, dict.fromkeys(take(row_keys, combination) for combination in ordered))
    columns = _make_facet("column", column_keys, dict.fromkeys(take(column_keys, each) for each in in_columns))
    row_of = [name_values(row_keys, take(row_keys, combination)) for combination in combinations]
    column_of = [name_values(column_keys, take(column_keys, combination)) for combination in combinations]
    return Panels(rows, columns, row_of, column_of, shared)


def _make_facet(column: str, keys: Sequence[str], combinations: Iterable[tuple[str, ...]]) -> Facet | None:
    """Return the facet of these values of the keys; None without keys."""
    listed = list(combinations)
    if not keys:
        return None
    headings = [name_values(keys, values, MAX_LETTERS) for values in listed]
    return Facet(column, [name_values(keys, values) for values in listed], headings)


def name_values(keys: Iterable[str], values: Iterable[str], longest: int | None = None) -> str:
    """Return `key=value, ...` for each key with a value, each part elided if it is too long."""
    parts = (f"{key}={value}" for key, value in zip(keys, values, strict=True) if value)
    return ", ".join(elide(part, longest) if longest else part for part in parts)


def stack_parts(parts: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    """Return the frame of parts {column: values, or a value of all rows of the part}; a frame a part would be slow."""
    stacked: dict[str, list[Any]] = {column: [] for column in columns}
    for part in parts:
        count = max(np.size(values) for values in part.values())
        for column, values in part.items():
            is_text = isinstance(values, str)
            stacked[column].append(
                np.full(count, values, object if is_text else None) if np.ndim(values) == 0 else values
            )
    return pd.DataFrame({column: np.concatenate(values) if values else [] for column, values in stacked.items()})


def limit_rows(view: View, most: int, across: int) -> View:
    """Return the view with at most `most` lines of panels, and a note on the others.

    Args:
        view: A view.
        most: The number of lines.
        across: The number of columns in a line, if the view has columns alone.
    """
    facet, limit = (view.rows, most) if view.rows else (view.columns, most * across)
    if facet is None or len(facet.values) <= limit:
        return view
    shorter = Facet(facet.column, facet.values[:limit], facet.headings[:limit])
    frame = view.frame[view.frame[facet.column].isin(list(shorter.values))]
    left_out = len(facet.values) - limit
    note = f"{left_out} more {'rows of panels' if view.rows else 'panels'} are left out."
    rows, columns = (shorter, view.columns) if view.rows else (None, shorter)
    return replace(view, frame=frame, notes=[*view.notes, note], rows=rows, columns=columns)


def elide(text: str, longest: int = MAX_LETTERS) -> str:
    """Return the text, without its middle if it is too long for a panel."""
    return text if len(text) <= longest else f"{text[: longest - 13]}\N{HORIZONTAL ELLIPSIS}{text[-12:]}"


def choose_evenly(items: Sequence[str], most: int) -> list[str]:
    """Return at most `most` of the items at even distances, the first and the last included."""
    return [items[index] for index in space_evenly(len(items), most)] if items else []


def split_keys(label: str) -> list[str]:
    """Return the parts of `key=value, ...`, whose values may contain commas."""
    return re.split(r", (?=[\w.@]+=)", label)


def split_shared_parts(labels: Sequence[str]) -> tuple[list[str], str]:
    """Return each label `key=value, ...` without the parts that all of them share, and those parts."""
    parts = [split_keys(label) for label in labels]
    shared = [part for part in parts[0] if len(parts) > 1 and all(part in other for other in parts)]
    distinct = [", ".join(part for part in of_label if part not in shared) for of_label in parts]
    return distinct, ", ".join(map(elide, shared))


def format_power(exponent: int) -> str:
    """Return a power of two as text with superscripts."""
    return "2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def list_decades(last: float) -> list[int]:
    """Return 0, 1, 10, ... up to the last step; below 10 also 2 and 5, so that there are several ticks."""
    factors = (1, 2, 5) if last < 10 else (1,)
    powers = range(len(str(int(last))))
    return [0, 1, *(tick for power in powers for factor in factors if 1 < (tick := factor * 10**power) <= last)]


def describe_units(cells: Sequence[Cell]) -> str:
    """Return `mean over n = 3 draws of the init`, and what n counts if the init draws nothing."""
    finished = [cell for cell in cells if cell.finished]
    others = sorted({cell.counted for cell in finished} - {DRAWS})
    n = format_n({cell.n for cell in finished})
    if others and all(cell.counted != DRAWS for cell in finished):
        return f"mean over {n} {' or '.join(others)}"
    more = f", or {' or '.join(others)} where the init draws nothing" if others else ""
    return f"mean over {n} draws of the init{more}"


def describe_bands(counts: Collection[int], metric: str) -> str:
    """Return what the bands show around means of a metric over these numbers of units."""
    limits = {(0.0, 1.0): ", within 0 to 100%", (-math.inf, 1.0): ", up to 100%"}
    words = "Student's 95% interval" + limits.get(value_range(metric), "")
    interval = [words] if not counts or max(counts) > 2 else []
    values = ["from one value to the other with n = 2"] if 2 in counts else []
    return "; ".join([*interval, *values]) or "none for n = 1"


def format_n(counts: Collection[int]) -> str:
    """Return `n = 3`, or `n = 2 to 10`."""
    ordered = sorted(counts) or [0]
    return f"n = {ordered[0]}" + (f" to {ordered[-1]}" if len(ordered) > 1 else "")


def write_caption(parts: Iterable[str]) -> str:
    """Return a sentence of those parts that are not empty."""
    return f"{'; '.join(part for part in parts if part)}."


def describe_fixed(cells: Sequence[Cell], but: Collection[str]) -> str:
    """Return `key=value, ...` for the keys that name cells and have one value in all of these."""
    keys = [key for key in naming_keys(cells) if key not in but]
    same = [key for key in keys if len({cell.params.get(key) for cell in cells}) == 1 and key in cells[0].params]
    return ", ".join(elide(f"{key}={cells[0].params[key]}") for key in same)
