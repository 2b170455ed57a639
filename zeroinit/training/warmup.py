"""The learning rate of the first steps: a line from a multiple of it to itself.

It stands in the groups of an optimizer, so that in a stack each member keeps its own.
"""

from torch.optim import Optimizer


def give(optimizer: Optimizer, steps: int, factor: float) -> None:
    """Step 1 has `factor` times the optimizer's rate, step `steps` + 1 and all later ones the rate itself."""
    for group in optimizer.param_groups:
        group["ramp"] = group["lr"], steps, factor


def set_rates(optimizer: Optimizer, step: int) -> None:
    """The rate of each group that was given a ramp is that of `step` (from 1)."""
    for group in optimizer.param_groups:
        if "ramp" in group:
            rate, steps, factor = group["ramp"]
            group["lr"] = rate * (1 + (factor - 1) * max(0.0, 1 - (step - 1) / steps))
