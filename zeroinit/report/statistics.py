"""Means over independent units with Student's intervals: what the units are, and how both are written.

A unit is a draw of the init. The values of its runs are averaged first. An init that draws nothing has the same weights
for every seed. Its units are the other seeds, such as those of the batch order.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from zeroinit.probes.metrics import find_metric
from zeroinit.tracker import Record
from zeroinit.tracker.tags import Tag

Numbers = NDArray[np.float64]
Values = Mapping[tuple[str, ...], Sequence[ArrayLike]]  # of the runs of each unit

INIT = ("seeds.init",)
OTHER_SEEDS = {  # seeds other than the init's, and what each draws
    "seeds.order": "batch orders",
    "seeds.augment": "draws of the augmentation",
    "seeds.forward": "draws of the forward pass",
}
DRAWS, IDENTICAL = "draws of the init", "identical runs"  # what n may count besides the values of OTHER_SEEDS

CONFIDENCE = 0.95  # of all intervals, unless they are widened for several comparisons
MIN_UNITS_FOR_INTERVAL = 3  # of two units, the values say more than an interval of 12.7 standard errors
LOWEST_SHARES = {"share": 0.0, "share of variance": -math.inf}  # {unit of values of at most 1: the lowest value}
MAX_SEEDS = 1_000  # the largest number of seeds that `seeds_needed` considers


def init_draws(records: Iterable[Record]) -> bool:
    """Return whether runs with different seeds of the init start from different weights.

    True if it is unknown: for a single seed, and for runs from before the tag of the hash.
    """
    hashes = {
        record.params["seeds.init"]: record.tags[Tag.INIT_HASH] for record in records if Tag.INIT_HASH in record.tags
    }
    return len(hashes) < 2 or len(set(hashes.values())) > 1


def group_by_unit(
    records: Iterable[Record], value: Callable[[Record], ArrayLike], draws: bool | None = None
) -> dict[tuple[str, ...], list[ArrayLike]]:
    """Return the values of the runs of each unit.

    Args:
        records: The runs.
        value: Returns the value of a run.
        draws: Whether the init draws; None to find out from the records.
    """
    records = list(records)
    keys = INIT if (init_draws(records) if draws is None else draws) else tuple(OTHER_SEEDS)
    grouped = defaultdict(list)
    for record in records:
        grouped[tuple(record.params.get(key, "") for key in keys)].append(value(record))
    return grouped


def count_units(records: Sequence[Record]) -> int:
    """Return n: the number of independent units among the runs."""
    return len(group_by_unit(records, lambda record: 0))


def name_units(records: Sequence[Record]) -> str:
    """Return what n counts for these runs: draws of the init, or else what their other seeds draw.

    Runs that start from the same weights and end with the same numbers are repetitions of one run.
    """
    if init_draws(records):
        return DRAWS
    ends = {tuple(sorted((name, record.last(name)) for name in record.histories)) for record in records}
    if len(records) > 1 and len(ends) == 1:
        return IDENTICAL
    return next(
        (word for key, word in OTHER_SEEDS.items() if len({record.params.get(key) for record in records}) > 1),
        IDENTICAL,
    )


def mean_and_interval(values: Values, confidence: float = CONFIDENCE) -> tuple[int, Numbers, Numbers]:
    """Return (n, mean, half width of Student's interval) over units. The runs of a unit are averaged first.

    The interval is not cut to the metric's range, so that comparisons can use it.

    Args:
        values: Of each unit, the values of its runs: numbers, or arrays of one shape.
        confidence: The confidence level of the interval.

    Returns:
        Mean and half width have the shape of a value. They are NaN where n leaves them undefined.
    """
    means = _unit_means(values)
    n = len(means)
    if n == 0:
        return 0, np.array(math.nan), np.array(math.nan)
    if n == 1:
        return n, means[0], means[0] * math.nan
    half = stdtrit(n - 1, (1 + confidence) / 2) * means.std(axis=0, ddof=1) / math.sqrt(n)
    return n, means.mean(axis=0), half


def _unit_means(values: Values) -> Numbers:
    """Return the mean of each unit (n, *shape of a value)."""
    return np.array(
        [runs[0] if len(runs) == 1 else np.mean(np.asarray(runs, float), axis=0) for runs in values.values()], float
    )


def display_bounds(values: Values, metric: str) -> tuple[Numbers, Numbers]:
    """Return the bounds to show with the mean: Student's interval, cut to the metric's range.

    With n = 2 they are the two values, and with n < 2 they are NaN.
    """
    n, mean, half = mean_and_interval(values)
    if n < 2:
        return mean * math.nan, mean * math.nan
    if n < MIN_UNITS_FOR_INTERVAL:
        means = _unit_means(values)
        return means.min(axis=0), means.max(axis=0)
    return np.clip(mean - half, *value_range(metric)), np.clip(mean + half, *value_range(metric))


def is_share(metric: str) -> bool:
    """Return whether the metric is a share of at most 1, which is shown in percent."""
    declared = find_metric(metric)
    return bool(declared and declared.unit in LOWEST_SHARES)


def value_range(metric: str) -> tuple[float, float]:
    """Return the range in which the metric's values lie."""
    declared = find_metric(metric)
    if declared and declared.unit in LOWEST_SHARES:
        return LOWEST_SHARES[declared.unit], 1
    return (0, math.inf) if declared and declared.is_nonnegative else (-math.inf, math.inf)


@dataclass(frozen=True)
class Estimate:
    """A mean over n units with its 95% interval.

    Attributes:
        n: The number of independent units.
        mean: The mean over the units.
        half: The half width of Student's interval, which is not cut.
        low: The lower bound to show (see `display_bounds`).
        high: The upper bound to show.
        least: The lowest possible value of a share.
    """

    n: int
    mean: float
    half: float
    low: float
    high: float
    least: float = 0.0

    @property
    def has_interval(self) -> bool:
        """Whether there are enough units for an interval."""
        return self.n >= MIN_UNITS_FOR_INTERVAL

    @property
    def std(self) -> float:
        """The standard deviation of the units; NaN with fewer than two."""
        return self.half * math.sqrt(self.n) / stdtrit(self.n - 1, (1 + CONFIDENCE) / 2) if self.n > 1 else math.nan

    def format(self, metric: str, digits: int = 1) -> str:
        """Format a metric: `97.9% ± 1.0` for a share, else `0.123 ± 0.01`; a dash without a mean."""
        if self.n == 0 or math.isnan(self.mean):
            return "\N{EN DASH}"
        return self.percent(digits) if is_share(metric) else f"{self.mean:.3g} {self.spread()}".strip()

    def percent(self, digits: int, sign: str = "%") -> str:
        """Format a share in percent, with an interval that stays within its range, such as 0 to 100%.

        `97.9% ± 1.0`, or `97.9% (95.1 to 100)` if the interval is cut; with n = 2 both values, `95.1%, 97.9%`.
        """
        if self.n == 0 or math.isnan(self.mean):
            return "-"
        mean, low, high = (f"{100 * share:z.{digits}f}{sign}" for share in (self.mean, self.low, self.high))
        if self.n < MIN_UNITS_FOR_INTERVAL:
            return mean if self.n == 1 else f"{low}, {high}"
        spread = self.percent_spread(digits)
        return f"{mean} ({spread})" if self.is_cut(digits) else f"{mean} {spread}"

    def percent_spread(self, digits: int) -> str:
        """Format the bounds of a share: `± 1.0`, `95.1 to 100`, `95.1, 97.9`, or nothing."""
        low, high = (f"{100 * share:z.{digits}f}" for share in (self.low, self.high))
        if self.is_cut(digits):  # an end of the scale has no digits
            return f"{'0' if self.low == 0 else low} to {'100' if self.high == 1 else high}"
        return f"± {100 * self.half:.{digits}f}" if self.has_interval else f"{low}, {high}" if self.n == 2 else ""

    def spread(self) -> str:
        """Format the bounds of a metric that is not a share, with three digits."""
        if self.has_interval and not (self.low > self.mean - self.half or self.high < self.mean + self.half):
            return f"± {self.half:.3g}"
        return f"{self.low:.3g}{' to' if self.has_interval else ','} {self.high:.3g}" if self.n >= 2 else ""

    def is_cut(self, digits: int) -> bool:
        """Return whether the interval of a share, rounded to these digits, would leave its range."""
        mean, half = round(100 * self.mean, digits), round(100 * self.half, digits)
        return self.has_interval and not (mean - half >= 100 * self.least and round(mean + half, digits) <= 100)


def estimate(records: Iterable[Record], metric: str, draws: bool | None = None) -> Estimate:
    """Return the estimate of the metric's last value over the units of these runs; NaN if a run lacks the metric.

    Args:
        records: The runs.
        metric: The metric.
        draws: Whether the init draws; None to find out from the records.
    """
    values = group_by_unit(records, lambda record: record.last(metric), draws)
    n, mean, half = mean_and_interval(values)
    low, high = display_bounds(values, metric)
    return Estimate(n, float(mean), float(half), float(low), float(high), value_range(metric)[0])


def explain_intervals(estimates: Collection[Estimate], digits: int) -> str:
    """Return what the numbers after the means of these shares are: intervals, cut intervals, or both values."""
    parts = []
    if any(result.has_interval for result in estimates):
        parts.append("Student's 95% interval")
    if any(result.is_cut(digits) for result in estimates):
        range_of = "leave 0 to 100%" if any(result.least == 0 for result in estimates) else "exceed 100%"
        parts.append(f"cut where it would {range_of}, as (low to high)")
    if any(result.n == 2 for result in estimates):
        parts.append("with n = 2 both values")
    return ", ".join(parts)


def seeds_needed(n: int, half: float, distance: float) -> str:
    """Return the smallest number of seeds whose interval would be narrower than the distance, in words.

    Args:
        n: The number of seeds so far; their standard deviation is taken as the true one.
        half: The half width of their interval.
        distance: The distance between their mean and the threshold.
    """
    if n < 2:
        return "2 seeds at least"
    level = (1 + CONFIDENCE) / 2
    deviation = half * math.sqrt(n) / stdtrit(n - 1, level)
    counts = np.arange(2, MAX_SEEDS + 1)
    enough = counts[stdtrit(counts - 1, level) * deviation / np.sqrt(counts) < distance]
    return f"{enough[0]} seeds" if len(enough) else f"more than {MAX_SEEDS:,} seeds"
