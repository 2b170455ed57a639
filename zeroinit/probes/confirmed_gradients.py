"""The first observed step in which the weights of each layer have a gradient that is more than rounding.

A gradient is confirmed where float64 gives it as well as float32: rounding errors shrink by 1e-9 from one to the other.
That alone is not enough. An adaptive optimizer makes a full step of a gradient that is rounding, and behind the weights
that it has moved the other layers have gradients that float64 confirms. (Zero weights, a sigmoid and a batch with as
many examples of each class: the output's gradient is a sum that cancels.) So both gradients are computed with every
parameter that rounding alone has moved set back to its value before that. By induction over the steps, what is
confirmed is there in exact arithmetic, too.

The limits: a parameter counts as a whole, so that what rounding did to it before its first confirmed gradient, or to
some of its entries, stays. Steps that are not observed are not checked.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zeroinit.probes import measures
from zeroinit.state import State
from zeroinit.training.events import Gradients

FIRST_GRADIENT_RTOL = 1e-3  # share of a gradient's norm in float32 that float64 must confirm
TINY = torch.finfo(torch.float32).tiny  # a norm below it can be an exact zero in float32

Key = tuple[str, int]  # a parameter, and the member whose it is


class ConfirmedGradients:
    """Which parameters of the members of one training have had a gradient above rounding so far."""

    def __init__(self) -> None:
        self.confirmed: set[Key] = set()
        self.unmoved: dict[Key, Tensor] = {}  # values before the first step that rounding alone has made
        self.step = 0  # that was observed last

    def new_layers(self, event: Gradients) -> list[tuple[str, int]]:
        """Return the (layer, member) whose weights have their first confirmed gradient in this step."""
        weights = event.parameters | {layer: layer for layer in event.rows}
        missing = [
            (layer, member)
            for layer in weights
            for member in event.members
            if (weights[layer], member) not in self.confirmed
        ]
        if not missing:
            return []
        self.confirm(event)
        return [(layer, member) for layer, member in missing if (weights[layer], member) in self.confirmed]

    def confirm(self, event: Gradients) -> None:
        """Check the gradients of all parameters that have none confirmed yet, and keep the values of the others."""
        is_next, self.step = event.step == self.step + 1, event.step
        shown = read_norms(event, event.net.gradients())  # of parameters, and of layers that have some of their rows
        pending = {key for key, norm in shown.items() if norm > 0 and key not in self.confirmed}
        while pending:
            fine, coarse = self.in_both_precisions(event, shown)
            new = {key for key in pending if is_confirmed(fine[key], coarse[key])}
            pending -= new
            self.confirmed |= new
            was_set_back = not self.unmoved.keys().isdisjoint(new)
            for key in new:
                self.unmoved.pop(key, None)
            # in steps that were not observed, a confirmed parameter may have moved and given another its gradient
            if is_next or not was_set_back:
                break
        values = event.net.tensors()
        for name, member in {key for key in pending if key[0] in values} - self.unmoved.keys():
            self.unmoved[name, member] = values[name][event.slots][event.members.index(member)].clone()

    def state(self) -> State:
        """Return what the next steps depend on."""
        unmoved = [(name, member, value) for (name, member), value in self.unmoved.items()]
        return {"confirmed": sorted(self.confirmed), "unmoved": unmoved, "step": self.step}

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue from such a state; each member here had this index there."""
        index = {before: member for member, before in enumerate(members)}
        self.confirmed = {(name, index[before]) for name, before in state["confirmed"] if before in index}
        self.unmoved = {(name, index[before]): value for name, before, value in state["unmoved"] if before in index}
        self.step = state["step"]

    def in_both_precisions(self, event: Gradients, shown: Mapping[Key, float]) -> tuple[dict[Key, float], ...]:
        """Return the norms of all gradients of the step's batch in float64 and in float32; `shown` are the run's."""
        set_back = {name for name, _ in self.unmoved}
        values = {name: tensor.clone() for name, tensor in event.net.tensors().items() if name in set_back}
        rows = torch.arange(len(next(iter(values.values()), [])))[event.slots].tolist()
        for (name, member), value in self.unmoved.items():
            if member in event.members:
                values[name][rows[event.members.index(member)]] = value
        in_double = next(iter(event.layers.values())).dtype == torch.float64
        precisions = []
        for dtype in (torch.float64, torch.float32):
            is_shown = not values and in_double == (dtype == torch.float64)
            precisions.append(
                dict(shown) if is_shown else read_norms(event, event.net.gradients_in(event.batch, dtype, values))
            )
        return tuple(precisions)


def is_confirmed(fine: float, coarse: float) -> bool:
    """Return whether a gradient with these norms in float64 and float32 is more than rounding.

    Where float32 has an exact zero, a sum has cancelled there, unless the norm is too small for float32.
    """
    if not math.isfinite(coarse):
        return fine > 0  # too large for float32
    return fine > FIRST_GRADIENT_RTOL * coarse if coarse > 0 else 0 < fine < TINY


def read_norms(event: Gradients, gradients: Mapping[str, Tensor]) -> dict[Key, float]:
    """Return the norm of each parameter's gradient, of each member."""
    parts = {layer: gradients[event.parameters[layer]][:, rows] for layer, rows in event.rows.items()}
    shown = {**gradients, **parts}
    stacked = torch.stack([measures.norm(of_all[event.slots]) for of_all in shown.values()])
    rows = zip(shown, stacked.tolist(), strict=True)
    return {(name, member): norm for name, row in rows for member, norm in zip(event.members, row, strict=True)}
