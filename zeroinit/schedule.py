"""Schedules of the learning rate, beside torch's own in torch.optim.lr_scheduler. The unit is an optimizer step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer) -> None:
    """The learning rate of the optimizer in each step."""


def ramp(optimizer: Optimizer, steps: int, factor: float) -> LambdaLR | None:
    """A warm-up: step 1 has `factor` times the learning rate, and step `steps` + 1 and all later ones have the rate."""
    if not is_ramp_active(steps, factor):
        return None
    return LambdaLR(optimizer, lambda updates: 1 + (factor - 1) * max(0.0, 1 - updates / steps))


def is_ramp_active(steps: int | None, factor: float) -> bool:
    """Return whether a ramp changes the learning rate of a step; `steps` is None for the length of the run."""
    return steps != 0 and factor != 1
