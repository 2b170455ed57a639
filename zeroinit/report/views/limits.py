"""The limits of the vertical axis of curves: those that show the differences under discussion."""

import math
from collections.abc import Sequence

import numpy as np

from zeroinit.report.histories import History
from zeroinit.report.statistics import Numbers, is_share, value_range

MIN_RANGE = 0.1  # of a score
MAX_SHARE = 0.5  # the highest value for which the axis of a score ends below 100%
MIN_SHARE = -1.0  # at which the axis of a share begins that may be far below 0

Limits = tuple[float, float]


def choose_limits(curves: Sequence[tuple[Numbers, History]], metric: str, is_whole: bool) -> Limits:
    """Return the limits of the vertical axis.

    Args:
        curves: The epochs (T,) of each curve, and its history.
        metric: The metric.
        is_whole: Whether the axis of a share is whole in any case: from 0, or the lowest mean below it, to 1.
    """
    if is_share(metric):
        first = int(value_range(metric)[0] < 0)  # the first point that counts: an untrained net may be far below 0
        bottom = _find_bottom(curves, first) if first else 0
        limits = None if is_whole else _zoom_limits(curves, bottom) or _lower_limits(curves, bottom, first)
        return limits or (bottom, 1.02)
    values = [history.mean[np.isfinite(history.mean)] for _, history in curves]
    finite = np.concatenate([np.zeros(0), *values])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return min(0.0, low), high + 0.04 * (high - low or 1)


def _find_bottom(curves: Sequence[tuple[Numbers, History]], first: int) -> float:
    """Return 0, or the lowest mean below it rounded to 5%, but not less than MIN_SHARE."""
    means = np.concatenate([np.zeros(1), *(history.mean[first:] for _, history in curves)])
    return max(MIN_SHARE, math.floor(20 * float(np.nanmin(means))) / 20)


def _zoom_limits(curves: Sequence[tuple[Numbers, History]], bottom: float) -> Limits | None:
    """Return the limits of an axis for all means from the first epoch on and the intervals at the end.

    None if by then some curve has risen less than a third of the way to the highest mean, or less than MIN_RANGE.
    """
    later = [history.mean[epochs >= 1] for epochs, history in curves]
    if not later or not all(map(len, later)):
        return None
    start = max(history.mean[0] for _, history in curves)
    low, high = (float(bound(map(bound, later))) for bound in (min, max))
    if not low - start > max((high - start) / 3, MIN_RANGE):
        return None
    bounds = (end for _, history in curves for end in (history.lower[-1], history.upper[-1]))
    ends = [float(end) for end in bounds if np.isfinite(end)]
    low, high = min([low, *ends]), max([high, *ends])
    margin = 0.04 * max(high - low, MIN_RANGE / 4)
    return math.floor(100 * max(low - margin, bottom)) / 100, min(high + margin, 1.02)


def _lower_limits(curves: Sequence[tuple[Numbers, History]], bottom: float, first: int) -> Limits | None:
    """Return the limits of an axis from the bottom to what is above all means and intervals, rounded to 5%.

    None if that is more than half of the range, or if no curve rises by MIN_RANGE: then the whole range says more.
    """
    rises = [float(np.nanmax(history.mean) - history.mean[0]) for _, history in curves if np.isfinite(history.mean[0])]
    tops = [np.array([history.mean, history.upper])[:, first:] for _, history in curves]
    ends = [float(np.nanmax(top)) for top in tops if np.isfinite(top).any()]
    if not rises or not ends or max(rises) < MIN_RANGE or max(ends) > MAX_SHARE:
        return None
    return bottom, math.ceil(20 * (max(ends) + 0.01)) / 20
