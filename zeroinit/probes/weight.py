"""How far the weights of each layer have moved."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from torch import Tensor, nn

from zeroinit.observed_layers import observed_layers
from zeroinit.probes import measures
from zeroinit.probes.probe import NO_LAYER, Metric, Probe, Readings, Subject, select_rows
from zeroinit.state import State
from zeroinit.training.events import Weights

NORM = Metric("weight/{layer}/norm", "", "Euclidean norm of the weights", is_nonnegative=True)
ANGLE = Metric(
    "weight/{layer}/angle",
    "degrees",
    "angle between the weights and those before the first step",
    is_nonnegative=True,
    has_curve=True,
)
UPDATE = Metric(
    "weight/{layer}/update",
    "",
    "norm of the step's change divided by the norm before it",
    is_nonnegative=True,
    has_curve=True,
)


class _Copies(NamedTuple):
    """Weights of members, by layer."""

    members: list[int]
    layers: dict[str, Tensor]

    def of(self, layer: str, members: Sequence[int]) -> Tensor:
        return self.layers[layer][[self.members.index(member) for member in members]]

    def state(self) -> State:
        return {"members": self.members, "layers": self.layers}

    @classmethod
    def load(cls, state: State, members: Sequence[int]) -> Self:
        chosen, rows = select_rows(state["members"], members)
        return cls(chosen, {layer: weights[rows] for layer, weights in state["layers"].items()})


class Weight(Probe):
    """Norm, angle to the start, and relative change in the observed step, of each layer's weights."""

    name = "weight"
    metrics = (NORM, ANGLE, UPDATE)

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.start = self.before = _Copies([], {})

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: the net has no layer of weights."""
        return None if observed_layers(model) else NO_LAYER

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
            columns = {NORM: measures.norm(weights)}
            if event.step:
                columns[ANGLE] = measures.angle(weights, self.start.of(layer, event.members))
                columns[UPDATE] = measures.relative_update(before.of(layer, event.members), weights)
            self.readings.add({metric.of(layer): values for metric, values in columns.items()}, event)

    def state(self) -> State:
        """Return the weights before the first step and before the next."""
        return {"start": self.start.state(), "before": self.before.state()}

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue with these weights."""
        self.start, self.before = (_Copies.load(state[name], members) for name in ("start", "before"))
