"""Where asymmetry comes from: each draw that is made, and the first steps with and without what may tell neurons apart.

Three things may do so, beside a rule that gives them other values without drawing: draws of the init, noise in the
forward pass such as dropout's, and rounding. Each is taken away on its own: drawn parameters become their means, noise
its expectation, and ties that exact arithmetic keeps are kept.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from zeroinit.build import batch_size_of, build, recipe_of, steps_per_epoch_of
from zeroinit.config.check import Values
from zeroinit.dataset.data import Data
from zeroinit.diagnostics.construction import listed
from zeroinit.diagnostics.lint import findings, first_batch
from zeroinit.diagnostics.random_ops import Draw, Draws, filling, forward
from zeroinit.layers import hidden, weight_layers
from zeroinit.probes.measures import distinct, neurons
from zeroinit.progress import counted
from zeroinit.rng import restore_generators, stream, stream_seed
from zeroinit.training import loop
from zeroinit.training.cohort import Member
from zeroinit.training.events import Event, Weights
from zeroinit.training.stackable import unstackable_reason

OVERWRITTEN = "none: the init overwrites it"
SINGLE = 8  # parameters of a kind that have a line each; more share one
RULE, DRAWS, NOISE, ROUNDING = "the rule itself", "init draws", "forward noise", "rounding"
EITHER = "rounding, or the rule itself"  # where no replay is tied
FOLLOWS = {
    RULE: "The rule gives neurons other values without drawing, so that no seed moves which of them part.",
    DRAWS: "Another seeds.init gives other neurons.",
    NOISE: "Another seeds.forward parts them otherwise; without the noise they stay copies for longer or for ever.",
    ROUNDING: "In exact arithmetic these stay copies: what they learn beyond one neuron is the kernels' doing, and "
    "arithmetic=tied trains without it.",
    EITHER: "Which of the two, tied replays would tell.",
}


class Drawn(NamedTuple):
    """Draws in one phase of making a run: construction, init or forward, for parameters or layers `of`."""

    phase: str
    of: list[str]
    entries: int
    source: str
    effect: str


class Replay(NamedTuple):
    """The first steps with or without a cause; `classes` has a hidden layer's distinct neurons after 0, 1, ... steps.

    `init` and `noise` are "drawn", "mean", or "none" where nothing is drawn.
    """

    init: str
    noise: str
    arithmetic: str
    classes: dict[str, list[float]]

    def broken(self) -> dict[str, int]:
        """{layer: the first step after which it has more than one class of neurons}, of those that ever have."""
        first = {
            layer: next((step for step, count in enumerate(counts) if count > 1), None)
            for layer, counts in self.classes.items()
        }
        return {layer: step for layer, step in first.items() if step is not None}


@dataclass(frozen=True)
class Audit:
    """What was drawn, what became of the neurons in each replay, and what to say of it."""

    drawn: list[Drawn]
    units: dict[str, int]  # of each hidden layer
    replays: list[Replay]
    notes: list[str]  # the last one is the answer


def audit(values: Values, data: Data) -> Audit:
    """Look at one run as its config has it; nothing of it is kept. Of `probe.dense` steps, or all that it has."""
    values = values | {"arithmetic": "native"}  # the other one is among the replays
    device = data.train[0].device
    with restore_generators(device):
        drawn, means, unknown = draws(values, data)
        model, _, optimizer = build(values, data)
        units = {name: len(layer.weight) for name, layer in weight_layers(model) if name in hidden(model)}
        if not units:
            return Audit(drawn, units, [], ["No replays: the net has no hidden neurons, and so no symmetry to break."])
        first = findings(values, data, model, optimizer)
        notes = [f"At the start, {one.text}." for one in first if one.rule == "backward"]
        notes += [f"{op} has no expectation here and stays as it is drawn." for op in sorted(unknown)]
        arithmetics = ["native", "tied"]
        if reason := unstackable_reason(model, optimizer, data.input_shape):
            arithmetics = ["native"]
            notes.append(f"No replays of tied arithmetic, which is for nets that can be stacked: {reason}.")
        inits = ["drawn", "mean"] if means else ["none"]
        noises = ["drawn", "mean"] if any(one.phase == "forward" for one in drawn) else ["none"]
        asked = list(product(inits, noises, arithmetics))
        replays = [
            replay(values, data, *one, means) for one in counted(asked, f"replaying {steps_of(values, data)} steps")
        ]
    return Audit(drawn, units, replays, [*notes, answer(replays, steps_of(values, data))])


def draws(values: Values, data: Data) -> tuple[list[Drawn], list[str], set[str]]:
    """What is drawn for a run up to its first forward pass, the parameters that have drawn values then, and the random
    operations of the forward pass whose expectation is not known.
    """
    start(values)
    data = replace(data, dtype=None)  # in which all is drawn
    fills: list[Tensor] = []
    with Draws() as made:
        model, _, _ = build(values, data, filling(made, fills))
    inputs, _ = first_batch(values, data, batch_size_of(values, data))
    with Draws(expected=True) as passed, forward(passed, model.train()), torch.no_grad():
        model(inputs)
    names = {str(id(one)): name for name, one in model.named_parameters()}
    held = [*model.named_parameters(), *model.named_buffers()]
    places = {tensor.untyped_storage().data_ptr(): name for name, tensor in held}
    filled = {names[str(id(one))] for one in fills}
    sources = {None: "torch's global generator", stream_seed("init", values["seeds"]["init"]): "the stream init"}

    def source(draw: Draw) -> str:
        return sources.get(draw.seed, "a generator of its own")

    found: dict[tuple[str, str, str, str], int] = {}  # entries by phase, source, effect, name
    means = []
    for draw in made.seen:
        if draw.where:
            key = "init", source(draw), "its values", names[draw.where]
            means.append(names[draw.where])
        else:
            name = names.get(str(id(draw.drawn))) or places.get(draw.drawn.untyped_storage().data_ptr(), "")
            effect = (
                "none: the init overwrites it" if name in filled else "its values" if name else "none: it is not kept"
            )
            key = "construction", source(draw), effect, name or "what the net does not hold"
            if name and name not in filled:
                means.append(name)
        found[key] = found.get(key, 0) + draw.entries
    for draw in passed.seen:
        key = "forward", source(draw), "noise, anew in each step", draw.where or "the net"
        found[key] = found.get(key, 0) + draw.entries
    return list(together(found)), list(dict.fromkeys(means)), passed.random


def together(found: Mapping[tuple[str, str, str, str], int]) -> Iterator[Drawn]:
    """A line for each name, or one for all of a kind where they are many."""
    kinds: dict[tuple[str, str, str], dict[str, int]] = {}
    for (phase, source, effect, name), entries in found.items():
        kinds.setdefault((phase, source, effect), {})[name] = entries
    for (phase, source, effect), names in kinds.items():
        if len(names) > SINGLE or effect == OVERWRITTEN:
            yield Drawn(phase, list(names), sum(names.values()), source, effect)
        else:
            yield from (Drawn(phase, [name], entries, source, effect) for name, entries in names.items())


def steps_of(values: Values, data: Data) -> int:
    """How many steps a replay has."""
    own = values["steps"] or values["epochs"] * steps_per_epoch_of(values, data)
    return int(min(values["probe"]["dense"], own))


def start(values: Values) -> None:
    """Seed the global generator as a run does before its model is built."""
    torch.manual_seed(stream_seed("forward", values["seeds"]["forward"]))


def replay(values: Values, data: Data, init: str, noise: str, arithmetic: str, means: Sequence[str]) -> Replay:
    """The first steps of the run, with the `means` of what is named so where `init` is "mean"."""
    start(values)
    model, _, optimizer = build(values, data)
    if init == "mean":
        with torch.no_grad():
            held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
            for tensor in (held[name] for name in means if held[name].is_floating_point()):
                tensor.fill_(tensor.mean())
    classes: dict[str, list[float]] = {name: [] for name in hidden(model)}

    def observe(event: Event) -> None:
        if isinstance(event, Weights):
            for name, counts in classes.items():
                weights, biases = event.layers[name]
                counts.append(distinct(neurons(weights, biases)).item())

    seeds = values["seeds"]
    order, changes = stream("order", seeds["order"]), stream("augment", seeds["augment"])
    with Draws(expected=True) if noise == "mean" else nullcontext():
        member = Member(model, optimizer, order, changes, steps_of(values, data))
        recipe = replace(recipe_of(values, data), tied=arithmetic == "tied")
        loop.train([member], few_to_evaluate(data), recipe, loop.Hooks(observe=observe))
    return Replay(init, noise, arithmetic, classes)


def few_to_evaluate(data: Data) -> Data:
    """The data with two examples to evaluate on, as nobody asks how good the replays are."""
    return replace(data, val=(data.val[0][:2], data.val[1][:2]), test=(data.test[0][:2], data.test[1][:2]))


def answer(replays: Sequence[Replay], steps: int) -> str:
    """Which causes alone tell neurons apart, in which layers after which step, and what follows from it."""
    if any(not counts or any(map(math.isnan, counts)) for one in replays for counts in one.classes.values()):
        return "A replay is not finite, of which nothing can be told."
    broken = {(one.init == "drawn", one.noise == "drawn", one.arithmetic): one.broken() for one in replays}
    tied = (False, False, "tied") in broken
    exact = "tied" if tied else "native"
    still = broken[False, False, exact]  # with no cause but the rule, as far as that can be told
    alone = {
        RULE: {layer: step for layer, step in still.items() if tied or step == 0},
        EITHER: {layer: step for layer, step in still.items() if not tied and step > 0},
        DRAWS: earlier(broken.get((True, False, exact), {}), still),
        NOISE: earlier(broken.get((False, True, exact), {}), still),
        ROUNDING: earlier(broken[False, False, "native"], still),
    }
    causes = sorted((min(layers.values()), cause) for cause, layers in alone.items() if layers)
    if causes:
        said = "; ".join(f"by {cause} alone ({when(alone[cause])})" for _, cause in causes)
        return " ".join([f"The symmetry is broken {said}.", *(FOLLOWS[cause] for _, cause in causes)])
    if as_it_is := next(layers for (_, _, arithmetic), layers in broken.items() if arithmetic == "native"):
        return f"No cause alone breaks the symmetry, and together they do ({when(as_it_is)})."
    return (
        f"Nothing breaks the symmetry: after {steps} steps the neurons of each hidden layer are still copies, and the "
        "net is no more than one with one neuron in each."
    )


def earlier(layers: Mapping[str, int], than: Mapping[str, int]) -> dict[str, int]:
    """Those of the layers that break earlier, or where the others do not."""
    return {layer: step for layer, step in layers.items() if step < than.get(layer, step + 1)}


def when(layers: Mapping[str, int]) -> str:
    """`hidden1 and hidden2 at the start, hidden3 after step 2`."""
    by_step: dict[int, list[str]] = {}
    for layer, step in layers.items():
        by_step.setdefault(step, []).append(layer)
    return ", ".join(
        f"{listed(names)} {f'after step {step}' if step else 'at the start'}" for step, names in sorted(by_step.items())
    )
