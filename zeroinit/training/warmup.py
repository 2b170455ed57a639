"""Learning-rate warm-up: the rate of the first steps moves linearly from a multiple of the rate to the rate itself.

The settings are kept in the parameter groups of the optimizer, so that each member of a stack has its own.
"""

from torch.optim import Optimizer


def set_warmup(optimizer: Optimizer, steps: int, factor: float) -> None:
    """Give step 1 `factor` times the optimizer's learning rate, and step `steps` + 1 and all later ones the rate."""
    for group in optimizer.param_groups:
        group["ramp"] = group["lr"], steps, factor


def set_rates(optimizer: Optimizer, step: int) -> None:
    """Set the learning rate of each group with a warm-up to that of `step` (from 1)."""
    for group in optimizer.param_groups:
        if "ramp" in group:
            rate, steps, factor = group["ramp"]
            group["lr"] = rate * (1 + (factor - 1) * max(0.0, 1 - (step - 1) / steps))
