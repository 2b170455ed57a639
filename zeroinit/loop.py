"""The training loop, over a list of members, with one hook for what observes it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.arch import weight_layers
from zeroinit.batches import Augment, batches
from zeroinit.dataset.split import Data
from zeroinit.probe import observed

POINTS = 50  # evaluations a run, at most
CHUNK = 1000  # examples a forward pass of an evaluation, at most; fewer where they are larger than those of MNIST


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
    """Weight gradients {layer: (len(members), *weight.shape)} of `step` (from 1), before that step's update."""

    step: int
    members: list[int]
    layers: dict[str, Tensor]


@dataclass(frozen=True)
class Metrics:
    """{"<split>/<loss or accuracy>": value} of one member after `step` updates.

    val and test: in eval mode, on the whole split. train: the mean over the batches of the epoch so far, each taken
    before its update, as training saw them; at step 0 there is none.
    """

    step: int
    member: int
    values: dict[str, float]


@dataclass
class Trained:
    """What became of a member. Where it diverged, metrics end before that step."""

    losses: Tensor  # (steps,), mean over each batch before its update, on the device
    hits: Tensor  # (steps,), examples of each batch whose class was predicted
    metrics: list[Metrics] = field(default_factory=list)
    diverged_at: int | None = None  # the first step whose loss is not finite


Event = Step | Gradients | Metrics


def ignore(event: Event) -> None:
    """The hook of a loop that nobody watches."""


def train(
    members: Sequence[Member],
    data: Data,
    *,
    batch_size: int,
    shuffle: bool,
    augment: Augment,
    reduction: Literal["mean", "sum"],
    observe: Callable[[Event], None] = ignore,
) -> list[Trained]:
    """Train each member on `data` by cross-entropy for its own number of steps, and tell `observe` as it goes.

    Every member stays what it would be alone: its own batches and its own schedule of metrics (`evaluation_steps`).
    `reduction` is that of the loss whose gradient is taken; losses are told as means either way. Gradients come at
    the steps that `observed` names. A member whose loss is not finite stops. A batch of the whole training set is
    taken as it lies: its order could only change the rounding.
    """
    examples = len(data.train[0])
    per_epoch = math.ceil(examples / batch_size)
    streams = [batches(data, batch_size, shuffle, member.order, augment, member.augment) for member in members]
    points = [evaluation_steps(member.steps, per_epoch) for member in members]
    device = data.train[0].device
    done = [Trained(torch.zeros(m.steps, device=device), torch.zeros(m.steps, device=device)) for m in members]

    def evaluate_at(step: int, index: int) -> None:
        run, model = done[index], members[index].model
        seen = slice((step - 1) // per_epoch * per_epoch, step)  # this epoch's steps so far
        values = epoch_means(run.losses[seen], run.hits[seen], batch_size, examples) if step else {}
        values |= evaluate(model, data, "val") | evaluate(model, data, "test")
        finite = run.losses[:step].isfinite()
        if not finite.all():
            run.diverged_at = int(finite.logical_not().nonzero()[0]) + 1
        elif not all(math.isfinite(value) for value in values.values()):
            run.diverged_at = step
        else:
            run.metrics.append(Metrics(step, index, values))
            observe(run.metrics[-1])

    active = list(range(len(members)))
    for index in active:
        evaluate_at(0, index)
    for step in range(1, max(member.steps for member in members) + 1):
        active = [index for index in active if step <= members[index].steps and done[index].diverged_at is None]
        if not active:
            break
        for index in active:
            model, run = members[index].model, done[index]
            inputs, labels = next(streams[index])
            members[index].optimizer.zero_grad()
            logits = model(inputs)
            loss = F.cross_entropy(logits, labels, reduction=reduction)
            loss.backward()  # type: ignore[no-untyped-call]
            run.losses[step - 1] = loss.detach() / (len(labels) if reduction == "sum" else 1)
            run.hits[step - 1] = (logits.detach().argmax(1) == labels).sum()
        if observed(step):
            observe(Gradients(step, active, stacked_gradients([members[index].model for index in active])))
        for index in active:
            members[index].optimizer.step()
            if step in points[index]:
                evaluate_at(step, index)
        observe(Step(step))
    return done


def evaluation_steps(steps: int, per_epoch: int) -> set[int]:
    """After which updates metrics are taken: 0, each epoch's end and the last, thinned evenly to 50 a run at most.

    Under full batch, where an epoch is a step, they are spaced logarithmically.
    """
    if per_epoch == 1:
        return {0, *np.geomspace(1, steps, POINTS - 1).round().astype(int).tolist()}
    ends = sorted({*range(per_epoch, steps + 1, per_epoch), steps})
    kept = np.linspace(0, len(ends) - 1, min(len(ends), POINTS - 1)).round().astype(int)
    return {0, *(ends[index] for index in kept)}


def epoch_means(losses: Tensor, hits: Tensor, batch_size: int, examples: int) -> dict[str, float]:
    """Loss and accuracy over the examples of an epoch's batches so far; its last batch may be smaller than the rest."""
    seen = min(len(losses) * batch_size, examples)
    sizes = torch.full_like(losses, min(batch_size, seen))
    sizes[-1] = seen - (len(losses) - 1) * batch_size
    return {"train/loss": ((losses * sizes).sum() / seen).item(), "train/accuracy": (hits.sum() / seen).item()}


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, name: Literal["val", "test"]) -> dict[str, float]:
    """Mean cross-entropy and accuracy in eval mode on the split `name`, as {"<name>/loss", "<name>/accuracy"}."""
    stored, labels = getattr(data, name)
    loss = torch.zeros((), device=stored.device)
    hits = torch.zeros((), device=stored.device)
    model.eval()
    chunk = max(1, min(CHUNK, CHUNK * 28 * 28 // stored[0].numel()))
    for part, truth in zip(torch.split(stored, chunk), torch.split(labels, chunk), strict=True):
        logits = model(data.prepare(part))
        loss += F.cross_entropy(logits, truth, reduction="sum")
        hits += (logits.argmax(1) == truth).sum()
    model.train()
    return {f"{name}/loss": loss.item() / len(labels), f"{name}/accuracy": hits.item() / len(labels)}


def stacked_gradients(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Each layer's weight gradients with a leading model axis; zeros where backward did not reach the weight."""
    layers: dict[str, list[Tensor]] = {}
    for model in models:
        for name, layer in weight_layers(model):
            weight = layer.weight
            layers.setdefault(name, []).append(torch.zeros_like(weight) if weight.grad is None else weight.grad)
    # one model's gradient is looked at in place, without a copy
    return {
        name: torch.stack(gradients) if len(gradients) > 1 else gradients[0].unsqueeze(0)
        for name, gradients in layers.items()
    }
