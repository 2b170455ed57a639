"""What a training shows to its observer, and what it returns."""

from dataclasses import dataclass, field

from torch import Tensor

from zeroinit.training.model import Batch, Layers, TrainedModel


@dataclass(frozen=True)
class Step:
    """The members that train have taken `step` updates."""

    step: int


@dataclass(frozen=True)
class Gradients:
    """Weight gradients of `step` (from 1), before its update.

    Attributes:
        members: the members shown, in the order of the leading axis.
        layers: {layer: gradients (len(members), *weight.shape)}.
        parameters: {layer: name of the parameter that is its weight, or that its weight is computed from}.
        rows: {layer: its rows in the parameter} of the layers that have only some.
        net: the model that trains them; ask it for more only during this event.
        slots: where the members are in what `net` returns.
        batch: the batch of the step, as `net.gradients_in` takes it.
    """

    step: int
    members: list[int]
    layers: dict[str, Tensor]
    parameters: dict[str, str]
    rows: dict[str, slice]
    net: TrainedModel
    slots: list[int] | slice
    batch: Batch


@dataclass(frozen=True)
class Weights:
    """Weights and biases after `step` updates.

    Attributes:
        members: the members shown, in the order of the leading axis.
        layers: {layer: (weights (len(members), *shape), biases (len(members), units) or None)}.
        units: {name of a group: weights and biases of its units (len(members), units, ...)}; see `observed_layers`.
        net: the model that trains them; ask it for more only during this event.
        slots: where the members are in what `net` returns.
    """

    step: int
    members: list[int]
    layers: Layers
    units: dict[str, Tensor]
    net: TrainedModel
    slots: list[int] | slice


@dataclass(frozen=True)
class Metrics:
    """{"<split>/<loss or score>": value} of one member after `step` updates.

    val and test are in eval mode, over the whole split. train is the mean over the batches of the epoch so far, each
    taken before its update; step 0 has none.
    """

    step: int
    member: int
    values: dict[str, float]


@dataclass
class TrainingResult:
    """The losses and metrics of a member. If it diverged, its metrics end before that step.

    Attributes:
        losses: (steps,), the mean over each batch before its update, on the device.
        score_sums: (steps,), the sum of each batch's `Loss.score_terms`: the examples whose class was predicted, or the
            squared errors.
        metrics: one entry an evaluation.
        diverged_at: the first step whose loss is not finite.
    """

    losses: Tensor
    score_sums: Tensor
    metrics: list[Metrics] = field(default_factory=list)
    diverged_at: int | None = None


@dataclass(frozen=True)
class Finished:
    """A member took its last step, or diverged. Its model has its final values."""

    member: int
    result: TrainingResult


Event = Step | Gradients | Weights | Metrics | Finished
