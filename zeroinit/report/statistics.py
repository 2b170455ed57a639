"""Means over independent units with Student's intervals, what the units are, and how both are written.

A unit is a draw of the init, over whose runs a value is averaged first. An init that draws nothing has the same weights
for every seed: its units are the other seeds, such as those of the batch order.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from zeroinit.tracker import INIT_HASH, Record

Numbers = NDArray[np.float64]
Values = Mapping[tuple[str, ...], Sequence[ArrayLike]]  # of the runs of each unit

INIT = ("seeds.init",)
OTHERS = {  # other seeds, and what each draws
    "seeds.order": "batch orders",
    "seeds.augment": "draws of the augmentation",
    "seeds.forward": "draws of the forward pass",
}
DRAWS, IDENTICAL = "draws of the init", "identical runs"  # what n counts, beside the values of OTHERS

SHARES = ("accuracy", "zeros", "dead", "saturated")  # last words of metrics that lie between 0 and 1
NOT_NEGATIVE = ("loss", "distinct", "clusters", "rank", "variance", "update", "angle", "norm")
FEWEST_FOR_INTERVAL = 3  # with two units both values say more than an interval of 12.7 standard errors


def init_draws(records: Iterable[Record]) -> bool:
    """Whether runs with other seeds of the init start from other weights.

    So it is assumed where it is not known: of a single seed, and of runs from before the tag.
    """
    hashes = {record.params["seeds.init"]: record.tags[INIT_HASH] for record in records if INIT_HASH in record.tags}
    return len(hashes) < 2 or len(set(hashes.values())) > 1


def by_unit(
    records: Iterable[Record], value: Callable[[Record], ArrayLike], draws: bool | None = None
) -> dict[tuple[str, ...], list[ArrayLike]]:
    """Return the values of the runs of each unit. `draws` says whether the init draws, if the records do not tell."""
    records = list(records)
    keys = INIT if (init_draws(records) if draws is None else draws) else tuple(OTHERS)
    grouped = defaultdict(list)
    for record in records:
        grouped[tuple(record.params.get(key, "") for key in keys)].append(value(record))
    return grouped


def count_units(records: Sequence[Record]) -> int:
    """Return n: the number of independent units among the runs."""
    return len(by_unit(records, lambda record: 0))


def what_n_counts(records: Sequence[Record]) -> str:
    """Return what the n of these runs counts: draws of the init, or else what their other seeds draw.

    Runs that start from the same weights and end with the same numbers are one run, many times over.
    """
    if init_draws(records):
        return DRAWS
    ends = {tuple(sorted((name, value) for name, value, _ in last_values(record))) for record in records}
    if len(records) > 1 and len(ends) == 1:
        return IDENTICAL
    return next((word for key, word in OTHERS.items() if len({one.params.get(key) for one in records}) > 1), IDENTICAL)


def last_values(record: Record) -> Iterable[tuple[str, float, int]]:
    """Return the last point of each metric."""
    return {name: (name, value, step) for name, value, step in record.metrics}.values()


def mean_and_interval(values: Values) -> tuple[int, Numbers, Numbers]:
    """Return (n, mean, half width of Student's 95% interval) over units, whose runs are averaged first.

    Values are numbers or arrays of one shape, and so are the results; NaN where n leaves them undefined. Student's
    interval is not cut, so that comparisons may use it.
    """
    means = means_of(values)
    n = len(means)
    if n == 0:
        return 0, np.array(math.nan), np.array(math.nan)
    half = stdtrit(n - 1, 0.975) * means.std(axis=0, ddof=1) / math.sqrt(n) if n > 1 else means[0] * math.nan
    return n, means.mean(axis=0), half


def means_of(values: Values) -> Numbers:
    """Return the mean of each unit (n, *shape of a value)."""
    return np.array([np.mean(np.asarray(runs, float), axis=0) for runs in values.values()])


def shown_bounds(values: Values, metric: str) -> tuple[Numbers, Numbers]:
    """Return what is shown about the mean: Student's interval within the metric's limits; with n = 2 both values.

    NaN with fewer.
    """
    n, mean, half = mean_and_interval(values)
    if n < 2:
        return mean * math.nan, mean * math.nan
    if n < FEWEST_FOR_INTERVAL:
        means = means_of(values)
        return means.min(axis=0), means.max(axis=0)
    return np.clip(mean - half, *limits(metric)), np.clip(mean + half, *limits(metric))


def is_share(metric: str) -> bool:
    return metric.rpartition("/")[2] in SHARES


def limits(metric: str) -> tuple[float, float]:
    """Return the range in which the metric's values lie."""
    if is_share(metric):
        return 0, 1
    return (0, math.inf) if metric.rpartition("/")[2] in NOT_NEGATIVE else (-math.inf, math.inf)


@dataclass(frozen=True)
class Estimate:
    """A mean over n units; `half` is that of Student's interval, uncut, and `low` and `high` are what is shown."""

    n: int
    mean: float
    half: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        return self.n >= FEWEST_FOR_INTERVAL

    def percent(self, digits: int, sign: str = "%") -> str:
        """Write a share in percent, so that no reader sees an interval beyond 0 to 100%.

        `97.9% ± 1.0`, or `97.9% (95.1 to 100)` where the interval is cut; with n = 2 both values, `95.1%, 97.9%`.
        """
        if self.n == 0 or math.isnan(self.mean):
            return "-"
        mean, low, high = (f"{100 * share:.{digits}f}{sign}" for share in (self.mean, self.low, self.high))
        if self.n < FEWEST_FOR_INTERVAL:
            return mean if self.n == 1 else f"{low}, {high}"
        spread = self.percent_spread(digits)
        return f"{mean} ({spread})" if self.is_cut(digits) else f"{mean} {spread}"

    def percent_spread(self, digits: int) -> str:
        """Write what is shown beside the mean of a share: `± 1.0`, `95.1 to 100`, `95.1, 97.9`, or nothing."""
        low, high = (f"{100 * share:.{digits}f}" for share in (self.low, self.high))
        if self.is_cut(digits):  # an end of the scale has no digits
            return f"{'0' if self.low == 0 else low} to {'100' if self.high == 1 else high}"
        return f"± {100 * self.half:.{digits}f}" if self.has_interval else f"{low}, {high}" if self.n == 2 else ""

    def spread(self) -> str:
        """Write the same of a metric that is no share, with three digits."""
        if self.has_interval and not (self.low > self.mean - self.half or self.high < self.mean + self.half):
            return f"± {self.half:.3g}"
        return f"{self.low:.3g}{' to' if self.has_interval else ','} {self.high:.3g}" if self.n >= 2 else ""

    def is_cut(self, digits: int) -> bool:
        """Whether the interval of a share, as it is written with these digits, would leave 0 to 100%."""
        mean, half = round(100 * self.mean, digits), round(100 * self.half, digits)
        return self.has_interval and not (mean - half >= 0 and round(mean + half, digits) <= 100)


def estimate(records: Iterable[Record], metric: str, draws: bool | None = None) -> Estimate:
    """Estimate the last value of the metric over the units of these runs; NaN where a run does not have it."""
    values = by_unit(records, lambda record: record.last(metric), draws)
    n, mean, half = mean_and_interval(values)
    low, high = shown_bounds(values, metric)
    return Estimate(n, float(mean), float(half), float(low), float(high))


def explain_intervals(estimates: Collection[Estimate], digits: int) -> str:
    """Say what stands beside the means of these shares, as far as it does: intervals, cut ones, both values."""
    parts = []
    if any(one.has_interval for one in estimates):
        parts.append("Student's 95% interval")
    if any(one.is_cut(digits) for one in estimates):
        parts.append("cut where it would leave 0 to 100%, as (low to high)")
    if any(one.n == 2 for one in estimates):
        parts.append("with n = 2 both values")
    return ", ".join(parts)
