"""The names of metrics and the texts of their values."""

import math

from zeroinit.probes.metrics import find_metric
from zeroinit.report.statistics import is_share


def name_metric(metric: str) -> str:
    """Return what the probe that writes a metric says of it: `test accuracy`, `hidden1: distinct neurons`."""
    declared = find_metric(metric)
    if not declared:
        return metric.replace("/", " ")
    layer = declared.layer_of(metric)
    return f"{layer}: {declared.description}" if layer else declared.description


def label_metric(metric: str) -> str:
    """Return the name of a metric with its unit, for an axis whose ticks have the sign of percent."""
    declared = find_metric(metric)
    unit = declared.unit if declared and not is_share(metric) else ""
    return f"{name_metric(metric)}{', ' + unit if unit else ''}"


def describe_metric(metric: str) -> str:
    """Return the name of a metric with its unit, for the beginning of a sentence: `Test accuracy in percent`."""
    label = label_metric(metric)
    return label[0].upper() + label[1:] + (" in percent" if is_share(metric) else "")


def format_value(metric: str, value: float) -> str:
    """Return a value: `97.9%` for a share, else three digits; a dash for NaN."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return f"{100 * value:.1f}%" if is_share(metric) else f"{value:.3g}"
