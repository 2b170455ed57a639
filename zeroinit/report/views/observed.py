"""What the views of gradients show of a cell, and the order of layers and steps."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zeroinit.report.histories import Counts, GradientHistograms, thin_steps
from zeroinit.report.views.panels import choose_evenly

MAX_STEPS = 60  # along a panel


@dataclass(frozen=True)
class Observed:
    """A cell whose gradients were observed.

    Attributes:
        params: The values of the keys that name the cells of the sweep.
        gradients: The gradients, summed over the runs.
        first: {layer: the step of its first gradient in each run that has one}.
        theory: {layer: the step of its first gradient in theory}.
        inits: The inits of the sweep.
    """

    params: Mapping[str, str]
    gradients: GradientHistograms
    first: Mapping[str, Sequence[int]]
    theory: Mapping[str, int]
    inits: Sequence[str] = ()

    @property
    def latest(self) -> int:
        """The latest first gradient of a layer in a run; 0 if there is none."""
        return max((step for steps in self.first.values() for step in steps), default=0)


def order_layers(layers: Iterable[Sequence[str]], most: int) -> list[str]:
    """Return at most `most` of the layers of some nets, each of them given from the input on, from the output on."""
    by_length = sorted(layers, key=len, reverse=True)
    return choose_evenly(list(dict.fromkeys(layer for of_net in by_length for layer in of_net))[::-1], most)


def choose_steps(cells: Sequence[Observed]) -> list[int]:
    """Return the observed steps up to the first gap, or up to the last first gradient if that is later."""
    chosen: set[int] = set()
    for cell in cells:
        steps = cell.gradients.steps
        dense = 1 + int(np.argmax(np.append(np.diff(steps) > 1, True)))
        end = max(dense, int(np.searchsorted(steps, cell.latest)) + 1)
        chosen.update(steps[:end].tolist())
    return limit_steps(sorted(chosen), max(cell.latest for cell in cells))


def limit_steps(steps: Sequence[int], latest: int) -> list[int]:
    """Return at most MAX_STEPS of the steps, with all up to the latest first gradient if there is room for them."""
    thinned: Counts = thin_steps(np.array(steps), MAX_STEPS, latest)
    return [int(step) for step in thinned]


def describe_runs(cells: Sequence[Observed]) -> str:
    """Return how many runs a cell has."""
    runs = sorted({cell.gradients.runs for cell in cells})
    return f"{runs[0]}{f' to {runs[-1]}' if len(runs) > 1 else ''} run{'' if runs[-1] == 1 else 's'} a cell"


def symmetric_log(values: np.ndarray | float, low: int) -> np.ndarray:
    """Return positions on an axis that is linear up to 2^low, which is at 1, then 1 more for each power of two."""
    sizes = np.abs(np.asarray(values, float)) / 2.0**low
    positions: np.ndarray = np.sign(values) * np.where(sizes > 1, 1 + np.log2(np.maximum(sizes, 1)), sizes)
    return positions


def choose_stride(count: float, most: float) -> int:
    """Return the smallest of 1, 2, 5, 10, ... by which at most `most` of `count` numbers are ticks."""
    return next(
        stride for stride in (1, 2, 5, 10, 20, 50, 100, 200, 500) if count / stride <= most or math.isnan(count)
    )
