"""The runs of a cell over time, taken together: metrics, weight gradients, and the first gradient of each layer."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroinit.probes import histogram
from zeroinit.probes.first_gradient import FIRST_GRADIENT, FIRST_GRADIENT_PREDICTED
from zeroinit.probes.gradient import GRADIENT_NORM
from zeroinit.probes.symmetry import DISTINCT_NEURONS
from zeroinit.report.cells import Cell
from zeroinit.report.statistics import Numbers, display_bounds, group_by_unit, init_draws, mean_and_interval
from zeroinit.tracker import Record, RunReader

EXPONENTS = np.arange(histogram.EXPONENTS) - 127  # of the bins of a histogram: [2^e, 2^(e+1))
MAX_CELLS = 128  # whose histograms are in memory
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class History:
    """A metric over the steps of a cell's runs. All arrays have the shape (T,), NaN where n leaves them undefined.

    Attributes:
        steps: The steps at which a run has the metric.
        n: The number of independent units.
        mean: The mean over the units.
        half: The half width of its 95% interval, which is not cut.
        lower: The lower bound to show (see `display_bounds`).
        upper: The upper bound to show.
        low: The lowest value of a run.
        high: The highest value of a run.
    """

    steps: Counts
    n: Counts
    mean: Numbers
    half: Numbers
    lower: Numbers
    upper: Numbers
    low: Numbers
    high: Numbers


def average_history(records: Sequence[Record], metric: str) -> History | None:
    """Return the metric over all steps at which a run has it, averaged over independent units; None if no run has it.

    A run counts from its first value on, since weights that are zero have no angle. A run that ended earlier than
    others counts with its last value from there on.
    """
    values_of = [(record, values) for record in records if (values := record.history(metric))]
    steps = sorted(set().union(*(values for _, values in values_of)))
    if not steps:
        return None
    filled = {id(record): _carry_forward(values, steps) for record, values in values_of}
    starts = sorted({steps.index(min(values)) for _, values in values_of})
    parts, draws = [], init_draws(records)
    for first, end in pairwise([*starts, len(steps)]):
        started = [record for record, values in values_of if min(values) <= steps[first]]
        pieces = {id(record): filled[id(record)][first:end] for record in started}
        units = group_by_unit(started, lambda record: pieces[id(record)], draws)  # noqa: B023
        n, mean, half = mean_and_interval(units)
        of_runs = np.array(list(pieces.values()))
        bounds = *display_bounds(units, metric), of_runs.min(axis=0), of_runs.max(axis=0)
        parts.append((np.full(end - first, n), mean, half, *bounds))
    return History(np.array(steps), *(np.concatenate(part) for part in zip(*parts, strict=True)))


def _carry_forward(values: Mapping[int, float], steps: Sequence[int]) -> list[float]:
    """Return the value at each of the steps, or the last value before it; NaN before the first value."""
    if values.keys() == {*steps}:
        return [values[step] for step in steps]
    filled, last = [], math.nan
    for step in steps:
        last = values.get(step, last)
        filled.append(last)
    return filled


@dataclass(frozen=True)
class GradientHistograms:
    """Counts of a cell's weight gradients by sign and power of two, summed over its runs.

    Attributes:
        steps: The steps (T,) at which all runs were observed.
        counts: {layer: (T, 2, 255)}, negative entries first.
        zeros: {layer: (T,)}, the number of entries that are exactly zero.
        runs: The number of runs.
    """

    steps: Counts
    counts: Mapping[str, Counts]
    zeros: Mapping[str, Counts]
    runs: int

    @property
    def layers(self) -> list[str]:
        """The layers from the input to the output."""
        return list(self.counts)

    def at(self, steps: ArrayLike) -> "GradientHistograms":
        """Return the histograms at those of the steps that were observed."""
        chosen = np.isin(self.steps, steps)
        counts, zeros = ({layer: part[chosen] for layer, part in of.items()} for of in (self.counts, self.zeros))
        return GradientHistograms(self.steps[chosen], counts, zeros, self.runs)

    def nonzero(self, layer: str) -> Counts:
        """Return the number of entries (T,) that are not exactly zero."""
        total: Counts = self.counts[layer].sum(axis=(1, 2))
        return total

    def zero_share(self, layer: str) -> Numbers:
        """Return the share of exact zeros (T,)."""
        share: Numbers = self.zeros[layer] / np.maximum(self.nonzero(layer) + self.zeros[layer], 1)
        return share

    def quantiles(self, layer: str, shares: Sequence[float]) -> Numbers:
        """Return quantiles (T, len(shares)) of log2 |gradient| over the nonzero entries; NaN where all are zero.

        Within a power of two they are interpolated.
        """
        counts = self.counts[layer].sum(axis=1).astype(float)  # (T, 255)
        upto = counts.cumsum(axis=1)
        quantiles = np.full((len(counts), len(shares)), np.nan)
        for step in np.flatnonzero(upto[:, -1]):
            ranks = np.asarray(shares) * upto[step, -1]
            bins = np.searchsorted(upto[step], np.maximum(ranks, 1e-9))
            quantiles[step] = EXPONENTS[bins] + (ranks - (upto[step, bins] - counts[step, bins])) / counts[step, bins]
        return quantiles

    def signed_quantiles(self, layer: str, shares: Sequence[float]) -> Numbers:
        """Return quantiles (T, len(shares)) of the gradient over all entries; NaN where no entry is finite."""
        return histogram.quantiles(self.counts[layer], self.zeros[layer], shares)


def bin_range(histograms: GradientHistograms) -> tuple[int, int]:
    """Return the range of bins that have entries, the end excluded."""
    totals = np.sum([counts.sum(axis=(0, 1)) for counts in histograms.counts.values()], axis=0)
    used = np.flatnonzero(totals)
    return (int(used.min()), int(used.max()) + 1) if len(used) else (0, 0)


def limit_layers(histograms: GradientHistograms, most: int) -> GradientHistograms:
    """Return the histograms of at most `most` layers, from the first to the last."""
    layers = [histograms.layers[index] for index in space_evenly(len(histograms.layers), most)]
    counts, zeros = ({layer: of[layer] for layer in layers} for of in (histograms.counts, histograms.zeros))
    return GradientHistograms(histograms.steps, counts, zeros, histograms.runs)


def read_histograms(records: Sequence[Record], tracker: RunReader) -> list[bytes]:
    """Return the histograms.npz of each run that has one."""
    return [content for record in records if (content := tracker.read_file(record, "histograms.npz"))]


def sum_histograms(contents: Sequence[bytes]) -> GradientHistograms | None:
    """Return the sum of the runs' histograms.npz; None if there is none, or no step at which all runs were observed.

    Runs that ended early, or have another schedule, were observed at other steps. Only common steps are summed.
    """
    of_runs = [parse_histograms(content) for content in contents]
    if not of_runs:
        return None
    steps = reduce(np.intersect1d, [arrays["steps"] for arrays in of_runs])
    common = [np.isin(arrays["steps"], steps) for arrays in of_runs]
    layers = [key.removesuffix("/counts") for key in of_runs[0] if key.endswith("/counts")]

    def sum_part(part: str) -> dict[str, Counts]:
        return {
            layer: np.sum(
                [arrays[f"{layer}/{part}"][chosen] for arrays, chosen in zip(of_runs, common, strict=True)], axis=0
            )
            for layer in layers
        }

    if not len(steps) or not layers:
        return None
    return GradientHistograms(steps, sum_part("counts"), sum_part("zeros"), len(of_runs))


class CellHistograms:
    """The summed histograms of each cell, which are read when they are needed; those of the latest cells are kept."""

    def __init__(self, cells: Sequence[Cell], tracker: RunReader) -> None:
        """Take the cells, and the tracker that has their runs."""
        self._cells, self._tracker = cells, tracker
        self._latest: dict[int, GradientHistograms | None] = {}  # at most MAX_CELLS

    def __getitem__(self, index: int) -> GradientHistograms | None:
        """Return the histograms of a cell; None if it has none."""
        if index not in self._latest:
            histograms = sum_histograms(read_histograms(self._cells[index].finished, self._tracker))
            if len(self._latest) == MAX_CELLS:
                del self._latest[next(iter(self._latest))]
            self._latest[index] = histograms
        return self._latest[index]


def parse_histograms(content: bytes) -> Mapping[str, Counts]:
    """Return the arrays of a histograms.npz, without the counts of NaN and inf, which no figure shows."""
    with np.load(io.BytesIO(content)) as arrays:
        return {name: arrays[name] for name in arrays.files if not name.endswith(("/nan", "/inf"))}


def metrics_of(records: Iterable[Record]) -> list[str]:
    """Return the names of the metrics that some of the records have, in the order in which they first occur."""
    return list(dict.fromkeys(name for record in records for name in record.histories))


def first_gradients(records: Sequence[Record]) -> dict[str, list[int]]:
    """Return {layer: the step of its first gradient in each run that has one}."""
    steps: dict[str, list[int]] = {}
    for record in records:
        for name in record.histories:
            if layer := FIRST_GRADIENT.layer_of(name):
                steps.setdefault(layer, []).append(int(record.last(name)))
    return steps


def theoretical_first_gradients(records: Sequence[Record]) -> dict[str, int]:
    """Return {layer: the step of its first gradient in theory} of the first run; empty for nets without a theory."""
    names = [(record, name) for record in records[:1] for name in record.histories]
    return {
        layer: int(record.last(name)) for record, name in names if (layer := FIRST_GRADIENT_PREDICTED.layer_of(name))
    }


def gradient_layers(records: Sequence[Record]) -> list[str]:
    """Return the layers whose gradients were observed, from the input to the output."""
    return [layer for name in metrics_of(records) if (layer := GRADIENT_NORM.layer_of(name))]


def neuron_metrics(records: Sequence[Record]) -> list[str]:
    """Return the metric of distinct neurons of each layer that has it, from the input to the output."""
    return [name for name in metrics_of(records) if DISTINCT_NEURONS.layer_of(name)]


def thin_steps(steps: Counts, most: int, latest: int) -> Counts:
    """Return at most `most` of the steps: all up to the latest first gradient, if they are at most half of them."""
    until = int(np.searchsorted(steps, latest, side="right"))
    until = until if until <= most // 2 else 0
    rest = steps[until:]
    return np.concatenate([steps[:until], rest[space_evenly(len(rest), most - until)]])


def space_evenly(length: int, most: int) -> list[int]:
    """Return at most `most` indices of a sequence at even distances, the first and the last included."""
    indices: list[int] = np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int)).tolist()
    return indices
