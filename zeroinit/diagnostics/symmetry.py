"""The audit of a run's asymmetry: its draws, and replays of its first steps without some of what separates neurons.

Three things can separate neurons, apart from a rule that gives them different values without drawing: draws of the
init, noise in the forward pass such as dropout's, and rounding. Each of the three is removed on its own: drawn
parameters become their means, noise becomes its expectation, and ties that exact arithmetic keeps are enforced.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from zeroinit.build import batch_size_of, build, make_scheduler, recipe_of, steps_per_epoch_of
from zeroinit.config.schema import RunConfig
from zeroinit.dataset.data import Data
from zeroinit.diagnostics.construction import abbreviate
from zeroinit.diagnostics.lint import findings, first_batch
from zeroinit.diagnostics.random_ops import Draw, Draws, name_by_layer, record_fills
from zeroinit.observed_layers import hidden_layers
from zeroinit.probes.measures import count_distinct
from zeroinit.probes.symmetry import hidden_widths, units_of
from zeroinit.progress import track
from zeroinit.rng import restore_generators, stream, stream_seed
from zeroinit.training import loop
from zeroinit.training.cohort import Member
from zeroinit.training.events import Event, Weights
from zeroinit.training.stackable import unstackable_reason

OVERWRITTEN = "none: the init overwrites it"
MAX_SINGLE_LINES = 8  # draws of a kind that have a line each; more share one
RULE, DRAWS, NOISE, ROUNDING = "the rule itself", "init draws", "forward noise", "rounding"
EITHER = "rounding, or the rule itself"  # if no replay is tied
CONSEQUENCE = {
    RULE: "The rule gives neurons different values without drawing, so seeds do not change which neurons separate.",
    DRAWS: "Another seeds.init gives other neurons.",
    NOISE: "Another seeds.forward separates them differently; without the noise they stay copies longer, or always.",
    ROUNDING: "In exact arithmetic they stay copies, so what they learn beyond one neuron depends on the kernels; "
    "arithmetic=tied trains without it.",
    EITHER: "Only tied replays could tell which of the two.",
}


class DrawSummary(NamedTuple):
    """Draws of one kind.

    Attributes:
        phase: "construction", "init" or "forward".
        names: the parameters or layers that they were made for.
        entries: how many numbers were drawn.
        source: the generator.
        effect: what they change in the run.
    """

    phase: str
    names: list[str]
    entries: int
    source: str
    effect: str


class Replay(NamedTuple):
    """The first steps with or without some causes.

    Attributes:
        init: "drawn", "mean", or "none" if the init draws nothing.
        noise: "drawn", "mean", or "none" if the forward pass draws nothing.
        arithmetic: "native" or "tied".
        classes: {hidden layer: the number of distinct neurons after 0, 1, ... steps}.
    """

    init: str
    noise: str
    arithmetic: str
    classes: dict[str, list[float]]

    def first_broken(self) -> dict[str, int]:
        """Return {layer: the first step after which it has more than one class of neurons}, without the others."""
        first = {
            layer: next((step for step, count in enumerate(counts) if count > 1), None)
            for layer, counts in self.classes.items()
        }
        return {layer: step for layer, step in first.items() if step is not None}


@dataclass(frozen=True)
class Audit:
    """What was drawn, the replays, and sentences about them.

    Attributes:
        drawn: the draws by kind.
        units: {hidden layer: number of neurons}.
        replays: one entry for each combination of causes.
        notes: sentences; the last one is the answer.
    """

    drawn: list[DrawSummary]
    units: dict[str, int]
    replays: list[Replay]
    notes: list[str]


def audit(config: RunConfig, data: Data) -> Audit:
    """Audit one run over its first `probe.first_steps` steps, or all if it has fewer. Nothing is stored."""
    config = replace(config, arithmetic="native")  # some of the replays are tied
    device = data.train[0].device
    with restore_generators(device):
        drawn, means, unknown = summarize_draws(config, data)
        model, _, optimizer = build(config, data)
        units = hidden_widths(model)
        if not units:
            return Audit(drawn, units, [], ["No replays: the net has no hidden neurons, and so no symmetry to break."])
        at_start = [finding for finding in findings(config, data, model, optimizer) if finding.rule == "backward"]
        notes = [f"At the start, {finding.text}." for finding in at_start]
        notes += [f"{op} has no known expectation and stays random." for op in sorted(unknown)]
        arithmetics = ["native", "tied"]
        if reason := unstackable_reason(model, optimizer, data.input_shape):
            arithmetics = ["native"]
            notes.append(f"No replays of tied arithmetic, which is for nets that can be stacked: {reason}.")
        inits = ["drawn", "mean"] if means else ["none"]
        noises = ["drawn", "mean"] if any(draws.phase == "forward" for draws in drawn) else ["none"]
        steps = _replay_steps(config, data)
        combinations = track(list(product(inits, noises, arithmetics)), f"replaying {steps} steps")
        replays = [replay(config, data, *causes, means) for causes in combinations]
    return Audit(drawn, units, replays, [*notes, explain_causes(replays, steps)])


def summarize_draws(config: RunConfig, data: Data) -> tuple[list[DrawSummary], list[str], set[str]]:
    """Return what is drawn for a run up to its first forward pass.

    Returns:
        The draws by kind; the names of the parameters and buffers with drawn values; the random operations of the
        forward pass whose expectation is not known.
    """
    _seed_global_generator(config)
    data = replace(data, dtype=None)  # all is drawn in the data's stored dtype
    fills: list[Tensor] = []
    with Draws() as construction_draws:
        model, _, _ = build(config, data, record_fills(construction_draws, fills))
    inputs, _ = first_batch(config, data, batch_size_of(config, data))
    with Draws(expected=True) as forward_draws, name_by_layer(forward_draws, model.train()), torch.no_grad():
        model(inputs)
    names = {str(id(parameter)): name for name, parameter in model.named_parameters()}
    tensors = [*model.named_parameters(), *model.named_buffers()]
    by_storage = {tensor.untyped_storage().data_ptr(): name for name, tensor in tensors}
    filled = {names[str(id(tensor))] for tensor in fills}
    sources = {None: "torch's global generator", stream_seed("init", config.seeds.init): "the stream init"}

    def name_source(draw: Draw) -> str:
        return sources.get(draw.seed, "a generator of its own")

    entries: dict[tuple[str, str, str, str], int] = {}  # by phase, source, effect and name
    drawn_names = []
    for draw in construction_draws.records:
        if draw.where:
            key = "init", name_source(draw), "its values", names[draw.where]
            drawn_names.append(names[draw.where])
        else:
            name = names.get(str(id(draw.drawn))) or by_storage.get(draw.drawn.untyped_storage().data_ptr(), "")
            effect = OVERWRITTEN if name in filled else "its values" if name else "none: it is not kept"
            is_of_init = draw.seed is None and config.init.keeps_draws
            source = "the stream init" if is_of_init else name_source(draw)
            key = "construction", source, effect, name or "what the net does not hold"
            if name and name not in filled:
                drawn_names.append(name)
        entries[key] = entries.get(key, 0) + draw.entries
    for draw in forward_draws.records:
        key = "forward", name_source(draw), "noise, anew in each step", draw.where or "the net"
        entries[key] = entries.get(key, 0) + draw.entries
    return list(_group_draws(entries)), list(dict.fromkeys(drawn_names)), forward_draws.random


def _group_draws(entries: Mapping[tuple[str, str, str, str], int]) -> Iterator[DrawSummary]:
    """Yield one summary for each name, or one for all names of a kind if they are many."""
    kinds: dict[tuple[str, str, str], dict[str, int]] = {}
    for (phase, source, effect, name), count in entries.items():
        kinds.setdefault((phase, source, effect), {})[name] = count
    for (phase, source, effect), counts in kinds.items():
        if len(counts) > MAX_SINGLE_LINES or effect == OVERWRITTEN:
            yield DrawSummary(phase, list(counts), sum(counts.values()), source, effect)
        else:
            yield from (DrawSummary(phase, [name], count, source, effect) for name, count in counts.items())


def _replay_steps(config: RunConfig, data: Data) -> int:
    """Return the number of steps of a replay."""
    return min(config.probe.schedule.first_steps, config.duration.count_steps(steps_per_epoch_of(config, data)))


def _seed_global_generator(config: RunConfig) -> None:
    """Seed torch's global generator, as a run does before its model is built."""
    torch.manual_seed(stream_seed("forward", config.seeds.forward))


def replay(config: RunConfig, data: Data, init: str, noise: str, arithmetic: str, means: Sequence[str]) -> Replay:
    """Train the first steps of the run, and count the distinct neurons after each.

    Args:
        config: the config of the run.
        data: its data.
        init: "mean" to replace the parameters in `means` by their means.
        noise: "mean" to replace draws of the forward pass by their expectations.
        arithmetic: "tied" to enforce ties.
        means: the names of the parameters and buffers with drawn values.
    """
    _seed_global_generator(config)
    model, _, optimizer = build(config, data)
    if init == "mean":
        with torch.no_grad():
            tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
            for tensor in (tensors[name] for name in means if tensors[name].is_floating_point()):
                tensor.fill_(tensor.mean())
    classes: dict[str, list[float]] = {name: [] for name in hidden_layers(model)}

    def observe(event: Event) -> None:
        if isinstance(event, Weights):
            for name, counts in classes.items():
                counts.append(count_distinct(units_of(event, name)).item())

    order, changes = stream("order", config.seeds.order), stream("augment", config.seeds.augment)
    with Draws(expected=True) if noise == "mean" else nullcontext():
        scheduler = make_scheduler(config, optimizer, data)
        member = Member(model, optimizer, order, changes, _replay_steps(config, data), scheduler)
        recipe = replace(recipe_of(config, data), tied=arithmetic == "tied")
        loop.train([member], _shorten_evaluation(data), recipe, loop.Hooks(observe=observe))
    return Replay(init, noise, arithmetic, classes)


def _shorten_evaluation(data: Data) -> Data:
    """Return the data with two examples for evaluation, because the accuracy of a replay is not used."""
    return replace(data, val=(data.val[0][:2], data.val[1][:2]), test=(data.test[0][:2], data.test[1][:2]))


def explain_causes(replays: Sequence[Replay], steps: int) -> str:
    """Say which causes alone separate neurons, in which layers after which step, and the consequences."""
    if any(not counts or any(map(math.isnan, counts)) for run in replays for counts in run.classes.values()):
        return "A replay has values that are not finite, so its neurons cannot be compared."
    broken = {(run.init == "drawn", run.noise == "drawn", run.arithmetic): run.first_broken() for run in replays}
    has_tied = (False, False, "tied") in broken
    exact = "tied" if has_tied else "native"
    by_rule = broken[False, False, exact]  # with no cause but the rule, as far as that can be separated
    alone = {
        RULE: {layer: step for layer, step in by_rule.items() if has_tied or step == 0},
        EITHER: {layer: step for layer, step in by_rule.items() if not has_tied and step > 0},
        DRAWS: _earlier_layers(broken.get((True, False, exact), {}), by_rule),
        NOISE: _earlier_layers(broken.get((False, True, exact), {}), by_rule),
        ROUNDING: _earlier_layers(broken[False, False, "native"], by_rule),
    }
    causes = sorted((min(layers.values()), cause) for cause, layers in alone.items() if layers)
    if causes:
        parts = "; ".join(f"by {cause} alone ({_format_steps(alone[cause])})" for _, cause in causes)
        return " ".join([f"The symmetry is broken {parts}.", *(CONSEQUENCE[cause] for _, cause in causes)])
    if together := next(layers for (_, _, arithmetic), layers in broken.items() if arithmetic == "native"):
        return f"No cause alone breaks the symmetry, but together they do ({_format_steps(together)})."
    return (
        f"Nothing breaks the symmetry: after {steps} steps the neurons of each hidden layer are still copies, so the "
        "net can do no more than one with one neuron in each."
    )


def _earlier_layers(layers: Mapping[str, int], reference: Mapping[str, int]) -> dict[str, int]:
    """Return the layers that break earlier than in the reference, or do not break there."""
    return {layer: step for layer, step in layers.items() if step < reference.get(layer, step + 1)}


def _format_steps(layers: Mapping[str, int]) -> str:
    """Return text such as `hidden1 and hidden2 at the start, hidden3 after step 2`."""
    by_step: dict[int, list[str]] = {}
    for layer, step in layers.items():
        by_step.setdefault(step, []).append(layer)
    return ", ".join(
        f"{abbreviate(names)} {f'after step {step}' if step else 'at the start'}"
        for step, names in sorted(by_step.items())
    )
