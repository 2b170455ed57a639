"""The optimizer of a stack, which keeps the settings, the schedule and the state of each member."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.state import State
from zeroinit.training.scheduler import Leader, Scheduler, find_leaders, settings_of

# Entries that the CPU's elementwise kernels process at once. Other code, with other rounding, computes the remainder,
# which would break ties. So batches of dense nets, and parameters in optimizers, are padded with zeros.
LANES = 32
Parameters = Mapping[str, Tensor]  # {name in the models: (K, *shape)}, in the order of the models


def pad_to_lanes(values: Tensor) -> Tensor:
    """Return the entries, flat, with zeros up to a multiple of LANES."""
    return F.pad(values.flatten(), (0, -values.numel() % LANES))


class Part(NamedTuple):
    """What the optimizer of a stack updates: one parameter of the members in a slice.

    Attributes:
        name: of the parameter.
        values: a view of the parameter, or a longer copy where its entries do not fill LANES.
        parameter: (K, *shape).
        where: the slots.
    """

    name: str
    values: nn.Parameter
    parameter: Tensor
    where: slice


class StackOptimizer:
    """One optimizer for the parameters of all members; neighbours with the same settings share its groups.

    Args:
        members: their models, and their optimizers of one class.
        schedulers: those of the members; None for constant settings.
    """

    def __init__(
        self,
        members: Sequence[tuple[nn.Module, torch.optim.Optimizer]],
        schedulers: Sequence[Scheduler | None] | None = None,
    ) -> None:
        optimizers = [optimizer for _, optimizer in members]
        self.leaders = find_leaders(optimizers, schedulers or [None] * len(optimizers))
        self.names = [_names_of_groups(*member) for member in members]
        self.has_schedules = any(scheduler for _, scheduler in self.leaders)
        self.optimizer_of: Callable[[list[dict[str, Any]]], torch.optim.Optimizer] = type(optimizers[0])

    def bind(self, parameters: Parameters, members: Sequence[int]) -> None:
        """Make the optimizer of the parameters, of the member in each slot."""
        settings = [(settings_of(self.leaders[member][0]), self.leaders[member][1]) for member in members]
        kinds = [(*pair, self.names[member]) for pair, member in zip(settings, members, strict=True)]
        starts = [slot for slot in range(len(kinds)) if slot == 0 or kinds[slot] != kinds[slot - 1]]
        groups: list[dict[str, Any]] = []
        self.parts: list[Part] = []
        self.group_leaders: list[tuple[dict[str, Any], Scheduler | None]] = []  # of each group: settings to follow
        for start, end in zip(starts, [*starts[1:], len(members)], strict=True):
            optimizer, scheduler = self.leaders[members[start]]
            for group, names in zip(optimizer.param_groups, self.names[members[start]], strict=True):
                parts = [_make_part(name, parameters[name], slice(start, end)) for name in names]
                groups.append({**group, "params": [part.values for part in parts]})
                self.group_leaders.append((group, scheduler))
                self.parts += parts
        self.optimizer = self.optimizer_of(groups)

    def retain(self, parameters: Parameters, members: Sequence[int], slots: Sequence[int]) -> None:
        """Go on with the members that were in these slots, and with their states.

        Args:
            parameters: those of the members that stay.
            members: the members that stay.
            slots: where each of them was.
        """
        states = {
            (part.name, slot): (self.optimizer.state[part.values], slot - part.where.start)
            for part in self.parts
            for slot in range(part.where.start, part.where.stop)
        }  # the state of the part of each slot, and its row there
        self.bind(parameters, members)
        for part in self.parts:
            self.optimizer.state[part.values].update(
                _gather_states(part, [states[part.name, slot] for slot in slots[part.where]])
            )

    def state(self, members: Sequence[int]) -> State:
        """Return the state of each part, and what the schedules of the member in each slot have changed."""
        parts = []
        for part in self.parts:
            first, behind, entries = part.where.start, part.where.stop, part.parameter[0].numel()
            state = {
                key: value.flatten()[: (behind - first) * entries].view(-1, entries)  # without padding
                if isinstance(value, Tensor) and value.dim()
                else value
                for key, value in self.optimizer.state[part.values].items()
            }
            parts.append({"name": part.name, "slots": (first, behind), "state": state})
        leaders = [_state_of_leader(self.leaders[member]) for member in members] if self.has_schedules else []
        return {"parts": parts, "leaders": leaders}

    def load_state(self, parameters: Parameters, members: Sequence[int], state: State, slots: Sequence[int]) -> None:
        """Continue from such a state; the members were in these slots."""
        for member, slot in zip(members, slots if state["leaders"] else (), strict=False):
            _load_leader(self.leaders[member], state["leaders"][slot])
        self.bind(parameters, members)
        saved = {
            (part["name"], slot): (part["state"], slot - part["slots"][0])
            for part in state["parts"]
            for slot in range(*part["slots"])
        }
        states = {
            index: _gather_states(part, [saved[part.name, slot] for slot in slots[part.where]])
            for index, part in enumerate(self.parts)
        }  # the parts are in the order of the optimizer's parameters
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": states})

    def update(self, step: int) -> None:
        """Take step number `step` (from 1). The gradients of the parameters are consumed."""
        if self.has_schedules:
            self._follow_schedules(step)
        for _, values, parameter, where in self.parts:
            assert parameter.grad is not None
            gradient = parameter.grad[where]
            values.grad = pad_to_lanes(gradient) if gradient.numel() % LANES else gradient
        self.optimizer.step()
        for _, values, parameter, where in self.parts:
            parameter.grad = values.grad = None
            view = parameter.detach()[where]
            if view.numel() % LANES:
                view.copy_(values.detach()[: view.numel()].view_as(view))

    def _follow_schedules(self, step: int) -> None:
        """Give each group of the optimizer the settings of step number `step`."""
        for (settings, scheduler), group in zip(self.group_leaders, self.optimizer.param_groups, strict=True):
            if scheduler:
                scheduler.advance(step)
                group.update({**settings, "params": group["params"]})


def _gather_states(part: Part, states: Sequence[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    """Return the optimizer state of a part: of each member, `states` has the state of a former part and its row."""
    entries, gathered = part.parameter[0].numel(), {}
    for key, value in states[0][0].items():
        if isinstance(value, Tensor) and value.dim():
            stacked = torch.stack([state[key].flatten().split(entries)[row] for state, row in states])
            gathered[key] = pad_to_lanes(stacked) if stacked.numel() % LANES else stacked.view_as(part.values)
        else:  # the number of steps, which all members share
            gathered[key] = value.clone() if isinstance(value, Tensor) else value
    return gathered


def _state_of_leader(leader: Leader) -> State:
    optimizer, scheduler = leader
    return {"groups": settings_of(optimizer), "scheduler": scheduler.state() if scheduler else None}


def _load_leader(leader: Leader, state: State) -> None:
    optimizer, scheduler = leader
    for group, settings in zip(optimizer.param_groups, state["groups"], strict=True):
        group.update({**settings, "params": group["params"]})
    if scheduler:
        scheduler.load_state(state["scheduler"])


def _names_of_groups(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[list[str]]:
    """Return the names of the parameters in each group of the optimizer."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]


def _make_part(name: str, parameter: Tensor, where: slice) -> Part:
    """Return the part of a parameter (K, *shape) in these slots."""
    view = parameter.detach()[where]
    return Part(name, nn.Parameter(pad_to_lanes(view) if view.numel() % LANES else view), parameter, where)
