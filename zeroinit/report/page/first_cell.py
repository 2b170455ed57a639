"""The cell that a page shows before its reader chooses another."""

import math
from collections.abc import Mapping, Sequence

from zeroinit.probes.symmetry import DISTINCT_NEURONS
from zeroinit.report.cells import Cell
from zeroinit.report.histories import neuron_metrics
from zeroinit.report.judgements import learned_nothing
from zeroinit.report.select_figures import last_to_wake_with_reference


def choose_first_cell(cells: Sequence[Cell], units: Sequence[Mapping[str, int]]) -> int:
    """Return the cell that learns nothing with most neurons tied, or the one whose last layer wakes last without ties.

    The page compares it with the baseline that has the same other keys, so the two show why the cell fails.

    Args:
        cells: The cells of the sweep, at least one.
        units: {layer: its number of units} of each cell, as far as they are known.
    """
    shares = {
        number: _share_distinct(cell, units[number]) if units else 1.0
        for number, cell in enumerate(cells)
        if cell.finished and learned_nothing(cell)
    }
    lowest = min(shares, key=lambda number: shares[number], default=None)
    if lowest is not None and shares[lowest] < 1:
        return lowest
    if not any(cell.finished for cell in cells):
        return 0
    last = last_to_wake_with_reference(cells)[-1]
    return next(number for number, cell in enumerate(cells) if cell is last)


def _share_distinct(cell: Cell, units: Mapping[str, int]) -> float:
    """Return the smallest share of distinct neurons of a hidden layer at the end of a run; 1 if it is unknown."""
    shares = [1.0]
    for name in neuron_metrics(cell.finished):
        if count := units.get(DISTINCT_NEURONS.layer_of(name) or ""):
            shares += [record.last(name) / count for record in cell.finished]
    return min(share for share in shares if not math.isnan(share))  # NaN where a run lacks the metric
