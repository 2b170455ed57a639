"""What was seen of a cell over time, its runs together: courses of metrics, gradients, when layers arrived."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroinit.probes import histogram
from zeroinit.report.statistics import Numbers, by_unit, init_draws, mean_and_interval, shown_bounds
from zeroinit.tracker import Record, Tracker

EXPONENTS = np.arange(histogram.EXPONENTS) - 127  # of the bins of a histogram: [2^e, 2^(e+1))
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Course:
    """A metric over steps (T,): over n units (T,) its mean (T,) and the half width of its 95% interval (T,), uncut.

    From `lower` to `upper` is what is shown of the interval (see `shown_bounds`), from `low` to `high` lie all runs.
    NaN where n leaves them undefined.
    """

    steps: Counts
    n: Counts
    mean: Numbers
    half: Numbers
    lower: Numbers
    upper: Numbers
    low: Numbers
    high: Numbers


def course(records: Sequence[Record], metric: str) -> Course | None:
    """The metric over all steps at which a run has it, over independent units; None where none has it.

    A run counts from its first value on (weights that are zero have no angle), and one that ended earlier than others
    with its last value from there on.
    """
    of_each = [(record, found) for record in records if (found := record.history(metric))]
    steps = sorted(set().union(*(found for _, found in of_each)))
    if not steps:
        return None
    filled = {id(record): held(found, steps) for record, found in of_each}
    starts = sorted({steps.index(min(found)) for _, found in of_each})
    parts, draws = [], init_draws(records)
    for first, end in pairwise([*starts, len(steps)]):
        here = [record for record, found in of_each if min(found) <= steps[first]]
        own = {id(record): filled[id(record)][first:end] for record in here}
        units = by_unit(here, lambda record: own[id(record)], draws)  # noqa: B023
        n, mean, half = mean_and_interval(units)
        values = np.array(list(own.values()))
        spread = *shown_bounds(units, metric), values.min(axis=0), values.max(axis=0)
        parts.append((np.full(end - first, n), mean, half, *spread))
    return Course(np.array(steps), *(np.concatenate(part) for part in zip(*parts, strict=True)))


def held(found: Mapping[int, float], steps: Sequence[int]) -> list[float]:
    """The value at each of the steps, or the last before it; before the first, NaN."""
    values, last = [], math.nan
    for step in steps:
        last = found.get(step, last)
        values.append(last)
    return values


@dataclass(frozen=True)
class Gradients:
    """Weight gradients of a cell by sign and power of two, added up over its runs.

    At the `steps` (T,) that all saw: counts {layer: (T, 2, 255)}, negative first, and exact zeros {layer: (T,)}.
    """

    steps: Counts
    counts: Mapping[str, Counts]
    zeros: Mapping[str, Counts]
    runs: int

    @property
    def layers(self) -> list[str]:
        """From the input to the output."""
        return list(self.counts)

    def at(self, steps: ArrayLike) -> "Gradients":
        """The same at some of the steps alone."""
        seen = np.isin(self.steps, steps)
        counts, zeros = ({layer: part[seen] for layer, part in of.items()} for of in (self.counts, self.zeros))
        return Gradients(self.steps[seen], counts, zeros, self.runs)

    def nonzero(self, layer: str) -> Counts:
        """Entries (T,) that are not exactly zero."""
        found: Counts = self.counts[layer].sum(axis=(1, 2))
        return found

    def zero_share(self, layer: str) -> Numbers:
        """The share (T,) of exact zeros."""
        found: Numbers = self.zeros[layer] / np.maximum(self.nonzero(layer) + self.zeros[layer], 1)
        return found

    def quantiles(self, layer: str, shares: Sequence[float]) -> Numbers:
        """Quantiles (T, len(shares)) of log2 |gradient| of the entries that are not zero; NaN where all are.

        Interpolated within a power of two.
        """
        counts = self.counts[layer].sum(axis=1).astype(float)  # (T, 255)
        upto = counts.cumsum(axis=1)
        found = np.full((len(counts), len(shares)), np.nan)
        for step in np.flatnonzero(upto[:, -1]):
            ranks = np.asarray(shares) * upto[step, -1]
            bins = np.searchsorted(upto[step], np.maximum(ranks, 1e-9))
            found[step] = EXPONENTS[bins] + (ranks - (upto[step, bins] - counts[step, bins])) / counts[step, bins]
        return found

    def signed_quantiles(self, layer: str, shares: Sequence[float]) -> Numbers:
        """Quantiles (T, len(shares)) of the gradient, signs and exact zeros included; NaN where nothing is finite."""
        return histogram.quantiles(self.counts[layer], self.zeros[layer], shares)


def histograms_kept(records: Sequence[Record], tracker: Tracker) -> list[bytes]:
    """The runs' histograms.npz, of those that have one."""
    return [content for record in records if (content := tracker.read_file(record, "histograms.npz"))]


def gradients(contents: Sequence[bytes]) -> Gradients | None:
    """The runs' histograms.npz as one; None where there is none, or no step that all of them saw.

    Runs that ended early, or on another schedule, saw other steps: only those that all saw are added up.
    """
    found = [histograms(content) for content in contents]
    if not found:
        return None
    steps = reduce(np.intersect1d, [one["steps"] for one in found])
    common = [np.isin(one["steps"], steps) for one in found]
    layers = [key.removesuffix("/counts") for key in found[0] if key.endswith("/counts")]

    def added(part: str) -> dict[str, Counts]:
        return {
            layer: np.sum([one[f"{layer}/{part}"][seen] for one, seen in zip(found, common, strict=True)], axis=0)
            for layer in layers
        }

    return Gradients(steps, added("counts"), added("zeros"), len(found)) if len(steps) and layers else None


def histograms(content: bytes) -> Mapping[str, Counts]:
    """The arrays of a histograms.npz but for the counts of NaN and inf, of which nothing is drawn."""
    with np.load(io.BytesIO(content)) as arrays:
        return {name: arrays[name] for name in arrays.files if not name.endswith(("/nan", "/inf"))}


def arrivals(records: Sequence[Record]) -> dict[str, list[int]]:
    """{layer: the step of its first gradient in each run in which it has come}."""
    found: dict[str, list[int]] = {}
    for record in records:
        for name, value, _ in record.metrics:
            kind, _, layer = name.partition("/")
            if kind == "arrival":
                found.setdefault(layer, []).append(int(value))
    return found


def predicted(records: Sequence[Record]) -> dict[str, int]:
    """{layer: the step of its first gradient in theory}, of the first run; empty for nets of which there is none."""
    kinds = ((name.partition("/"), value) for name, value, _ in (records[0].metrics if records else []))
    return {layer: int(value) for (kind, _, layer), value in kinds if kind == "predicted_arrival"}


def layers(records: Sequence[Record]) -> list[str]:
    """Those whose gradients were watched, from the input to the output."""
    names = dict.fromkeys(name for record in records for name, _, _ in record.metrics)
    norms = (name for name in names if name.startswith("grad/") and name.endswith("/norm"))
    return [name.removeprefix("grad/").removesuffix("/norm") for name in norms]


def neuron_metrics(records: Sequence[Record]) -> list[str]:
    """`symmetry/<layer>/distinct` of each layer that has it, from the input to the output."""
    names = dict.fromkeys(name for record in records for name, _, _ in record.metrics)
    return [name for name in names if name.startswith("symmetry/") and name.endswith("/distinct")]
