"""The optimizer of a stack, which keeps the settings, the schedule and the state of each member."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.training.scheduler import Scheduler, find_leaders, settings_of

# Entries that the CPU's elementwise kernels process at once. Other code, with other rounding, computes the remainder,
# which would break ties. So batches of dense nets, and parameters in optimizers, are padded with zeros.
LANES = 32
Parameters = Mapping[str, Tensor]  # {name in the models: (K, *shape)}, in the order of the models


def pad_to_lanes(values: Tensor) -> Tensor:
    """Return the entries, flat, with zeros up to a multiple of LANES."""
    return F.pad(values.flatten(), (0, -values.numel() % LANES))


class StackOptimizer:
    """One optimizer for the parameters of all members; neighbours with the same settings are one group.

    Args:
        optimizers: those of the members, of one class.
        schedulers: those of the members; None for constant settings.
    """

    def __init__(
        self, optimizers: Sequence[torch.optim.Optimizer], schedulers: Sequence[Scheduler | None] | None = None
    ) -> None:
        self.leaders = find_leaders(optimizers, schedulers or [None] * len(optimizers))
        self.has_schedules = any(scheduler for _, scheduler in self.leaders)
        self.optimizer_of: Callable[[list[dict[str, Any]]], torch.optim.Optimizer] = type(optimizers[0])

    def bind(self, parameters: Parameters, members: Sequence[int]) -> None:
        """Make the optimizer of the parameters, of the member in each slot. Its groups hold slices of them.

        A slice is a view, or where its entries do not fill LANES a longer copy: see there.
        """
        leaders = [self.leaders[member] for member in members]
        settings = [(settings_of(optimizer), scheduler) for optimizer, scheduler in leaders]
        slots = range(len(settings))
        starts = [slot for slot in slots if slot == 0 or settings[slot] != settings[slot - 1]]
        self.slices = [slice(*span) for span in zip(starts, [*starts[1:], len(slots)], strict=True)]
        self.group_leaders = [leaders[start] for start in starts]
        groups = []
        for where in self.slices:
            views = [parameter.detach()[where] for parameter in parameters.values()]
            parts = [nn.Parameter(pad_to_lanes(view) if view.numel() % LANES else view) for view in views]
            groups.append({**settings[where.start][0], "params": parts})
        self.optimizer = self.optimizer_of(groups)

    def retain(self, parameters: Parameters, members: Sequence[int], slots: Sequence[int]) -> None:
        """Go on with the members that were in these slots, and with their states.

        Args:
            parameters: those of the members that stay.
            members: the members that stay.
            slots: where each of them was.
        """
        states = [
            ([self.optimizer.state[part] for part in group["params"]], slot - where.start)
            for where, group in zip(self.slices, self.optimizer.param_groups, strict=True)
            for slot in range(where.start, where.stop)
        ]  # of each slot: the states of its group, and its index in the group
        self.bind(parameters, members)
        shapes = [parameter.shape[1:] for parameter in parameters.values()]
        for where, group in zip(self.slices, self.optimizer.param_groups, strict=True):
            self._restore(group["params"], shapes, [states[slot] for slot in slots[where]])

    def _restore(
        self,
        parts: list[nn.Parameter],
        shapes: Sequence[torch.Size],
        states: list[tuple[list[dict[str, Any]], int]],
    ) -> None:
        """Give the parameters of a group the optimizer states of its members, as `retain` collects them."""
        for index, (part, shape) in enumerate(zip(parts, shapes, strict=True)):
            for key, value in states[0][0][index].items():
                if isinstance(value, Tensor) and value.dim():
                    rows = [group[index][key].flatten().split(shape.numel())[row] for group, row in states]
                    stacked = torch.stack(rows)  # (members, entries)
                    padded = pad_to_lanes(stacked) if stacked.numel() % LANES else stacked.view_as(part)
                    self.optimizer.state[part][key] = padded
                else:
                    self.optimizer.state[part][key] = value  # the number of steps, which all members share

    def update(self, parameters: Parameters, step: int) -> None:
        """Take step number `step` (from 1). The gradients of the parameters are consumed."""
        if self.has_schedules:
            self._follow_schedules(step)
        for where, group in zip(self.slices, self.optimizer.param_groups, strict=True):
            for part, parameter in zip(group["params"], parameters.values(), strict=True):
                assert parameter.grad is not None
                gradient = parameter.grad[where]
                part.grad = pad_to_lanes(gradient) if gradient.numel() % LANES else gradient
        self.optimizer.step()
        for where, group in zip(self.slices, self.optimizer.param_groups, strict=True):
            for part, parameter in zip(group["params"], parameters.values(), strict=True):
                parameter.grad = part.grad = None
                view = parameter.detach()[where]
                if view.numel() % LANES:
                    view.copy_(part.detach()[: view.numel()].view_as(view))

    def _follow_schedules(self, step: int) -> None:
        """Give each group of the optimizer the settings of step number `step`."""
        for (optimizer, scheduler), group in zip(self.group_leaders, self.optimizer.param_groups, strict=True):
            if scheduler:
                scheduler.advance(step)
                group.update(settings_of(optimizer) | {"params": group["params"]})
