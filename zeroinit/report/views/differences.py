"""Each cell minus the baseline: a forest plot of paired differences of the test score."""

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from zeroinit.report.answer import COUNTED, count_directions
from zeroinit.report.cells import (
    Cell,
    inits_of,
    join_words,
    learned_nothing,
    list_scores,
    name_inits,
    naming_keys,
    sort_values,
)
from zeroinit.report.comparisons import (
    ABOVE,
    BASELINE,
    BELOW,
    UNCERTAIN,
    UNCLEAR,
    Comparison,
    Difference,
    compare_with_baseline,
    describe_widening,
)
from zeroinit.report.views.colours import style_inits
from zeroinit.report.views.panels import Panels, arrange_panels, elide, format_n, write_caption
from zeroinit.report.views.view import Mark, Scale, View
from zeroinit.tracker.scores import name_scores

MIN_HALF_WIDTH = 0.5  # of the axis, in points
MARGIN = 0.06  # of the axis beyond the intervals
MIN_REACH, MAX_JUMP = 1.0, 4  # points, and times the nearer differences: what is further off is beyond the axis
MAX_NAMES = 2  # inits that a title names


def make_differences(
    cells: Sequence[Cell], baseline: str = BASELINE, shown: Collection[Cell] | None = None
) -> View | None:
    """Return the forest plot of each cell minus the cell of the baseline; None without a pair of runs.

    The axis fits the differences under discussion. Others are at its edge, with their value as text.

    Args:
        cells: The cells of a sweep.
        baseline: The name of the baseline init.
        shown: The cells that have a line; None for all. The others count for the width of the intervals.
    """
    lines = {id(cell) for cell in (cells if shown is None else shown)}
    pairs = [part for part in compare_with_baseline(cells, baseline) if part.difference and part.difference.n]
    compared = [part for part in pairs if id(part.cell) in lines]
    if not compared:
        return None
    params = [part.cell.params for part in compared]
    keys = naming_keys(cells)
    names = name_inits(params)
    panels = arrange_panels(params, [key for key in keys if not key.startswith("init")])
    domain = _choose_domain(compared)
    order = sort_values(names)
    frame = _make_frame(compared, names, panels, domain)
    styles = style_inits(inits_of(cells))
    inits = {name: values["init"] for name, values in zip(names, params, strict=True)}
    return View(
        "differences",
        _find_title(compared, baseline),
        _describe(compared, frame, panels, baseline),
        frame,
        Scale(f"test {_name_scores(compared)} minus {baseline}, percentage points", "linear", domain, "points"),
        Scale("init", "band", order, "text", labels=[elide(name) for name in order], reverse=True),
        [
            Mark("rule", {"x": "zero"}, colour="#2B2F33", width=1),
            Mark("interval", {"low": "low", "high": "high", "y": "line", "colour": "line"}, "has_interval", width=2),
            Mark("dot", {"x": "value", "y": "line", "colour": "line", "tip": "tip"}, where="is_mean", width=8),
            Mark("dot", {"x": "value", "y": "line", "colour": "line"}, where="is_seed", width=3.5, hollow=True),
            Mark("text", {"x": "value", "y": "line", "text": "text"}, where="is_low", anchor="start", shift=(2, 0)),
            Mark("text", {"x": "value", "y": "line", "text": "text"}, where="is_high", anchor="end", shift=(-2, 0)),
        ],
        Scale("", "category", order, "text", colours=[styles[inits[name]].colour for name in order]),
        panels.rows,
        panels.columns,
    )


def _choose_domain(compared: Sequence[Comparison]) -> tuple[float, float]:
    """Return the axis that holds zero, and the intervals and seeds of the differences under discussion.

    These are of the cells that learn, unless none does, up to the first that is several times as far from the baseline
    as all that are nearer, if these are more than half.
    """
    learning = [part.difference for part in compared if not learned_nothing(part.cell)]
    differences = learning or [part.difference for part in compared]
    ends, reach = [0.0], MIN_REACH
    nearest = sorted((part for part in differences if part), key=lambda part: abs(part.mean))
    for count, difference in enumerate(nearest):
        if abs(difference.mean) > MAX_JUMP * reach and count > len(nearest) / 2:
            break
        reach = max(reach, abs(difference.mean))
        ends += [difference.low, difference.high, *difference.values]
    low, high = float(min(ends)), float(max(ends))
    margin = MARGIN * (high - low)
    return min(low - margin, -MIN_HALF_WIDTH), max(high + margin, MIN_HALF_WIDTH)


def _make_frame(
    compared: Sequence[Comparison], names: Sequence[str], panels: Panels, domain: tuple[float, float]
) -> pd.DataFrame:
    """Return a row for each cell and for each seed; value, low and high in percentage points, cut at the axis."""
    rows: list[dict[str, Any]] = []
    for part, name, row, column in zip(compared, names, panels.row_of, panels.column_of, strict=True):
        difference = part.difference
        assert difference
        is_low, is_high = difference.mean < domain[0], difference.mean > domain[1]
        is_inside = not (is_low or is_high)
        has_interval = is_inside and difference.n > 1
        text = f"\N{BLACK LEFT-POINTING SMALL TRIANGLE} {_write(difference)}" if is_low else ""
        text = f"{_write(difference)} \N{BLACK RIGHT-POINTING SMALL TRIANGLE}" if is_high else text
        shared = {"row": row, "column": column, "line": name, "zero": 0.0}
        cell = {
            "value": domain[0] if is_low else domain[1] if is_high else difference.mean,
            "low": max(difference.low, domain[0]),
            "high": min(difference.high, domain[1]),
            "text": text,
            "tip": f"{name} minus baseline: {_write(difference)} points ({format_n([difference.n])})",
            "is_seed": False,
            "is_mean": is_inside,
            "has_interval": has_interval,
            "is_interval_cut": has_interval and not domain[0] <= difference.low <= difference.high <= domain[1],
            "is_low": is_low,
            "is_high": is_high,
        }
        rows.append(shared | cell)
        flags = dict.fromkeys(("is_mean", "has_interval", "is_interval_cut", "is_low", "is_high"), False)
        for value in difference.values:
            is_shown = has_interval and domain[0] <= value <= domain[1]
            rows.append(shared | flags | {"value": float(value), "text": "", "tip": "", "is_seed": bool(is_shown)})
    return pd.DataFrame(rows)


def _name_scores(compared: Sequence[Comparison]) -> str:
    """Return the name of the score of the cells."""
    return name_scores(list_scores([part.cell for part in compared]))


def _write(difference: Difference) -> str:
    """Return a difference with its interval, with a typographic minus."""
    return difference.format().replace("-", "\N{MINUS SIGN}")


def _find_title(compared: Sequence[Comparison], baseline: str) -> str:
    """Return which inits end above or below the baseline, and by how much."""
    learning = [part for part in compared if not learned_nothing(part.cell)]
    silent = sorted({part.cell.params["init"] for part in compared} - {part.cell.params["init"] for part in learning})
    inits = list(dict.fromkeys(part.cell.params["init"] for part in learning))
    dead = f"{join_words(silent)} {'does' if len(silent) == 1 else 'do'} not learn" if silent else ""
    if not inits:
        return dead
    if not any(part.difference.has_interval for part in learning if part.difference):
        counts = {part.difference.n for part in learning if part.difference}
        return f"Test {_name_scores(compared)} minus {baseline}: {format_n(counts)} is too few for intervals"
    if len(inits) <= MAX_NAMES:
        sentences = [_describe_init(init, learning, baseline) for init in inits]
        return "; ".join([*sentences, *([dead] if dead and len(silent) <= MAX_NAMES else [])])
    return count_directions(compared, baseline)


def _describe_init(init: str, learning: Sequence[Comparison], baseline: str) -> str:
    """Return `zero_uniform ends 0.8 to 1.1 points below default`, and in how many cells if not in all."""
    differences = [part.difference for part in learning if part.cell.params["init"] == init and part.difference]
    parts = []
    for direction in (ABOVE, BELOW):
        sizes = sorted(abs(part.mean) for part in differences if part.direction == direction)
        if sizes:
            ends = list(dict.fromkeys(f"{size:.1f}" for size in (sizes[0], sizes[-1])))
            cells = "" if len(sizes) == len(differences) else f" in {len(sizes)} of {len(differences)} cells"
            parts.append(f"{' to '.join(ends)} points {direction} {baseline}{cells}")
    directions = {part.direction for part in differences}
    if not parts and UNCERTAIN in directions:
        unclear = f"{COUNTED[UNCLEAR][0]} from {baseline} or " if UNCLEAR in directions else ""
        return f"{elide(init)} {unclear}{COUNTED[UNCERTAIN][0]}"
    if not parts:
        few = "" if any(part.has_interval for part in differences) else " (too few seeds for an interval)"
        return f"{elide(init)} {COUNTED[UNCLEAR][0]} from {baseline}{few}"
    return f"{elide(init)} ends {join_words(parts)}"


def _describe(compared: Sequence[Comparison], frame: pd.DataFrame, panels: Panels, baseline: str) -> str:
    """Return the caption."""
    counts = {part.difference.n for part in compared if part.difference}
    interval = describe_widening(compared)
    parts = [
        f"Final test {_name_scores(compared)} minus that of {baseline} with the same seeds, "
        f"{format_n(counts)} independent pairs",
        "dot: mean; small circles: the pairs",
        f"line: {interval}" if interval else "",
        "line from one pair to the other with n = 2" if 2 in counts else "",
        "triangle: a difference beyond the axis" if (frame["is_low"] | frame["is_high"]).any() else "",
        "a line that ends at the frame goes on beyond it" if frame["is_interval_cut"].any() else "",
        panels.shared,
    ]
    return write_caption(parts)
