"""The members of one training: their models, batches, ties and losses."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from zeroinit.dataset.batches import Augment, Batches, Streams
from zeroinit.dataset.data import Data
from zeroinit.loss import Loss, Reduction
from zeroinit.observed_layers import weight_names
from zeroinit.state import State
from zeroinit.training.clip import Clip
from zeroinit.training.evaluation import Evaluate
from zeroinit.training.events import Event, Finished, Gradients, Metrics, TrainingResult, Weights
from zeroinit.training.model import Batch, TrainedModel
from zeroinit.training.scheduler import Scheduler
from zeroinit.training.single import SingleModel
from zeroinit.training.stack import ModelStack
from zeroinit.training.ties import Ties

MAX_EVALUATIONS = 50  # of a run


@dataclass(frozen=True)
class Member:
    """One run: its model, the optimizer of that model, the generators of its batches, and its number of steps.

    The scheduler moves the settings of the optimizer; None if they are constant.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    augment: torch.Generator
    steps: int
    scheduler: Scheduler | None = None


@dataclass(frozen=True)
class Recipe:
    """How all members are trained.

    Attributes:
        loss: of an example.
        batch_size: examples a step.
        shuffle: whether each epoch has another order.
        augment: random changes of the training images.
        reduction: of the loss whose gradient is taken; losses are shown as means either way.
        tied: whether neurons that start equal, in and out, stay equal: each has the numbers of the first of them after
            each update, and in the gradients shown.
        autocast: the dtype to which torch lowers operations of a forward pass; None for no other. No stack has one.
        clip: limits of the gradients that the optimizer gets; the gradients shown are those before.
    """

    loss: Loss
    batch_size: int
    shuffle: bool
    augment: Augment
    reduction: Reduction
    tied: bool
    clip: Clip | None = None
    autocast: torch.dtype | None = None


class Cohort:
    """Members that train together, each in a slot of `net`. A member leaves its slot after its last step."""

    def __init__(self, members: Sequence[Member], data: Data, recipe: Recipe, stacked: bool) -> None:
        self.data, self.recipe = data, recipe
        examples = len(data.train[0])
        per_epoch = math.ceil(examples / recipe.batch_size)
        pairs = [(member.model, member.optimizer) for member in members]
        loss, is_stack = recipe.loss, stacked or len(pairs) > 1
        schedulers = [member.scheduler for member in members]
        self.net: TrainedModel = (
            ModelStack(pairs, loss, schedulers)
            if is_stack
            else SingleModel(*pairs[0], loss, schedulers[0], recipe.autocast)
        )
        self.ties = Ties(pairs, loss.slopes_sum_to_zero) if recipe.tied else None
        self.parameters, self.rows = weight_names(members[0].model)
        # a batch that holds all examples has no order in which members could differ
        generators = _streams(members, recipe.shuffle and recipe.batch_size < examples, recipe.augment)
        self.batches = Batches(data, recipe.batch_size, recipe.shuffle, recipe.augment, generators)
        self.slots = list(range(len(members)))  # the member in each slot
        self.steps = [member.steps for member in members]
        self.evaluation_steps = [evaluation_steps(member.steps, per_epoch) for member in members]
        dtype = torch.promote_types(next(members[0].model.parameters()).dtype, torch.float32)
        self.losses = torch.zeros(max(self.steps), len(members), dtype=dtype, device=data.train[0].device)
        self.score_sums = torch.zeros_like(self.losses)
        self.results = [TrainingResult(self.losses, self.score_sums) for _ in members]
        self.shown_step = -1  # the update after which weights were shown last

    @property
    def active(self) -> list[int]:
        """The slots whose members have not diverged."""
        return [slot for slot, member in enumerate(self.slots) if self.results[member].diverged_at is None]

    def backward(self, step: int) -> Batch:
        """Leave the gradients of the next batch in `net`. Return the batch."""
        batch = *next(self.batches), self.recipe.reduction
        self.losses[step - 1], self.score_sums[step - 1] = self.net.backward(*batch)
        return batch

    def update(self, step: int) -> None:
        """Apply the gradients, as update number `step` (from 1)."""
        if self.recipe.clip:
            self.net.clip(self.recipe.clip)
        self.net.update(step)
        if self.ties:
            self.ties.enforce(self.net.tensors(), values=True)

    def gradients(self, step: int, batch: Batch) -> Gradients:
        """Return the gradients of the active members, which `backward` left."""
        slots, members = self._select_active()
        gradients = self.net.gradients()
        if self.ties:
            self.ties.enforce({name: gradients[name] for name in self.parameters.values()}, values=False)
        layers = {layer: gradients[name][slots] for layer, name in self.parameters.items()}
        layers |= {layer: layers[layer][:, rows] for layer, rows in self.rows.items()}
        return Gradients(step, members, layers, self.parameters, self.rows, self.net, slots, batch)

    def show_weights(self, step: int, observe: Callable[[Event], None]) -> None:
        """Show the weights of the active members after `step` updates, unless they were shown."""
        if self.shown_step == step:
            return
        self.shown_step = step
        slots, members = self._select_active()
        layers = {
            name: (weights[slots], None if biases is None else biases[slots])
            for name, (weights, biases) in self.net.layers().items()
        }
        units = {name: values[slots] for name, values in self.net.units().items()}
        observe(Weights(step, members, layers, units, self.net, slots))

    def evaluate(self, step: int, evaluate: Evaluate, observe: Callable[[Event], None]) -> None:
        """Take and show the metrics of the members that are due after `step` updates."""
        due = [slot for slot in self.active if step in self.evaluation_steps[self.slots[slot]]]
        if not due:
            return
        values, diverged = evaluate(
            self.net.predict,
            self.data,
            self.losses[:step],
            self.score_sums[:step],
            self.recipe.batch_size,
            self.recipe.loss,
        )
        for slot in due:
            member = self.slots[slot]
            result = self.results[member]
            metrics = {name: value for name, column in values.items() if (value := column[slot]) is not None}
            if diverged[slot]:
                result.diverged_at = diverged[slot]
            elif not all(map(math.isfinite, metrics.values())):
                result.diverged_at = step
            else:
                result.metrics.append(Metrics(step, member, metrics))
                observe(result.metrics[-1])

    def stop_early(self, step: int, should_stop: Callable[[int, int], bool]) -> None:
        """Make `step` the last step of the active members for which should_stop(step, member) is true."""
        self.net.write_back()
        for member in [self.slots[slot] for slot in self.active]:
            if should_stop(step, member):
                self.steps[member] = step
                self.evaluation_steps[member].add(step)

    def retire(self, step: int, observe: Callable[[Event], None]) -> None:
        """Take the members out whose last step is `step`, and show their results."""
        ended = [slot for slot, member in enumerate(self.slots) if self.steps[member] == step]
        if not ended:
            return
        self._finish(ended, observe)
        left = [slot for slot, member in enumerate(self.slots) if self.steps[member] > step]
        if left:
            self.net.retain(left)
            self.batches.retain(left)
            if self.ties:
                self.ties.retain(left)
            self.losses, self.score_sums = self.losses[:, left], self.score_sums[:, left]
        self.slots = [self.slots[slot] for slot in left]

    def retire_all(self, observe: Callable[[Event], None]) -> None:
        """Show the results of the members that are left: all of them diverged."""
        self._finish(list(range(len(self.slots))), observe)
        self.slots = []

    def state(self, step: int) -> State:
        """Return all that training after `step` updates depends on, for the member in each slot."""
        results = [self.results[member] for member in self.slots]
        return {
            "net": self.net.state(),
            "ties": self.ties.state() if self.ties is not None else None,
            "batches": self.batches.state(),
            "steps": [self.steps[member] for member in self.slots],
            "evaluation_steps": [sorted(self.evaluation_steps[member]) for member in self.slots],
            "losses": self.losses[:step],
            "score_sums": self.score_sums[:step],
            "metrics": [[(metrics.step, metrics.values) for metrics in result.metrics] for result in results],
            "diverged_at": [result.diverged_at for result in results],
            "shown_step": self.shown_step,
        }

    def load_state(self, state: State, slots: Sequence[int]) -> None:
        """Continue from such a state. Members of this cohort, which has taken no step, were in these slots."""
        self.net.load_state(state["net"], slots)
        if self.ties is not None:
            self.ties.load_state(state["ties"], slots, self.losses.device)
        self.batches.load_state(state["batches"], slots)
        self.steps = [state["steps"][slot] for slot in slots]
        self.evaluation_steps = [set(state["evaluation_steps"][slot]) for slot in slots]
        for values, name in ((self.losses, "losses"), (self.score_sums, "score_sums")):
            values[: len(state[name])] = state[name][:, slots].to(values.device)
        for member, (slot, result) in enumerate(zip(slots, self.results, strict=True)):
            result.metrics = [Metrics(step, member, values) for step, values in state["metrics"][slot]]
            result.diverged_at = state["diverged_at"][slot]
        self.shown_step = state["shown_step"]

    def _finish(self, slots: list[int], observe: Callable[[Event], None]) -> None:
        self.net.write_back()
        for slot in slots:
            member = self.slots[slot]
            result, column = self.results[member], (slice(self.steps[member]), slot)
            result.losses, result.score_sums = self.losses[column].clone(), self.score_sums[column].clone()
            observe(Finished(member, result))

    def _select_active(self) -> tuple[list[int] | slice, list[int]]:
        """Return the active slots, as an index that takes no copy where it can, and their members."""
        active = self.active
        return slice(None) if len(active) == len(self.slots) else active, [self.slots[slot] for slot in active]


def _streams(members: Sequence[Member], shuffle: bool, augment: Augment) -> list[Streams]:
    """Return the generators of each member's batches; those of the first alone if all members see the same."""

    def state(member: Member) -> bytes:
        generators = [member.order] * shuffle + [member.augment] * bool(augment)
        return b"".join(generator.get_state().numpy().tobytes() for generator in generators)

    are_alike = len({state(member) for member in members}) == 1
    return [(member.order, member.augment) for member in members[: 1 if are_alike else None]]


def evaluation_steps(steps: int, per_epoch: int) -> set[int]:
    """Return the updates after which metrics are taken: 0, each epoch's end and the last, thinned evenly to 50.

    If an epoch is a single step, they are spaced logarithmically.
    """
    if per_epoch == 1:
        return {0, *np.geomspace(1, steps, MAX_EVALUATIONS - 1).round().astype(int).tolist()}
    ends = sorted({*range(per_epoch, steps + 1, per_epoch), steps})
    indices = np.linspace(0, len(ends) - 1, min(len(ends), MAX_EVALUATIONS - 1)).round().astype(int)
    return {0, *(ends[index] for index in indices)}
