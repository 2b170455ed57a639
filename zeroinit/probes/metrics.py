"""All probes, and the metrics that they write. A probe is a class in a module of its own name in this package."""

import importlib
import pkgutil
from collections.abc import Collection, Iterable, Iterator
from functools import cache

from torch import nn

import zeroinit.probes
from zeroinit.probes.probe import Probe


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


def metrics_of_layers(probes: Collection[str], layers: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (layer, metric) for each metric that one of these probes may write of one of these layers."""
    for layer in layers:
        for probe in probes:
            for metric in all_probes()[probe].metrics:
                if "{layer}" in metric.name:
                    yield layer, metric.of(layer)


def skip_reasons(probes: Iterable[str], model: nn.Module) -> dict[str, str]:
    """Return {probe: why it does not apply to the model} of those of the probes that do not."""
    reasons = {name: all_probes()[name].skip_reason(model) for name in probes}
    return {name: reason for name, reason in reasons.items() if reason}
