"""Metrics of the user: any function of the outputs and the targets of a whole split."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zeroinit.errors import BadInput
from zeroinit.user_code import explain_errors


@dataclass(frozen=True)
class UserMetric:
    """A metric of the user.

    Attributes:
        subject: what names it in a message, such as `metrics.f1._target_=mine.f1`.
        function: (outputs (N, outputs), targets) -> a number. An object with state, as those of torchmetrics, has
            `reset`, which is called after each value.
    """

    subject: str
    function: Callable[[Tensor, Tensor], Any]

    def measure(self, outputs: Tensor, targets: Tensor) -> float | None:
        """Return the value for one model; None if it is not finite. The generators of torch stay as they are.

        Raises:
            BadInput: The function raises, or returns no number.
        """
        device = outputs.device
        with explain_errors(self.subject), torch.random.fork_rng([device] if outputs.is_cuda else []):
            if isinstance(self.function, torch.nn.Module):
                self.function.to(device)
            value = self.function(outputs.clone(), targets.clone())
            if callable(reset := getattr(self.function, "reset", None)):
                reset()
        if isinstance(value, Tensor) and value.numel() != 1:
            raise BadInput(f"{self.subject}: it returned a tensor of shape {tuple(value.shape)}; return a number")
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise BadInput(f"{self.subject}: it returned a {type(value).__name__}; return a number") from error
        return number if math.isfinite(number) else None


UserMetrics = Mapping[str, UserMetric]  # {name: metric}


def measure_members(metrics: UserMetrics, outputs: Tensor, targets: Tensor) -> dict[str, list[float | None]]:
    """Return {name: value of each member}; None for members whose outputs are not finite.

    Args:
        metrics: the metrics.
        outputs: (K, outputs, N).
        targets: (N,), or real ones (N, outputs).
    """
    members = [member.t() if member.isfinite().all() else None for member in outputs]
    return {
        name: [None if member is None else metric.measure(member, targets) for member in members]
        for name, metric in metrics.items()
    }
