"""Learning-rate warm-up: the rate of the first steps moves linearly from a multiple of the rate to the rate itself.

The settings are kept in the parameter groups of the optimizer, so that each member of a stack has its own.
"""

from dataclasses import dataclass

from torch.optim import Optimizer


@dataclass(frozen=True)
class Warmup:
    """Step 1 has `factor` times the optimizer's learning rate; step `steps` + 1 and all later ones have the rate."""

    steps: int
    factor: float

    @property
    def is_active(self) -> bool:
        """Whether the learning rate of the first steps differs from the others."""
        return self.steps > 0 and self.factor != 1


def set_warmup(optimizer: Optimizer, warmup: Warmup) -> None:
    """Give each parameter group of the optimizer the warm-up."""
    for group in optimizer.param_groups:
        group["ramp"] = group["lr"], warmup.steps, warmup.factor


def set_rates(optimizer: Optimizer, step: int) -> None:
    """Set the learning rate of each group with a warm-up to that of `step` (from 1)."""
    for group in optimizer.param_groups:
        if "ramp" in group:
            rate, steps, factor = group["ramp"]
            group["lr"] = rate * (1 + (factor - 1) * max(0.0, 1 - (step - 1) / steps))
