"""What the loop's hook does: turns what it is shown into a run's metrics and gradient histograms."""

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from zeroinit.dataset.data import Split
from zeroinit.layers import hidden, is_activation, weight_layers
from zeroinit.probes import measures
from zeroinit.probes.curvature import ITERATIONS, Curvature, curvature
from zeroinit.probes.first_gradients import FirstGradients
from zeroinit.probes.histogram import Histogram, histogram, quantiles
from zeroinit.tracker import Record, Tracker
from zeroinit.training.events import Event, Gradients, Metrics, Step, Weights
from zeroinit.training.quotient import QuotientLinear

FLUSH = 5  # seconds between two writes while it trains, for each of its members: a write is 0.1 s
MEMORY = 1 << 30  # bytes of Lanczos vectors, for each member
LEFT_OUT = "left_out"  # the tag that says which probes do not apply, or did not work
QUANTILES = {"p05": 0.05, "p50": 0.50, "p95": 0.95}


def left_out(name: str, model: nn.Module) -> str | None:
    """Why a probe does not apply to the model; None if it does."""
    if name in ("symmetry", "pairs"):
        widths = {layer: len(module.weight) for layer, module in weight_layers(model) if layer in hidden(model)}
        if not widths:
            return f"{name} is left out: it is of hidden neurons, and the net has no hidden layer"
        layer = max(widths, key=lambda layer: widths[layer])
        if name == "pairs" and widths[layer] > measures.WIDEST:
            wide = f"{layer} has {widths[layer]} neurons; it takes pairs of {measures.WIDEST} at most"
            return f"{name} is left out: {wide}"
    if name == "activation" and not (hidden(model) and any(map(is_activation, model.modules()))):
        return f"{name} is left out: the net has no hidden layer with an activation that is a module"
    if name == "curvature" and any(isinstance(module, QuotientLinear) for module in model.modules()):
        return f"{name} is left out: the gradients of a quotient are those of single neurons, not of its own loss"
    owned, named = (list(model.named_parameters(remove_duplicate=alone)) for alone in (True, False))
    if name == "curvature" and len(owned) < len(named):
        return f"{name} is left out: layers of the net share parameters"
    if name == "curvature":
        memory = ITERATIONS * sum(parameter.nbytes for parameter in model.parameters())
        if memory > MEMORY:
            return f"{name} is left out: it would take {memory / 2**30:.1f} GiB; it takes {MEMORY / 2**30:.0f} at most"
    return None


Shown = TypeVar("Shown", Gradients, Weights)


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class Copies(NamedTuple):
    """Weights of members, by layer."""

    members: list[int]
    layers: dict[str, Tensor]

    def of(self, layer: str, members: Sequence[int]) -> Tensor:
        return self.layers[layer][[self.members.index(member) for member in members]]


class Observer:
    """Watches the members of one training, by these probes.

    Some are of its `hidden` layers; activations and curvature are on `batch`, inputs (1, N, ...) and labels (1, N),
    curvature after so many updates as `curved` names. `tell` hears the share of the steps done, and validation
    accuracies.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tracker: Tracker,
        steps: int,
        tell: Callable[[float, float | None], None],
        probes: Sequence[str],
        hidden: Sequence[str],
        batch: Split,
        curved: Sequence[int],
    ) -> None:
        self.records, self.tracker, self.steps, self.tell = records, tracker, steps, tell
        self.probes, self.hidden, self.batch, self.curved = set(probes), hidden, batch, curved
        self.first_gradients = FirstGradients()
        self.step, self.members = 0, list[int]()  # whose gradients were seen last
        self.start = self.before = Copies([], {})  # of the first weights that were shown, and of the last
        self.looks = 0  # at neurons
        self.flushed = time.perf_counter()
        self.seconds = 0.0  # that watching took
        self.unread: list[tuple[str, Tensor, list[int], int]] = []  # what an observation has found, on the device
        self.counted: list[tuple[str, Tensor, int]] = []  # by layer, its gradients' bits and how many entries they have
        self.observed: list[tuple[int, list[int], dict[str, Histogram]]] = []

    def __call__(self, event: Event) -> None:
        started = time.perf_counter()
        if isinstance(event, Gradients):
            self.step, self.members = event.step, event.members
            self.attempt("gradient", self.watch_gradients, event)
            self.attempt("arrival", self.watch_arrival, event)
        elif isinstance(event, Weights):
            if event.step in (0, self.step):
                self.attempt("symmetry", self.watch_neurons, event)
                if self.looks % 2 == 0:  # which takes as long as all others together
                    self.attempt("pairs", self.watch_pairs, event)
                self.looks += 1
                self.attempt("activation", self.watch_activations, event)
            self.attempt("weight", self.watch_weights, event)
            if event.step in self.curved:
                self.attempt("curvature", self.watch_curvature, event)
        elif isinstance(event, Step):
            self.read()
            self.tell(event.step / self.steps, None)
        elif isinstance(event, Metrics):
            record = self.records[event.member]
            record.metrics += [(name, value, event.step) for name, value in event.values.items()]
            if started - self.flushed > FLUSH * len(self.records):
                self.flushed = started
                self.flush()
            self.tell(event.step / self.steps, event.values["val/accuracy"])
        self.seconds += time.perf_counter() - started

    def attempt(self, name: str, watch: Callable[[Shown], None], event: Shown) -> None:
        """Watch, where the probe is asked for; one that fails is left out from then on, and the run goes on."""
        if name not in self.probes:
            return
        try:
            watch(event)
        except Exception as error:
            said = f"{name} is left out after step {event.step}: {one_line(error)}"
            self.probes.remove(name)
            for member in event.members:
                tags = self.records[member].tags
                tags[LEFT_OUT] = f"{tags[LEFT_OUT]}; {said}" if LEFT_OUT in tags else said

    def flush(self) -> None:
        """Write what is new of the members' metrics; if the store fails now, their end will write it, or fail."""
        with suppress(Exception):
            for record in self.records:
                self.tracker.flush(record)

    def note(self, name: str, columns: Mapping[str, Tensor], members: list[int], step: int) -> None:
        """Make a metric <name>/<column> of a value a member, once they are read."""
        self.unread += [(f"{name}/{column}", values, members, step) for column, values in columns.items()]

    def read(self) -> None:
        """Bring what an observation has found from the device, all of it at once, into the records."""
        if not self.unread and not self.counted:
            return
        parts = [values for _, values, _, _ in self.unread] + [bits for _, bits, _ in self.counted]
        flat = torch.cat([part.flatten().double() for part in parts]).cpu()  # doubles hold counts exactly, too
        values = torch.split(flat, [part.numel() for part in parts])
        found = [
            (name, of_all.numpy(), members, step)
            for (name, _, members, step), of_all in zip(self.unread, values, strict=False)
        ]
        histograms = {}
        for (layer, _, size), bits in zip(self.counted, values[len(self.unread) :], strict=True):
            counts = bits.numpy().astype(np.int64).reshape(len(self.members), -1)
            histograms[layer] = one = histogram(counts, size)
            between = quantiles(one.counts, one.zeros, tuple(QUANTILES.values())).T
            columns = {"zeros": one.zeros / size, **dict(zip(QUANTILES, between, strict=True))}
            found += [(f"grad/{layer}/{name}", of_all, self.members, self.step) for name, of_all in columns.items()]
        if histograms:
            self.observed.append((self.step, self.members, histograms))
        for name, of_all, members, step in found:
            for member, value in zip(members, of_all.tolist(), strict=True):
                if math.isfinite(value):  # what is not has no place on an axis
                    self.records[member].metrics.append((name, value, step))
        self.unread, self.counted = [], []

    def watch_gradients(self, event: Gradients) -> None:
        """grad/<layer>/{norm, zeros, p05, p50, p95} and the histograms; zeros is a share."""
        for layer, gradients in event.layers.items():
            self.counted.append((layer, measures.bit_counts(gradients), gradients[0].numel()))
            self.note(f"grad/{layer}", {"norm": measures.norm(gradients)}, event.members, event.step)

    def watch_arrival(self, event: Gradients) -> None:
        """arrival/<layer>: the first observed step with a weight gradient above rounding, at that step."""
        for layer, member in self.first_gradients.new_layers(event):
            self.records[member].metrics.append((f"arrival/{layer}", event.step, event.step))

    def watch_neurons(self, event: Weights) -> None:
        """symmetry/<layer>/{distinct, cosine} of each layer of hidden neurons."""
        for layer in self.hidden:
            neurons = measures.neurons(*event.layers[layer])
            columns = {"distinct": measures.distinct(neurons), "cosine": measures.mean_cosine(neurons)}
            self.note(f"symmetry/{layer}", columns, event.members, event.step)

    def watch_pairs(self, event: Weights) -> None:
        """symmetry/<layer>/{clusters, rank} of each layer of hidden neurons, at every other look."""
        for layer in self.hidden:
            found = measures.pairs(measures.neurons(*event.layers[layer]))
            self.note(
                f"symmetry/{layer}", dict(zip(("clusters", "rank"), found, strict=True)), event.members, event.step
            )

    def watch_activations(self, event: Weights) -> None:
        """activation/<layer>/{dead, saturated, mean, variance} behind each layer; the first two are shares of units."""
        for layer, (inputs, activation) in event.net.activations(self.batch[0]).items():
            found, slopes = activation(inputs * 1), measures.slopes(activation, inputs)  # a copy: it may act in place
            columns = {
                "dead": measures.dead(slopes),
                "saturated": measures.saturated(slopes, measures.steepest(activation)),
                "mean": found.flatten(1).mean(1),
                "variance": found.flatten(1).var(1, correction=0),
            }
            own = {name: of_all[event.slots] for name, of_all in columns.items()}
            self.note(f"activation/{layer}", own, event.members, event.step)

    def watch_curvature(self, event: Weights) -> None:
        """curvature/{gradient, largest, smallest} of the loss, and of the block of the layers' weights alone."""
        parameters = event.net.tensors()
        weights = [name for name, of_all in parameters.items() if of_all.dim() > 2]  # (K, units, ...)
        for name, block in (("curvature", list(parameters)), ("curvature/weights", weights)):
            found = curvature(lambda own: event.net.losses(own, *self.batch), parameters, block)
            columns = dict(zip(Curvature._fields, (of_all[event.slots] for of_all in found), strict=True))
            self.note(name, columns, event.members, event.step)

    def watch_weights(self, event: Weights) -> None:
        """weight/<layer>/{norm, angle, update}: to where it started, in degrees; and the step's relative change."""
        copied = Copies(event.members, {layer: weights.clone() for layer, (weights, _) in event.layers.items()})
        if event.step == 0:
            self.start = copied
        if event.step in (0, self.step):
            for layer, (weights, _) in event.layers.items():
                columns = {"norm": measures.norm(weights)}
                if event.step:
                    columns["angle"] = measures.angle(weights, self.start.of(layer, event.members))
                    columns["update"] = measures.relative_update(self.before.of(layer, event.members), weights)
                self.note(f"weight/{layer}", columns, event.members, event.step)
        self.before = copied

    def histograms(self, member: int) -> bytes:
        """The .npz of the observed `steps` (T,); for each layer its counts (T, 2, 255), zeros, nan and inf (T,)."""
        seen = [(step, members.index(member), of_all) for step, members, of_all in self.observed if member in members]
        arrays = {"steps": np.array([step for step, _, _ in seen])}
        for layer in seen[0][2] if seen else []:
            for part in Histogram._fields:
                arrays[f"{layer}/{part}"] = np.array([getattr(of_all[layer], part)[row] for _, row, of_all in seen])
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        return content.getvalue()
