"""How far the weights of each layer have moved."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from zeroinit.probes import measures
from zeroinit.probes.probe import Metric, Probe, Readings, Subject
from zeroinit.training.events import Weights


class _Copies(NamedTuple):
    """Weights of members, by layer."""

    members: list[int]
    layers: dict[str, Tensor]

    def of(self, layer: str, members: Sequence[int]) -> Tensor:
        return self.layers[layer][[self.members.index(member) for member in members]]


class Weight(Probe):
    """Norm, angle to the start, and relative change in the observed step, of each layer's weights."""

    name = "weight"
    metrics = (
        Metric("weight/{layer}/norm", "", "Euclidean norm of the weights"),
        Metric("weight/{layer}/angle", "degrees", "angle between the weights and those before the first step"),
        Metric("weight/{layer}/update", "share", "norm of the step's change divided by the norm before it"),
    )

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.start = self.before = _Copies([], {})

    def before_update(self, event: Weights) -> None:
        """Copy the weights that the update starts from."""
        self.before = _Copies(event.members, {layer: weights.clone() for layer, (weights, _) in event.layers.items()})

    def on_weights(self, event: Weights) -> None:
        """Queue the metrics of each layer."""
        before = self.before
        self.before_update(event)
        if event.step == 0:
            self.start = self.before
        for layer, (weights, _) in event.layers.items():
            columns = {"norm": measures.norm(weights)}
            if event.step:
                columns["angle"] = measures.angle(weights, self.start.of(layer, event.members))
                columns["update"] = measures.relative_update(before.of(layer, event.members), weights)
            self.readings.add({f"weight/{layer}/{name}": values for name, values in columns.items()}, event)
