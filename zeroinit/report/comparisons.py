"""Each init compared with the baseline init, within the cells that agree in all other keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zeroinit.report.cells import Cell, list_scores, naming_keys, outcome_of
from zeroinit.report.statistics import (
    CONFIDENCE,
    MIN_UNITS_FOR_INTERVAL,
    Numbers,
    group_by_unit,
    init_draws,
    mean_and_interval,
)
from zeroinit.tracker import Record

BASELINE = "default"  # the init that others are compared with, unless the sweep names another

ABOVE, BELOW, UNCLEAR, TOO_FEW = "above", "below", "no clear difference", "too few seeds"
UNCERTAIN = "too uncertain to tell"  # the interval contains zero, and is wide
DIVERGED = "some runs diverged"
MAX_HALF_WIDTH = 10.0  # points, of an interval that still says something


@dataclass(frozen=True)
class Difference:
    """A mean paired difference of the test score, in percentage points.

    Attributes:
        n: The number of independent units, as in a table of cells.
        mean: The mean of the differences.
        half: The half width of its interval; NaN with fewer than two units.
        values: The difference of each unit (n,).
        comparisons: The number of comparisons for which the interval is widened (Bonferroni).
        diverged: The number of runs of both cells that have no score, as they diverged.
    """

    n: int
    mean: float
    half: float
    values: Numbers
    comparisons: int
    diverged: int = 0

    @property
    def has_interval(self) -> bool:
        """Whether there are enough units for an interval."""
        return self.n >= MIN_UNITS_FOR_INTERVAL

    @property
    def low(self) -> float:
        """The lower bound to show: of the interval, or the smaller value with n = 2."""
        return self.mean - self.half if self.has_interval else float(min(self.values, default=np.nan))

    @property
    def high(self) -> float:
        """The upper bound to show."""
        return self.mean + self.half if self.has_interval else float(max(self.values, default=np.nan))

    @property
    def direction(self) -> str:
        """ABOVE or BELOW the baseline if the whole interval lies there, else UNCLEAR; TOO_FEW without an interval.

        UNCERTAIN in place of UNCLEAR if the interval is wider than MAX_HALF_WIDTH to each side.

        DIVERGED if some runs diverged: they do not do so by chance, so the others do not stand for the cell.
        """
        if self.diverged:
            return DIVERGED
        if not self.has_interval:
            return TOO_FEW
        if self.low > 0 or self.high < 0:
            return ABOVE if self.low > 0 else BELOW
        return UNCERTAIN if self.half > MAX_HALF_WIDTH else UNCLEAR

    def format(self) -> str:
        """Format in points: `-2.24 ± 1.66`, with n = 2 both values, with n = 1 the value; `-` without a pair."""
        if not self.n:
            return "-"
        if self.n < MIN_UNITS_FOR_INTERVAL:
            return ", ".join(f"{value:+.2f}" for value in sorted(self.values))
        return f"{self.mean:+.2f} ± {self.half:.2f}"


NO_DIFFERENCE = Difference(0, np.nan, np.nan, np.array([]), 0)


@dataclass(frozen=True)
class Comparison:
    """A cell, the cell of the baseline that agrees with it in all keys but those of the init, and their difference.

    Attributes:
        cell: The cell.
        baseline: None if the cell is the baseline itself, or if there is no such cell.
        difference: None without a baseline.
    """

    cell: Cell
    baseline: Cell | None
    difference: Difference | None


def compare_with_baseline(cells: Sequence[Cell], baseline: str = BASELINE) -> list[Comparison]:
    """Return the comparison of each cell with the cell of the baseline init.

    The intervals of the cells that share a baseline are widened together, so that all of them hold with 95% confidence
    (Bonferroni).

    Args:
        cells: The cells of a sweep.
        baseline: The name of an init. If its cells differ in keys of the init, such as `init.layers`, a cell is
            compared with the one that agrees with it in these keys, too.
    """
    of_baseline = [cell.params for cell in cells if cell.params["init"] == baseline]
    keys = [
        key
        for key in naming_keys(cells)
        if not key.startswith("init") or (key != "init" and len({params.get(key) for params in of_baseline}) > 1)
    ]
    groups: dict[tuple[str | None, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.params.get(key) for key in keys), []).append(cell)
    by_cell: dict[int, Comparison] = {}
    for group in groups.values():
        reference = next((cell for cell in group if cell.params["init"] == baseline), None)
        others = [cell for cell in group if cell is not reference]
        comparisons = sum(bool(reference and _pairs(cell, reference)) for cell in others)
        for cell in group:
            is_compared = reference is not None and cell is not reference
            difference = subtract_cells(cell, reference, comparisons) if is_compared and reference else None
            by_cell[id(cell)] = Comparison(cell, reference if is_compared else None, difference)
    return [by_cell[id(cell)] for cell in cells]


def subtract_cells(cell: Cell, other: Cell, comparisons: int = 1) -> Difference:
    """Return the difference of the test score between the runs of two cells that have the same seeds.

    It has no pairs if one cell has accuracy and the other R². If one of the two inits draws, n counts its draws.

    Args:
        cell: The cell from which the other is subtracted.
        other: The other cell.
        comparisons: The number of comparisons for which the interval is widened.
    """
    metric = cell.score.test
    by_seeds = {record.seeds: record.last(metric) for record in other.finished}
    draws = init_draws(cell.finished) or init_draws(other.finished)
    pairs = _pairs(cell, other)
    by_pair = subtract_runs(pairs, lambda record: record.last(metric) - by_seeds[record.seeds], draws, comparisons)
    return replace(by_pair, diverged=count_diverged(cell) + count_diverged(other))


def count_diverged(cell: Cell) -> int:
    """Return the number of runs of the cell that diverged."""
    return sum(outcome_of(record) == "diverged" for record in cell.newest)


def subtract_runs(
    records: Sequence[Record], subtract: Callable[[Record], float], draws: bool, comparisons: int = 1
) -> Difference:
    """Return the mean of a difference between shares, in percentage points.

    Args:
        records: The runs.
        subtract: Returns the difference of a run.
        draws: Whether n counts draws of the init.
        comparisons: The number of comparisons for which the interval is widened.
    """
    units = group_by_unit(records, subtract, draws)
    n, mean, half = mean_and_interval(units, 1 - (1 - CONFIDENCE) / max(comparisons, 1))
    values = np.array([100 * float(np.mean(np.asarray(runs, float))) for runs in units.values()])
    # rounded, so that a difference of exactly a margin equals it
    return Difference(n, round(100 * float(mean), 9), round(100 * float(half), 9), values, comparisons)


def _pairs(cell: Cell, other: Cell) -> list[Record]:
    """Return the runs of the cell whose seeds the other cell has, too; none if the two have different scores."""
    if cell.score != other.score:
        return []
    seeds = {record.seeds for record in other.finished}
    return [record for record in cell.finished if record.seeds in seeds]


def warn_of_scores(cells: Sequence[Cell]) -> list[str]:
    """Return a warning if some cells have accuracy and others R²."""
    labels = [score.label for score in list_scores(cells)]
    if len(labels) < 2:
        return []
    return [f"Some cells have {' and others '.join(labels)}: only cells with the same score are compared."]


def describe_widening(comparisons: Sequence[Comparison]) -> str:
    """Return how the intervals of the differences are widened; empty without an interval."""
    counts = sorted(
        {part.difference.comparisons for part in comparisons if part.difference and part.difference.has_interval}
    )
    if not counts:
        return ""
    if counts == [1]:
        return "Student's 95% interval"
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Student's interval, widened for {number} comparisons within one arch and scale (Bonferroni, 95% together)"
