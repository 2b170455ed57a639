"""What the loop's hook does: turns what it is shown into a run's metrics and gradient histograms."""

import io
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from zeroinit import probe
from zeroinit.arch import weight_layers
from zeroinit.arrival import normalises
from zeroinit.loop import Event, Gradients, Metrics, Step, Weights
from zeroinit.tracker import Record, Tracker

FLUSH = 5  # seconds between two writes while it trains, for each of its members: a write is 0.1 s
QUANTILES = {"p05": 0.05, "p50": 0.50, "p95": 0.95}


def left_out(name: str, model: nn.Module) -> str | None:
    """Why a probe does not apply to the model; None if it does."""
    if name in ("symmetry", "pairs"):
        widths = {layer: len(module.weight) for layer, module in weight_layers(model) if layer in hidden(model)}
        if not widths:
            return f"{name} is left out: it is of hidden neurons, and the net has no hidden layer"
        layer = max(widths, key=lambda layer: widths[layer])
        if name == "pairs" and widths[layer] > probe.WIDEST:
            wide = f"{layer} has {widths[layer]} neurons; it takes pairs of {probe.WIDEST} at most"
            return f"{name} is left out: {wide}"
    if name == "arrival" and normalises(model):
        return f"{name} is left out: a normalisation layer makes gradients of rounding errors, which are no arrival"
    return None


def hidden(model: nn.Module) -> list[str]:
    """The layers of hidden neurons, a row of weights each: all but the last, as the model names them."""
    layers = list(weight_layers(model))[:-1]
    return [name for name, layer in layers if not getattr(layer, "transposed", False)]


def of(shown: Weights, layer: str, members: Sequence[int]) -> Tensor:
    """The layer's weights of these members."""
    return shown.layers[layer][0][[shown.members.index(member) for member in members]]


class Observer:
    """Watches the members of one training, by these probes, of which some are of its `hidden` layers.

    `tell` hears the share of the steps done, and validation accuracies.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tracker: Tracker,
        steps: int,
        tell: Callable[[float, float | None], None],
        probes: Sequence[str],
        hidden: Sequence[str],
    ) -> None:
        self.records, self.tracker, self.steps, self.tell = records, tracker, steps, tell
        self.probes, self.hidden = probes, hidden
        self.arrived: set[tuple[str, int]] = set()  # layers that have had a gradient, and whose
        self.gradients_of = 0  # the step whose gradients were seen last
        self.start = self.before = Weights(0, [], {})  # copies of the first that were shown, and of the last
        self.flushed = time.perf_counter()
        self.seconds = 0.0  # that watching took
        self.observed: list[tuple[int, list[int], dict[str, probe.Histogram]]] = []

    def __call__(self, event: Event) -> None:
        started = time.perf_counter()
        if isinstance(event, Gradients):
            self.gradients_of = event.step
            if "gradient" in self.probes:
                self.watch_gradients(event)
            if "arrival" in self.probes:
                self.watch_arrival(event)
        elif isinstance(event, Weights):
            if {"symmetry", "pairs"} & set(self.probes) and event.step in (0, self.gradients_of):
                self.watch_neurons(event)
            if "weight" in self.probes:
                self.watch_weights(event)
        elif isinstance(event, Step):
            self.tell(event.step / self.steps, None)
        elif isinstance(event, Metrics):
            record = self.records[event.member]
            record.metrics += [(name, value, event.step) for name, value in event.values.items()]
            if started - self.flushed > FLUSH * len(self.records):
                self.flushed = started
                self.flush()
            self.tell(event.step / self.steps, event.values["val/accuracy"])
        self.seconds += time.perf_counter() - started

    def flush(self) -> None:
        """Write what is new of the members' metrics; if the store fails now, their end will write it, or fail."""
        with suppress(Exception):
            for record in self.records:
                self.tracker.flush(record)

    def note(self, name: str, values: Sequence[float], members: Sequence[int], step: int) -> None:
        """Make a metric of a value a member; what is not finite has no place on an axis, and is left out."""
        for member, value in zip(members, values, strict=True):
            if math.isfinite(value):
                self.records[member].metrics.append((name, value, step))

    def watch_gradients(self, event: Gradients) -> None:
        """grad/<layer>/{norm, zeros, p05, p50, p95}: norm, share of exact zeros, and quantiles from the counts."""
        histograms = {layer: probe.histogram(gradients) for layer, gradients in event.layers.items()}
        self.observed.append((event.step, event.members, histograms))
        for layer, gradients in event.layers.items():
            quantiles = probe.quantiles(histograms[layer], tuple(QUANTILES.values())).T.tolist()
            columns = {
                "norm": gradients.flatten(1).norm(dim=1).tolist(),
                "zeros": (histograms[layer].zeros / gradients[0].numel()).tolist(),
                **dict(zip(QUANTILES, quantiles, strict=True)),
            }
            for name, of_all in columns.items():
                self.note(f"grad/{layer}/{name}", of_all, event.members, event.step)

    def watch_arrival(self, event: Gradients) -> None:
        """arrival/<layer>: the first observed step with a weight gradient that is not zero, at that step."""
        if len(self.arrived) == len(self.records) * len(event.layers):
            return
        for layer, gradients in event.layers.items():
            there = ((gradients != 0) & gradients.isfinite()).flatten(1).any(1)
            for member, awake in zip(event.members, there.tolist(), strict=True):
                if awake and (layer, member) not in self.arrived:
                    self.arrived.add((layer, member))
                    self.note(f"arrival/{layer}", [event.step], [member], event.step)

    def watch_neurons(self, event: Weights) -> None:
        """symmetry/<layer>/{distinct, cosine, clusters, rank} of each layer of hidden neurons."""
        for layer in self.hidden:
            weights, biases = event.layers[layer]
            neurons = torch.cat([weights.flatten(2), *([] if biases is None else [biases.unsqueeze(2)])], dim=2)
            columns: dict[str, Tensor] = {}
            if "symmetry" in self.probes:
                columns |= {"distinct": probe.distinct(neurons), "cosine": probe.mean_cosine(neurons)}
            if "pairs" in self.probes:
                columns |= dict(zip(("clusters", "rank"), probe.pairs(neurons), strict=True))
            for name, of_all in columns.items():
                self.note(f"symmetry/{layer}/{name}", of_all.tolist(), event.members, event.step)

    def watch_weights(self, event: Weights) -> None:
        """weight/<layer>/{norm, angle, update}: to where it started, in degrees; and the step's relative change."""
        copied = replace(event, layers={layer: (weights.clone(), None) for layer, (weights, _) in event.layers.items()})
        if event.step == 0:
            self.start = copied
        if event.step in (0, self.gradients_of):
            for layer, (weights, _) in event.layers.items():
                columns = {"norm": weights.flatten(1).norm(dim=1)}
                if event.step:
                    columns["angle"] = probe.angle(weights, of(self.start, layer, event.members))
                    columns["update"] = probe.relative_update(of(self.before, layer, event.members), weights)
                for name, of_all in columns.items():
                    self.note(f"weight/{layer}/{name}", of_all.tolist(), event.members, event.step)
        self.before = copied

    def histograms(self, member: int) -> bytes:
        """The .npz of the observed `steps` (T,); for each layer its counts (T, 2, 255), zeros, nan and inf (T,)."""
        seen = [(step, members.index(member), of_all) for step, members, of_all in self.observed if member in members]
        arrays = {"steps": np.array([step for step, _, _ in seen])}
        for layer in seen[0][2] if seen else []:
            for part in probe.Histogram._fields:
                arrays[f"{layer}/{part}"] = np.array([getattr(of_all[layer], part)[row] for _, row, of_all in seen])
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        return content.getvalue()
