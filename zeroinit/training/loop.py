"""The training loop, over a list of members, with one hook for what observes it."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from zeroinit.dataset.batches import Augment, Batches, Streams
from zeroinit.dataset.data import Data
from zeroinit.layers import weight_names
from zeroinit.training.evaluation import Evaluate, evaluate_members
from zeroinit.training.single import Alone, Batch, Layers
from zeroinit.training.stack import Stack
from zeroinit.training.ties import Ties

POINTS = 50  # evaluations a run, at most


@dataclass(frozen=True)
class Member:
    """One run of the loop: its model, the optimiser of that very model, its streams for batches, its length."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    augment: torch.Generator
    steps: int


@dataclass(frozen=True)
class Step:
    """The members that train have taken `step` updates."""

    step: int


@dataclass(frozen=True)
class Gradients:
    """Weight gradients {layer: (len(members), *weight.shape)} of `step` (from 1), before that step's update.

    `net` is what trains them, to be asked for more while the event is being observed: they are at `places` of what it
    answers. `parameters` names each layer's weight, and `batch` is what `net.again` takes.
    """

    step: int
    members: list[int]
    layers: dict[str, Tensor]
    parameters: dict[str, str]
    net: Alone | Stack
    places: list[int] | slice
    batch: Batch


@dataclass(frozen=True)
class Weights:
    """{layer: (weights (len(members), *shape), biases (len(members), units) or None)} after `step` updates.

    `net` is what trains them, to be asked for more while the event is being observed: they are at `places` of what it
    answers.
    """

    step: int
    members: list[int]
    layers: Layers
    net: Alone | Stack
    places: list[int] | slice


@dataclass(frozen=True)
class Metrics:
    """{"<split>/<loss or accuracy>": value} of one member after `step` updates.

    val and test: in eval mode, on the whole split. train: the mean over the batches of the epoch so far, each taken
    before its update, as training saw them; at step 0 there is none.
    """

    step: int
    member: int
    values: dict[str, float]


@dataclass(frozen=True)
class Ended:
    """A member has taken its last step, or diverged; its model is as it ended."""

    member: int
    trained: "Trained"


@dataclass
class Trained:
    """What became of a member. Where it diverged, metrics end before that step."""

    losses: Tensor  # (steps,), mean over each batch before its update, on the device
    hits: Tensor  # (steps,), examples of each batch whose class was predicted
    metrics: list[Metrics] = field(default_factory=list)
    diverged_at: int | None = None  # the first step whose loss is not finite


Event = Step | Gradients | Weights | Metrics | Ended


def ignore(event: Event) -> None:
    """The hook of a loop that nobody watches."""


def always(step: int) -> bool:
    """The schedule of one who watches each step."""
    return True


def never(step: int, member: int) -> bool:
    """The patience of one who lets each run take all of its steps."""
    return False


def train(
    members: Sequence[Member],
    data: Data,
    *,
    batch_size: int,
    shuffle: bool,
    augment: Augment,
    reduction: Literal["mean", "sum"],
    tied: bool,
    stacked: bool = False,
    observe: Callable[[Event], None] = ignore,
    observed: Callable[[int], bool] = always,
    judged: Collection[int] = (),
    hopeless: Callable[[int, int], bool] = never,
    evaluate: Evaluate = evaluate_members,
) -> list[Trained]:
    """Train the members by cross-entropy, each for its own number of steps, and tell `observe` as it goes.

    One member trains as the plain model that it is; several, or one that is `stacked`, as one stack, for which, as for
    tied ones, `stack.why_alone` must have nothing against their models. Every member stays what it would be alone: its
    own batches, its own schedule of metrics (`evaluation_steps`). `reduction` is that of the loss whose gradient is
    taken; losses are shown as means either way. With `tied`, neurons that start equal, in and out, stay so: each has
    the numbers of the first of them after each update, and in the gradients shown. Gradients come at the steps (from 1)
    that `observed` names; weights before and after each of those updates, each once. After the steps `judged`, a member
    ends of which `hopeless` (step, member) is true, with the models as they are then. A member whose loss is not finite
    is shown no more from its next evaluation on, but stays in the stack, so that the others keep their bits. `evaluate`
    takes the metrics.
    """
    examples = len(data.train[0])
    per_epoch = math.ceil(examples / batch_size)
    points = [evaluation_steps(member.steps, per_epoch) for member in members]
    lengths = [member.steps for member in members]
    ends = set(lengths)
    pairs = [(member.model, member.optimizer) for member in members]
    together = Stack(pairs) if stacked or len(pairs) > 1 else Alone(*pairs[0])
    ties, parameters = Ties(pairs) if tied else None, weight_names(members[0].model)
    # where a batch is all there is, its order is no difference between members
    drawn_from = streams(members, shuffle and batch_size < examples, augment)
    batches = Batches(data, batch_size, shuffle, augment, drawn_from)
    rows = list(range(len(members)))  # that still train
    of_losses = torch.promote_types(next(members[0].model.parameters()).dtype, torch.float32)
    losses = torch.zeros(max(ends), len(rows), dtype=of_losses, device=data.train[0].device)
    hits = torch.zeros_like(losses)
    done = [Trained(losses, hits) for _ in members]

    def evaluate_at(step: int) -> None:
        due = [place for place, row in enumerate(rows) if step in points[row] and done[row].diverged_at is None]
        if not due:
            return
        values, diverged = evaluate(together.predict, data, losses[:step], hits[:step], batch_size)
        for place in due:
            row, own = rows[place], {name: of_all[place] for name, of_all in values.items()}
            if diverged[place]:
                done[row].diverged_at = diverged[place]
            elif not all(math.isfinite(value) for value in own.values()):
                done[row].diverged_at = step
            else:
                done[row].metrics.append(Metrics(step, row, own))
                observe(done[row].metrics[-1])

    def tell_ended(places: list[int]) -> None:
        for place in places:
            row = rows[place]
            own = slice(lengths[row]), place
            done[row].losses, done[row].hits = losses[own].clone(), hits[own].clone()
            observe(Ended(row, done[row]))

    def some_of(live: list[int]) -> list[int] | slice:
        return slice(None) if len(live) == len(rows) else live

    def show(step: int, live: list[int]) -> None:
        some = some_of(live)
        layers = {
            name: (weights[some], None if biases is None else biases[some])
            for name, (weights, biases) in together.layers().items()
        }
        observe(Weights(step, [rows[place] for place in live], layers, together, some))

    shown = -1  # after which update weights were shown last
    evaluate_at(0)
    for step in range(1, max(ends) + 1):
        live = [place for place, row in enumerate(rows) if done[row].diverged_at is None]
        if not live:
            break
        batch = *next(batches), reduction
        losses[step - 1], hits[step - 1] = together.backward(*batch)
        watched = observed(step)
        if watched:
            if shown < step - 1:
                show(step - 1, live)
            some = some_of(live)
            gradients = together.gradients()
            if ties:
                ties.copy({name: gradients[name] for name in parameters.values()}, values=False)
            own = {layer: gradients[name][some] for layer, name in parameters.items()}
            observe(Gradients(step, [rows[place] for place in live], own, parameters, together, some, batch))
        together.update(step)
        if ties:
            ties.copy(together.tensors(), values=True)
        if watched:
            show(step, live)
            shown = step
        if step in judged:
            together.write_back()
            for row in [rows[place] for place in live if hopeless(step, rows[place])]:
                lengths[row] = step
                points[row].add(step)
                ends.add(step)
        evaluate_at(step)
        observe(Step(step))
        if step in ends:
            together.write_back()
            tell_ended([place for place, row in enumerate(rows) if lengths[row] == step])
            kept = [place for place, row in enumerate(rows) if lengths[row] > step]
            if kept:
                together.keep(kept)
                batches.keep(kept)
                if ties:
                    ties.keep(kept)
                losses, hits = losses[:, kept], hits[:, kept]
            rows = [rows[place] for place in kept]
    together.write_back()
    tell_ended(list(range(len(rows))))
    return done


def streams(members: Sequence[Member], shuffle: bool, augment: Augment) -> list[Streams]:
    """The generators of each member's batches; those of the first alone where all members see the same."""

    def state(member: Member) -> bytes:
        drawn_from = [member.order] * shuffle + [member.augment] * bool(augment)
        return b"".join(generator.get_state().numpy().tobytes() for generator in drawn_from)

    alike = len({state(member) for member in members}) == 1
    return [(member.order, member.augment) for member in members[: 1 if alike else None]]


def evaluation_steps(steps: int, per_epoch: int) -> set[int]:
    """After which updates metrics are taken: 0, each epoch's end and the last, thinned evenly to 50 a run at most.

    Under full batch, where an epoch is a step, they are spaced logarithmically.
    """
    if per_epoch == 1:
        return {0, *np.geomspace(1, steps, POINTS - 1).round().astype(int).tolist()}
    ends = sorted({*range(per_epoch, steps + 1, per_epoch), steps})
    kept = np.linspace(0, len(ends) - 1, min(len(ends), POINTS - 1)).round().astype(int)
    return {0, *(ends[index] for index in kept)}
