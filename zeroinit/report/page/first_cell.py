"""The cell that a page shows before its reader chooses another."""

import math
from collections.abc import Mapping, Sequence

from zeroinit.probes.symmetry import DISTINCT_NEURONS
from zeroinit.report.cells import Cell, learned_nothing
from zeroinit.report.comparisons import Comparison
from zeroinit.report.histories import first_gradients, neuron_metrics
from zeroinit.report.select_figures import last_to_wake_with_reference


def choose_first_cell(comparisons: Sequence[Comparison], units: Sequence[Mapping[str, int]]) -> int:
    """Return the cell that learns nothing with most neurons tied, or the last to wake, or that with most difference.

    The page compares it with the baseline that has the same other keys, so the two show why the cell fails, or how it
    differs. A baseline itself is chosen only if there is nothing else.

    Args:
        comparisons: The cells of the sweep, at least one, each with its baseline.
        units: {layer: its number of units} of each cell, as far as they are known.
    """
    shares = {
        number: _share_distinct(comparison.cell, units[number]) if units else 1.0
        for number, comparison in enumerate(comparisons)
        if comparison.cell.finished and learned_nothing(comparison.cell)
    }
    lowest = min(shares, key=lambda number: shares[number], default=None)
    if lowest is not None and shares[lowest] < 1:
        return lowest
    finished = [comparison for comparison in comparisons if comparison.cell.finished]
    candidates = [comparison for comparison in finished if comparison.baseline] or finished
    if not candidates:
        return 0
    chosen = last_to_wake_with_reference([comparison.cell for comparison in candidates])[-1]
    if all(step <= 1 for steps in first_gradients(chosen.finished).values() for step in steps):
        chosen = max(candidates, key=_measure_distance).cell
    return next(number for number, comparison in enumerate(comparisons) if comparison.cell is chosen)


def _measure_distance(comparison: Comparison) -> float:
    """Return how far a cell is from its baseline, in percentage points; 0 if that is unknown."""
    mean = abs(comparison.difference.mean) if comparison.difference else 0.0
    return mean if math.isfinite(mean) else 0.0


def _share_distinct(cell: Cell, units: Mapping[str, int]) -> float:
    """Return the smallest share of distinct neurons of a hidden layer at the end of a run; 1 if it is unknown."""
    shares = [1.0]
    for name in neuron_metrics(cell.finished):
        if count := units.get(DISTINCT_NEURONS.layer_of(name) or ""):
            shares += [record.last(name) / count for record in cell.finished]
    return min(share for share in shares if not math.isnan(share))  # NaN where a run lacks the metric
