"""The names of metrics and the texts of their values."""

import math
from collections.abc import Sequence

from zeroinit.probes.metrics import find_metric
from zeroinit.report.cells import Cell, list_scores
from zeroinit.report.statistics import is_share
from zeroinit.tracker.scores import R2


def name_metric(metric: str) -> str:
    """Return what the probe that writes a metric says of it: `test accuracy`, `hidden1: distinct neurons`."""
    declared = find_metric(metric)
    if not declared:
        return metric.replace("/", " ")
    layer = declared.layer_of(metric)
    return f"{layer}: {declared.description}" if layer else declared.description


def label_metric(metric: str, cells: Sequence[Cell]) -> str:
    """Return the name of a metric of the cells with its unit, for an axis whose ticks have the sign of percent.

    Nats are the unit of losses of classes alone.
    """
    declared = find_metric(metric)
    unit = declared.unit if declared and not is_share(metric) else ""
    unit = "" if unit == "nats" and R2 in list_scores(cells) else unit
    return f"{name_metric(metric)}{', ' + unit if unit else ''}"


def describe_metric(metric: str, cells: Sequence[Cell]) -> str:
    """Return the name of a metric with its unit, for the beginning of a sentence: `Test accuracy in percent`."""
    return capitalize(label_metric(metric, cells)) + (" in percent" if is_share(metric) else "")


def capitalize(text: str) -> str:
    """Return the text with a capital letter first, and the rest as it is."""
    return text[:1].upper() + text[1:]


def format_value(metric: str, value: float) -> str:
    """Return a value: `97.9%` for a share, else three digits; a dash for NaN."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return f"{100 * value:z.1f}%" if is_share(metric) else f"{value:.3g}"
