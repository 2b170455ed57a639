"""The metrics of runs, and the probes, each a class in a module of its own name in this package."""

import importlib
import pkgutil
from collections.abc import Collection, Iterable, Iterator
from functools import cache

from torch import nn

import zeroinit.probes
from zeroinit.probes.probe import Metric, Probe
from zeroinit.tracker.scores import ACCURACY, R2

_UNITS = ((ACCURACY.name, ACCURACY.label, "share"), (R2.name, R2.label, "share of variance"), ("loss", "loss", "nats"))
EVALUATIONS = tuple(  # metrics that the training writes; a run has accuracy or R²
    Metric(f"{split}/{name}", unit, f"{prefix} {label}", is_nonnegative=name != R2.name, has_curve=split != "val")
    for name, label, unit in _UNITS
    for split, prefix in (("test", "test"), ("train", "training"), ("val", "validation"))
)


@cache
def all_probes() -> dict[str, type[Probe]]:
    """Return {name: class} of every probe in this package."""
    probes: dict[str, type[Probe]] = {}
    for module_info in pkgutil.iter_modules(zeroinit.probes.__path__):
        module = importlib.import_module(f"zeroinit.probes.{module_info.name}")
        for value in vars(module).values():
            is_probe = isinstance(value, type) and issubclass(value, Probe) and value is not Probe
            if is_probe and value.__module__ == module.__name__:
                probes[value.name] = value
    return probes


@cache
def find_metric(name: str) -> Metric | None:
    """Return what is declared of a metric of a run, such as `weight/hidden1/norm`; None if no probe declares it."""
    declared = (*EVALUATIONS, *(metric for probe in all_probes().values() for metric in probe.metrics))
    return next((metric for metric in declared if name == metric.name or metric.layer_of(name)), _of_user(name))


def _of_user(name: str) -> Metric | None:
    """Return a metric of the user, such as `test/f1`; None for another name."""
    split, _, metric = name.partition("/")
    prefix = {"test": "test", "val": "validation"}.get(split)
    return Metric(name, "", f"{prefix} {metric}", has_curve=split != "val") if prefix and metric else None


def metrics_of_layers(probes: Collection[str], layers: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (layer, metric) for each metric that one of these probes may write of one of these layers."""
    for layer in layers:
        for probe in probes:
            for metric in all_probes()[probe].metrics:
                if (name := metric.of(layer)) != metric.name:
                    yield layer, name


def skip_reasons(probes: Iterable[str], model: nn.Module) -> dict[str, str]:
    """Return {probe: why it does not apply to the model} of those of the probes that do not."""
    reasons = {name: all_probes()[name].skip_reason(model) for name in probes}
    return {name: reason for name, reason in reasons.items() if reason}


def layer_reasons(probes: Iterable[str], model: nn.Module) -> list[str]:
    """Return sentences on the layers that some of the probes do not measure, though they measure others."""
    by_reason: dict[str, list[str]] = {}
    for name in probes:
        if reason := all_probes()[name].explain_omissions(model):
            by_reason.setdefault(reason, []).append(name)
    return [
        f"{' and '.join(names)} {'leave' if len(names) > 1 else 'leaves'} out {reason}"
        for reason, names in by_reason.items()
    ]
