"""What a probe is: it measures the members of one training, and declares the metrics that it writes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zeroinit.dataset.data import Split
from zeroinit.state import State
from zeroinit.tracker import Record
from zeroinit.training.events import Gradients, Weights

Columns = Iterable[tuple[str, NDArray[Any]]]  # (metric, a value of each member)


NO_LAYER = "the net has no layer of weights; a parameter of the role other is none"


@dataclass(frozen=True)
class Metric:
    """A metric of a run.

    Attributes:
        name: `{layer}` in it stands for each layer.
        unit: Empty if it has none; `share` for values between 0 and 1; `share of variance` for values of at most 1.
        description: A phrase.
        is_nonnegative: Whether no value is below 0.
        has_curve: Whether the page shows it over time.
    """

    name: str
    unit: str
    description: str
    is_nonnegative: bool = False
    has_curve: bool = False

    def of(self, layer: str) -> str:
        """Return the name of the metric of this layer."""
        return self.name.replace("{layer}", layer)

    def layer_of(self, name: str) -> str:
        """Return the layer in `name` if it is this metric of a layer; else an empty text."""
        start, slot, end = self.name.partition("{layer}")
        is_ours = slot and name.startswith(start) and name.endswith(end) and len(name) > len(start) + len(end)
        return name[len(start) : len(name) - len(end)] if is_ours else ""


@dataclass(frozen=True)
class Schedule:
    """When probes measure.

    Attributes:
        first_steps: each step up to this one is observed.
        per_decade: how many steps of every tenfold are observed after them.
        curvature_steps: the updates after which curvature is measured; 0 is before the first.
    """

    first_steps: int
    per_decade: int
    curvature_steps: Sequence[int]

    def is_observed(self, step: int) -> bool:
        """Return whether this step (from 1) is observed."""
        if step <= self.first_steps or not self.per_decade:
            return step <= self.first_steps
        start = max(self.first_steps, 1)

        def rank(number: int) -> int:
            return int(np.floor(self.per_decade * np.log10(number / start) + 1e-9)) if number else -1

        return rank(step) != rank(step - 1)


@dataclass(frozen=True)
class Subject:
    """What the probes of one training share.

    Attributes:
        hidden: the layers of hidden neurons.
        batch: inputs (1, N, *input_shape) and targets (1, N, ...) on which activations and curvature are measured.
        schedule: when to measure.
        others: the names of parameters that belong to no layer.
    """

    hidden: Sequence[str]
    batch: Split
    schedule: Schedule
    others: frozenset[str] = frozenset()


class _Reading(NamedTuple):
    """Values on the device, and how they become columns of metrics on the host."""

    values: Tensor
    members: Sequence[int]
    step: int
    to_columns: Callable[[NDArray[np.float64]], Columns]


def _as_column(name: str, numbers: NDArray[np.float64]) -> Columns:
    return [(name, numbers)]


@dataclass
class Readings:
    """What probes measured. It stays on the device until `write` brings all of it to the host at once."""

    records: Sequence[Record]
    pending: list[_Reading] = field(default_factory=list)

    def add(self, columns: Mapping[str, Tensor], event: Gradients | Weights) -> None:
        """Queue {metric: a value of each member of the event}."""
        for name, values in columns.items():
            self.add_columns(values, event, partial(_as_column, name))

    def add_columns(
        self, values: Tensor, event: Gradients | Weights, to_columns: Callable[[NDArray[np.float64]], Columns]
    ) -> None:
        """Queue values from which `to_columns` makes metrics, once they are on the host, flat and in float64."""
        self.pending.append(_Reading(values, event.members, event.step, to_columns))

    def write(self) -> None:
        """Move everything to the host in one transfer, and append the finite values to the records."""
        if not self.pending:
            return
        flat = torch.cat([reading.values.flatten().double() for reading in self.pending]).cpu()
        parts = torch.split(flat, [reading.values.numel() for reading in self.pending])
        for reading, part in zip(self.pending, parts, strict=True):
            for name, column in reading.to_columns(part.numpy()):
                for member, value in zip(reading.members, column.tolist(), strict=True):
                    if math.isfinite(value):  # what is not finite has no position on an axis
                        self.records[member].metrics.append((name, value, reading.step))
        self.pending = []


class Probe:
    """One kind of measurement. An instance measures the members of one training.

    A probe is a class of this kind in a module of its own name in this package. It calls `readings.add` in one of the
    three methods below, which are called with an event.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]

    def __init__(self, subject: Subject, readings: Readings) -> None:
        self.subject, self.readings = subject, readings

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply to the model; None if it does."""
        return None

    @classmethod
    def explain_omissions(cls, model: nn.Module) -> str | None:
        """Return which layers of the model the probe does not measure, and why; None if it measures all."""
        return None

    def is_due(self, step: int) -> bool:
        """Return whether the probe measures in this step (from 1), or after its update."""
        return self.subject.schedule.is_observed(step)

    def on_gradients(self, event: Gradients) -> None:
        """Measure the gradients of an observed step, before its update."""

    def before_update(self, event: Weights) -> None:
        """Measure the weights before an observed step, unless `on_weights` measured them after the step before it."""

    def on_weights(self, event: Weights) -> None:
        """Measure the weights after an observed step, and those before the first step."""

    def files(self, member: int) -> dict[str, bytes]:
        """Return the files {name: content} that a member's run keeps."""
        return {}

    def state(self) -> State:
        """Return what later measurements and the files depend on, as plain values; nothing if they do not."""
        return {}

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue from such a state, whose tensors are on the device; each member here had this index there."""


def select_rows(saved: Sequence[int], members: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return which members of a training are in a saved list of members, and their rows there.

    Args:
        saved: the members of the earlier training, one a row.
        members: the index that each member had in the earlier training.
    """
    chosen = [member for member, before in enumerate(members) if before in saved]
    return chosen, [saved.index(members[member]) for member in chosen]
